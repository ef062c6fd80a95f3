"""Linux's own locks, through plain system calls: Landlock, seccomp and network namespaces.

Sources: kernel documentation "Landlock: unprivileged access control" and "Seccomp BPF (SECure
COMPuting with filters)"; system call numbers from the kernel's unistd headers (6.1).
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from pathlib import Path

CLONE_NEWNET, CLONE_NEWUSER, CLONE_THREAD = 0x40000000, 0x10000000, 0x00010000
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
# O_WRONLY O_RDWR O_CREAT O_TRUNC O_APPEND, the same on both architectures
WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000
ARCHES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
# name: (x86_64, aarch64); None where that architecture has no such call
DENIED: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    "listen": (50, 201), "execve": (59, 221), "execveat": (322, 281), "fork": (57, None),
    "vfork": (58, None), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "kill": (62, 129), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "creat": (85, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None),
    "renameat": (264, 38), "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37),
    "symlink": (88, None), "symlinkat": (266, 36), "mkdir": (83, None), "mkdirat": (258, 34),
    "rmdir": (84, None), "mknod": (133, None), "mknodat": (259, 33), "truncate": (76, 45),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "utimensat": (280, 88),
    "futimesat": (261, None), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "mount": (165, 40), "umount2": (166, 39), "move_mount": (429, 429), "fsopen": (430, 430),
    "open_tree": (428, 428), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "init_module": (175, 105),
    "finit_module": (313, 273), "kexec_load": (246, 104), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "reboot": (169, 142),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "personality": (135, 92),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
}  # fmt: skip
CLONE, CLONE3, OPEN, OPENAT, OPENAT2 = (56, 220), (435, 435), (2, None), (257, 56), (437, 437)


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process when the one that started it is gone, however it went.

    Not beyond a change of user: called once that is done.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it went before
        os._exit(1)


def cut_network() -> str | None:
    """Move into a network namespace without interfaces; None where that is not permitted."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return "a network namespace without interfaces"
    return None


def restrict_files(readable: list[str]) -> str | None:
    """Landlock: from now on only `readable` can be read and nothing can be written.

    None where the kernel has no Landlock (before 5.13, or switched off).
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(444, None, 0, 1)
    if abi < 1:
        return None
    rights = (1 << {1: 13, 2: 14}.get(abi, 15 if abi < 5 else 16)) - 1
    form = struct.pack("<Q", rights)
    if abi >= 4:
        form += struct.pack("<Q", 3)  # no TCP bind, no TCP connect
    if abi >= 6:
        form += struct.pack("<Q", 3)  # no abstract sockets of others, no signals to others
    ruleset = libc.syscall(444, ctypes.create_string_buffer(form, len(form)), len(form), 0)
    if ruleset < 0:
        return None
    for path in readable:
        _allow_reading(libc, ruleset, path)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    done = libc.syscall(446, ruleset, 0) == 0
    os.close(ruleset)
    return "Landlock (reads the libraries and the model, writes nothing)" if done else None


def restrict_calls() -> str | None:
    """seccomp: no network, no new program or process, no writing, whatever the code is.

    None where the kernel or the architecture does not offer it.
    """
    arch = ARCHES.get(platform.machine())
    if sys.platform != "linux" or arch is None:
        return None
    program = _filter(*arch)
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    prog = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    prog_buffer = ctypes.create_string_buffer(prog, len(prog))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    done = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, prog_buffer, 0, 0) == 0
    return "seccomp (no sockets, no programs, no processes, no writing)" if done else None


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # a path that is not there needs no permission
    try:
        reading = (1 << 2) | (1 << 3) if Path(path).is_dir() else 1 << 2
        rule = struct.pack("<Qi", reading, handle)
        libc.syscall(445, ruleset, 1, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(handle)


def _filter(column: int, audit_arch: int) -> bytes:
    """The BPF program: one pass over the call number, then over the flags of open and clone."""
    lines: list[tuple[int, int, int, int]] = []
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06

    def deny(number: int, errno: int) -> None:
        lines.extend([(equal, 0, 1, number), (give, 0, 0, ERRNO | errno)])

    lines += [(load, 0, 0, 4), (equal, 1, 0, audit_arch), (give, 0, 0, KILL), (load, 0, 0, 0)]
    if column == 0:  # the x32 call table would be a way around
        lines += [(at_least, 0, 1, 0x40000000), (give, 0, 0, ERRNO | EPERM)]
    for numbers in DENIED.values():
        if numbers[column] is not None:
            deny(numbers[column], EPERM)  # type: ignore[arg-type]
    for numbers in (CLONE3, OPENAT2):  # their flags lie in memory: "not implemented" is understood
        deny(numbers[column], ENOSYS)
    for number, argument, bits, forbidden in (
        (OPEN[column], 1, WRITING, True),
        (OPENAT[column], 2, WRITING, True),
        (CLONE[column], 0, CLONE_THREAD, False),
    ):
        if number is None:
            continue
        refuse, permit = (give, 0, 0, ERRNO | EPERM), (give, 0, 0, ALLOW)
        lines += [
            (equal, 0, 4, number),
            (load, 0, 0, 16 + 8 * argument),
            (any_bit, 0, 1, bits),
            refuse if forbidden else permit,
            permit if forbidden else refuse,
        ]
    lines.append((give, 0, 0, ALLOW))
    return b"".join(struct.pack("HBBI", *line) for line in lines)
