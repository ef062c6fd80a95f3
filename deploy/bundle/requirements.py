"""Pins packages and everything they need to the versions installed here."""

from __future__ import annotations

import importlib.metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from advisor.errors import ArtifactError

# Images are built for Linux, whatever this machine is.
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
OPTIONAL = frozenset({"uvloop"})  # does not exist for Windows; the server does without


def pinned(packages: list[str]) -> list[str]:
    """`name==version` lines for the packages and all that they require, sorted.

    Raises ArtifactError naming a package that is not installed here.
    """
    found: dict[str, str] = {}
    todo = [Requirement(p) for p in packages]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        wanted = todo.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            package = importlib.metadata.distribution(wanted.name)
        except importlib.metadata.PackageNotFoundError as missing:
            if name in OPTIONAL:
                continue
            raise ArtifactError(
                f"the bundle needs {wanted.name}, which is not installed here; "
                f"pip install {wanted.name}"
            ) from missing
        found[name] = package.version
        todo += [r for r in map(Requirement, package.requires or []) if _applies(r, extras)]
    return sorted(f"{name}=={version}" for name, version in found.items())


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({**LINUX, "extra": extra}) for extra in (extras or {""}))
