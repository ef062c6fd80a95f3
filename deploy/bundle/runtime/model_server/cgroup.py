"""What the container may use of the machine: Linux control groups of both versions.

A limit can stand at any group from the process' own up to the root that is mounted here, and the
least of them holds. Where containers have a namespace of their own, theirs is the root; where not,
/proc/self/cgroup tells the path on the host, and the mount tells which part of it is mounted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc/self")
VERSION_1, VERSION_2 = "cgroup", "cgroup2"


@dataclass(frozen=True)
class Mount:
    version: str
    root: str  # the group that is mounted
    point: Path
    options: frozenset[str]  # controllers, of version 1


def processors(proc: Path = PROC) -> int:
    """Processors to use: the least quota, rounded up, or fewer where the process is bound to some
    (affinity, cpuset)."""
    affinity = getattr(os, "sched_getaffinity", None)
    available = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = min(_limits("cpu", _quota, proc), default=math.inf)
    return max(1, min(available, math.ceil(min(quota, available))))


def memory_limit(proc: Path = PROC) -> int | None:
    """Bytes that the container may have; None when nobody says."""
    found = min(_limits("memory", _memory, proc), default=math.inf)
    return None if math.isinf(found) or found > _machine_bytes() else int(found)


def resident(proc: Path = PROC) -> int | None:
    """Bytes that this process has in memory; None where nobody tells."""
    try:
        pages = int((proc / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _limits(
    controller: str, read: Callable[[Path, str], float | None], proc: Path
) -> Iterator[float]:
    """What the groups say, from the own one to the mounted root."""
    try:
        mounts = list(_mounts((proc / "mountinfo").read_text()))
        own = _own_groups((proc / "cgroup").read_text())
    except OSError:  # no Linux
        return
    for mount in mounts:
        if mount.version == VERSION_1 and controller not in mount.options:
            continue
        path = own.get("" if mount.version == VERSION_2 else controller)
        if path is None:
            continue
        group = mount.point / _below(path, mount.root)
        while True:
            found = read(group, mount.version)
            if found is not None:
                yield found
            if group == mount.point:
                break
            group = group.parent


def _mounts(mountinfo: str) -> Iterator[Mount]:
    """See proc(5): id, parent, device, root, mount point, options, optional fields, a dash, kind,
    source, options of the kind. Blanks in paths are written in octal."""
    for line in mountinfo.splitlines():
        fields, dash, kind = line.partition(" - ")
        words, kinds = fields.split(), kind.split()
        if dash and len(words) > 4 and len(kinds) > 2 and kinds[0] in (VERSION_1, VERSION_2):
            point = Path(words[4].replace("\\040", " "))
            yield Mount(kinds[0], words[3], point, frozenset(kinds[2].split(",")))


def _own_groups(text: str) -> dict[str, str]:
    """Path by controller; version 2 has the name ""."""
    found = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            found[""] = path
        else:
            found |= dict.fromkeys(names.split(","), path)
    return found


def _below(path: str, root: str) -> str:
    """The part of a group's path that is mounted; "" where it lies outside of it."""
    try:
        below = PurePosixPath(path).relative_to(root)
    except ValueError:
        return ""
    return "" if ".." in below.parts else str(below)


def _quota(group: Path, version: str) -> float | None:
    """Processors."""
    if version == VERSION_2:
        words = _words(group / "cpu.max")
        quota, period = words if len(words) == 2 else ("max", "0")
    else:
        quota = next(iter(_words(group / "cpu.cfs_quota_us")), "-1")
        period = next(iter(_words(group / "cpu.cfs_period_us")), "0")
    if not quota.isdigit() or not period.isdigit() or int(quota) == 0 or int(period) == 0:
        return None  # "max", "-1", or nothing
    return int(quota) / int(period)


def _memory(group: Path, version: str) -> float | None:
    """Bytes. Version 1 has no word for "no limit": it is a number larger than any machine."""
    name = "memory.max" if version == VERSION_2 else "memory.limit_in_bytes"
    value = next(iter(_words(group / name)), "max")
    return int(value) if value.isdigit() else None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:  # the root has none, nor a group whose controller is off
        return []


def _machine_bytes() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return math.inf
