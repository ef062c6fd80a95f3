"""Which container engines of this machine can build an image, and why the others cannot.

An engine that is installed is not yet one that works: Docker's command may have no server to talk
to, and Podman or Buildah no right to make a container. So each is asked.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from advisor.errors import DeployError, PreflightError
from deploy.images import child

Architecture = Literal["x86_64", "arm64"]
EngineName = Literal["docker", "podman", "buildah"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
LOOK_LIMIT_S = 30.0

HOW_TO_GET = {
    "docker": "start Docker, or install it from docs.docker.com/engine/install",
    "podman": "install it (on Debian: apt install podman)",
    "buildah": "install it (on Debian: apt install buildah)",
}
ARCHITECTURES: Mapping[str, Architecture] = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "aarch64": "arm64",
    "arm64": "arm64",
}
PLATFORMS: Mapping[Architecture, str] = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
# Where Linux keeps the emulators that run other processors' programs.
EMULATORS = Path("/proc/sys/fs/binfmt_misc")
EMULATOR_NAMES: Mapping[Architecture, str] = {"x86_64": "qemu-x86_64", "arm64": "qemu-aarch64"}


@dataclass(frozen=True)
class Engine:
    """An engine that answered: its program, version, and the processors it can build for."""

    name: EngineName
    program: str
    version: str
    architecture: Architecture
    builds_for: frozenset[Architecture]
    has_buildx: bool = False  # Docker's own: builds through BuildKit

    @property
    def words(self) -> str:
        return f"{self.name.capitalize()} {self.version} on this machine"


@dataclass(frozen=True)
class Unusable:
    """An engine that cannot build here: why, and what to do about it."""

    name: EngineName
    because: str
    fix: str


def look(name: EngineName) -> Engine | Unusable:
    """Ask one engine whether it works. Blocks for at most some 30 seconds; changes nothing."""
    program = shutil.which(name)
    if program is None:
        return Unusable(name, f"{name} is not on this machine's PATH", HOW_TO_GET[name])
    try:
        return _docker(program) if name == "docker" else _daemonless(name, program)
    except DeployError as error:
        return Unusable(name, str(error), HOW_TO_GET[name])


def engines() -> list[Engine | Unusable]:
    """Every engine that is known, working or not."""
    return [look(name) for name in ENGINES]


def engine_for(name: EngineName, architecture: Architecture) -> Engine:
    """The engine, if it works and can build for that processor.

    Raises PreflightError saying why not and what to do.
    """
    found = look(name)
    if isinstance(found, Unusable):
        raise PreflightError(f"{found.because}; {found.fix}")
    if architecture not in found.builds_for:
        raise PreflightError(
            f"{found.words} builds for {found.architecture} and the plan's machine is "
            f"{architecture}; install its emulator (apt install qemu-user-static), or have "
            "CodeBuild build the image"
        )
    return found


def _docker(program: str) -> Engine | Unusable:
    """`docker info` ends well only when a server answered."""
    about = _asked(program, "info", "--format", "{{json .}}")
    architecture = ARCHITECTURES.get(about.get("Architecture", ""))
    if about.get("OSType") != "linux" or architecture is None:
        runs = f"{about.get('OSType') or 'nothing'}/{about.get('Architecture') or '?'}"
        return Unusable("docker", f"the Docker server runs {runs}", "switch to Linux containers")
    builds_for = {architecture}
    buildx = _said(program, "buildx", "inspect")
    if buildx is not None:
        builds_for |= {arch for arch, name in PLATFORMS.items() if name in buildx}
    version = str(about.get("ServerVersion", ""))
    return Engine("docker", program, version, architecture, frozenset(builds_for), bool(buildx))


def _daemonless(name: EngineName, program: str) -> Engine | Unusable:
    about = _asked(program, "info", *(["--format", "json"] if name == "podman" else []))
    architecture = ARCHITECTURES.get(about.get("host", {}).get("arch", ""))
    if architecture is None:
        return Unusable(name, f"{name} does not tell its processor", HOW_TO_GET[name])
    version = (_said(program, "--version") or "").split()
    builds_for = {architecture, *(a for a in PLATFORMS if _is_emulated(a))}
    number = version[2] if len(version) > 2 else ""
    return Engine(name, program, number, architecture, frozenset(builds_for))


def _asked(program: str, *arguments: str) -> dict[str, Any]:
    """What the engine says of itself. Raises DeployError with its own words when it does not."""
    ended = child.run([program, *arguments], environment=os.environ, limit_s=LOOK_LIMIT_S)
    name = Path(program).name
    if ended.code != 0:
        why = ended.errors[-1] if ended.errors else f"it ended with {ended.code}"
        raise DeployError(f"{name} does not work here: {why}")
    try:
        about = json.loads(ended.output)
    except json.JSONDecodeError:
        about = None
    if not isinstance(about, dict):
        raise DeployError(f"{name} does not work here: it said nothing of itself")
    return about


def _said(program: str, *arguments: str) -> str | None:
    """What a question gave, None when it could not be answered."""
    ended = child.run([program, *arguments], environment=os.environ, limit_s=LOOK_LIMIT_S)
    return ended.output if ended.code == 0 else None


def _is_emulated(architecture: Architecture) -> bool:
    try:
        said = (EMULATORS / EMULATOR_NAMES[architecture]).read_text(encoding="ascii")
    except OSError:  # not Linux, or no emulator
        return False
    return said.startswith("enabled")
