"""Takes away from this process what loading a model does not need, before the file is touched."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from . import kernel

# Reading these tells nothing about the machine's owner; libraries ask for them when they start.
SYSTEM_READABLE = [
    "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache",
    "/usr/share/zoneinfo", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/proc/sys/vm", "/sys/devices/system/cpu", "/sys/fs/cgroup", "/dev/null", "/dev/urandom",
    "/etc/localtime", "/System/Library",
]  # fmt: skip
FORBIDDEN_EVENTS = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile",
    "subprocess.", "pty.", "socket.", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod",
    "os.chown", "os.link", "os.symlink", "os.truncate", "os.kill", "os.killpg",
    "shutil.", "tempfile.", "webbrowser.", "ftplib.", "smtplib.", "urllib.",
    "http.", "sqlite3.", "winreg.", "msvcrt.",
)  # fmt: skip
CPU_GRACE_S = 2
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def lock_down(limits: dict[str, Any], readable: list[str], parent: int) -> list[str]:
    """Apply every layer that this machine offers and name those that hold.

    `limits`: cpu_s, memory_mb. `readable`: files and folders that may still be read besides the
    libraries. `parent`: the process whose end is the end of this one. There is no way back.
    """
    held = _limit_resources(limits)
    roots = _roots(readable)
    network = kernel.cut_network()
    kernel.end_with_parent(parent)
    files = kernel.restrict_files(roots)
    calls = kernel.restrict_calls()
    sys.addaudithook(_guard(() if files else tuple(os.path.realpath(r) for r in roots)))
    held += [layer for layer in (network, files, calls) if layer]
    held.append("a Python audit hook (no programs, sockets or writing)")
    return held


def _roots(readable: list[str]) -> list[str]:
    import site
    import sysconfig

    libraries = {p for p in sys.path if p} | set(site.getsitepackages())
    libraries |= {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    libraries |= {f"{sys.base_prefix}/lib", f"{sys.prefix}/lib"}
    return [*SYSTEM_READABLE, *sorted(libraries), *readable]


def _limit_resources(limits: dict[str, Any]) -> list[str]:
    try:
        import resource
    except ImportError:  # Windows has none; the time limit of the parent holds there
        return []
    memory = int(limits["memory_mb"]) * 1_000_000
    cpu = int(limits["cpu_s"])
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CPU: cpu,
    }
    if sys.platform == "linux":  # macOS counts reserved address space that is never used
        wanted[resource.RLIMIT_AS] = memory
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        top = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # At the soft limit of processor time the system says so; one who ignores that is killed.
        last = top + CPU_GRACE_S if kind == resource.RLIMIT_CPU else top
        resource.setrlimit(kind, (top, last if hard == resource.RLIM_INFINITY else min(last, hard)))
    return [f"limits of {cpu} s of processor time and {memory // 1_000_000} MB of memory"]


def _guard(roots: tuple[str, ...]) -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook. `roots` is empty where the kernel already limits what can be read."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = (*args, None, None, None)[:3]
            writing = isinstance(flags, int) and flags & _WRITING
            if writing or (isinstance(mode, str) and set(mode) & set("wax+")):
                raise PermissionError(f"writing {path} is blocked while a model is looked at")
            if roots and isinstance(path, (str, bytes)):
                real = os.path.realpath(os.fsdecode(path))
                if not real.startswith(roots):
                    raise PermissionError(f"reading {path!r} is blocked while a model is looked at")
        elif event.startswith(FORBIDDEN_EVENTS):
            raise PermissionError(f"{event} is blocked while a model is looked at")

    return hook
