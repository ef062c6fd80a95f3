"""Processes forked from the one that has loaded the model, and what becomes of them.

The model's memory is shared as long as nobody writes to it, and nothing is loaded twice.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable

from .log import Log

CAN_FORK = sys.platform == "linux"  # elsewhere system libraries may not survive it
DEATHS, WITHIN_S = 5, 60.0  # so many in so short a time are more than bad luck
REAP_S, REAP_TRIES = 0.05, 200
PR_SET_PDEATHSIG = 1  # prctl(2)


def fork(line: socket.socket, live: Callable[[], None], log: Log) -> int:
    """The process id of a fork that keeps `line` and the standard streams of what is open, does
    `live`, and ends. Raises OSError when the system has no room for more processes.

    Called on the event loop, where no other thread works: the one that loads waits for this.
    """
    log.flush()  # or both would write what waits
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for stop in (signal.SIGTERM, signal.SIGINT):  # the parent drains, and then hangs up
            signal.signal(stop, signal.SIG_IGN)
        os.closerange(3, line.fileno())
        os.closerange(line.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        live()
        code = 0
    finally:
        os._exit(code)


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process with the one it was forked from: who is in the middle of a
    call does not hear that its line is gone. For those whose answers nobody else wants."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it went before
        os._exit(1)


class Deaths:
    """Counts the ends of processes."""

    def __init__(self) -> None:
        self._at: deque[float] = deque()

    def too_many(self) -> bool:
        """One more has ended: are those too many by now?"""
        now = time.monotonic()
        self._at.append(now)
        while self._at[0] < now - WITHIN_S:
            self._at.popleft()
        return len(self._at) >= DEATHS


def reap(loop: asyncio.AbstractEventLoop, pid: int, log: Log, tries: int = REAP_TRIES) -> None:
    """Its end is seen on the line a moment before the system has it."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        log.event("worker ended", "error", pid=pid, code=os.waitstatus_to_exitcode(status))
    elif tries:
        loop.call_later(REAP_S, reap, loop, pid, log, tries - 1)
