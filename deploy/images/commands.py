"""How each engine is told to build, sign in, push and remove: argument lists, never a shell.

An image is a single manifest in Docker's format, which SageMaker and Lambda ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.images.engines import PLATFORMS, Architecture, Engine

LOCAL_ONLY = "localhost/"  # an image that no registry has
INSPECT_ARCHITECTURE = {
    "docker": ("image", "inspect", "--format", "{{.Architecture}}"),
    "podman": ("image", "inspect", "--format", "{{.Architecture}}"),
    "buildah": ("inspect", "--type", "image", "--format", "{{.OCIv1.Architecture}}"),
}
# Docker builds through BuildKit where its buildx is installed: no attestations, which would make
# the push an image index, and a log of plain lines.
BUILDKIT = {
    "DOCKER_BUILDKIT": "1",
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    "BUILDKIT_PROGRESS": "plain",
}
CLASSIC = {"DOCKER_BUILDKIT": "0"}


@dataclass(frozen=True)
class Commands:
    """The command lines of one engine. `private` is a directory for sign-in files, 0700."""

    engine: Engine
    private: Path

    def build(self, context: Path, reference: str, architecture: Architecture) -> list[str]:
        base = (context / "Dockerfile").read_text(encoding="utf-8").split("\n", 1)[0]
        newest = [] if base.startswith(f"FROM {LOCAL_ONLY}") else ["--pull"]
        platform = ["--platform", PLATFORMS[architecture]]
        if self.engine.name != "docker":
            how = ["--format", "docker", "--layers", "--force-rm", *platform]
        elif self.engine.has_buildx:
            how = ["--output", "type=docker", *platform]
        else:  # the classic builder makes Docker's format, for the machine's own processor only
            how = []
        return [*self._start(), "build", *newest, *how, "--tag", reference, str(context)]

    def build_environment(self) -> Mapping[str, str]:
        if self.engine.name != "docker":
            return {}
        return BUILDKIT if self.engine.has_buildx else CLASSIC

    def architecture_of(self, reference: str) -> list[str]:
        return [*self._start(), *INSPECT_ARCHITECTURE[self.engine.name], reference]

    def login(self, user: str, registry: str) -> list[str]:
        """The password goes to its input."""
        given = ["--username", user, "--password-stdin", registry]
        return [*self._start(signed_in=True), "login", *self._authfile(), *given]

    def push(self, reference: str) -> list[str]:
        if self.engine.name == "docker":
            return [*self._start(signed_in=True), "push", reference]
        digest = ["--format", "v2s2", "--digestfile", str(self.digest_file)]
        return [*self._start(), "push", *self._authfile(), *digest, reference]

    def pushed_as(self, reference: str) -> list[str]:
        """Docker's own word for what it pushed; the others write `digest_file`."""
        return [*self._start(), "inspect", "--format", "{{index .RepoDigests 0}}", reference]

    def server(self) -> list[str]:
        """Which server Docker talks to: its sign-in directory is ours and does not know."""
        return [*self._start(), "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]

    def remove(self, reference: str) -> list[str]:
        verb = ["rmi"] if self.engine.name == "buildah" else ["image", "rm"]
        return [*self._start(), *verb, reference]

    @property
    def digest_file(self) -> Path:
        return self.private / "digest"

    def _start(self, *, signed_in: bool = False) -> list[str]:
        own = ["--config", str(self.private)] if signed_in and self.engine.name == "docker" else []
        return [self.engine.program, *own]

    def _authfile(self) -> list[str]:
        if self.engine.name == "docker":
            return []
        return ["--authfile", str(self.private / "auth.json")]
