"""A bundle into an image and into a registry, by an engine of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from advisor.errors import DeployError
from deploy.images import child
from deploy.images.commands import Commands
from deploy.images.engines import ARCHITECTURES, Architecture, Engine
from deploy.target import Emit, Event, Level

STEP = "build"
BUILD_LIMIT_S = 3600.0
PUSH_LIMIT_S = 3600.0
ASK_LIMIT_S = 60.0


@dataclass(frozen=True)
class Login:
    """What signs in to a registry. The password is in no command line, no log and no repr."""

    registry: str
    user: str
    password: str = field(repr=False)


class LocalBuild:
    """Images of one engine, told about as events. Blocks; what `emit` raises ends the engine's
    command with all that it started."""

    def __init__(self, engine: Engine, emit: Emit) -> None:
        self.engine = engine
        self._emit = emit

    def build(self, context: Path, reference: str, architecture: Architecture) -> None:
        """Build the folder's Dockerfile as `reference`, for that processor.

        Raises DeployError with the last lines of the log, or when the image came out for another
        processor, as a base image that has only one makes it.
        """
        with self._commands() as commands:
            self._say(f"{self.engine.words} builds the image for {architecture}")
            self._run(
                commands.build(context, reference, architecture),
                "build the image",
                BUILD_LIMIT_S,
                more=commands.build_environment(),
            )
            said = self._asked(commands.architecture_of(reference), "look at the image")
            if ARCHITECTURES.get(said) != architecture:
                self.remove(reference)
                raise DeployError(
                    f"the image came out for {said or 'no processor'} and the plan's machine is "
                    f"{architecture}; give a base image (ADVISOR_BASE_IMAGE) that has both"
                )

    def push(self, reference: str, login: Login) -> str:
        """Sign in and push; the digest as the engine tells it. Raises DeployError.

        The sign-in is kept in a directory of its own, which goes with this call.
        """
        with self._commands() as commands:
            more = self._docker_server(commands)
            self._run(
                commands.login(login.user, login.registry),
                f"sign in to {login.registry}",
                ASK_LIMIT_S,
                given=login.password,
                more=more,
                quiet=True,
            )
            self._say(f"Pushing to {login.registry}")
            self._run(commands.push(reference), f"push {reference}", PUSH_LIMIT_S, more=more)
            if self.engine.name == "docker":
                said = self._asked(commands.pushed_as(reference), "look at the pushed image")
                return said.partition("@")[2]
            return commands.digest_file.read_text(encoding="ascii").strip()

    def remove(self, reference: str) -> None:
        """Take the image off this machine; the engine keeps its own cache. Fine to repeat."""
        with self._commands() as commands:
            child.run(commands.remove(reference), environment=os.environ, limit_s=ASK_LIMIT_S)

    @contextmanager
    def _commands(self) -> Iterator[Commands]:
        with tempfile.TemporaryDirectory(prefix="sign-in-") as private:  # 0700
            yield Commands(self.engine, Path(private))

    def _docker_server(self, commands: Commands) -> Mapping[str, str]:
        """With a configuration directory of ours, Docker no longer knows the chosen context."""
        if self.engine.name != "docker" or os.environ.get("DOCKER_HOST"):
            return {}
        host = self._asked(commands.server(), "ask Docker which server it uses")
        return {"DOCKER_HOST": host, "DOCKER_CONTEXT": ""}

    def _run(
        self,
        command: Sequence[str],
        doing: str,
        limit_s: float,
        *,
        given: str | None = None,
        more: Mapping[str, str] | None = None,
        quiet: bool = False,
    ) -> child.Ended:
        ended = child.run(
            command,
            environment=dict(os.environ) | dict(more or {}),
            limit_s=limit_s,
            given=given,
            merged=not quiet,
            line=(lambda _: None) if quiet else (lambda line: self._say(line, "progress")),
            silence=lambda s: self._say(f"Still at it after {s:.0f} s: {doing}", "progress"),
        )
        if ended.code != 0:
            tail = " / ".join(ended.tail)
            raise DeployError(
                f"{self.engine.words} could not {doing}{f': {tail}' if tail else ''}"
                f" (it ended with {ended.code})"
            )
        return ended

    def _asked(self, command: Sequence[str], doing: str) -> str:
        return self._run(command, doing, ASK_LIMIT_S, quiet=True).output.strip()

    def _say(self, message: str, level: Level = "info") -> None:
        self._emit(Event(step=STEP, level=level, message=message))
