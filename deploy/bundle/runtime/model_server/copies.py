"""Copies of the whole server, for models so quick that reading a request and writing its answer
takes as long as the prediction.

One event loop reads, predicts and writes for one processor, however many there are, and handing
such a call to another process costs as much as it saves. So there is a process with a loop of its
own for each processor. This one accepts the connections and gives each to the copy that has the
fewest; what a client asks over its connection waits for that copy alone. Those are several queues
and not one: with calls of at most two milliseconds the wait that this may add is some milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import ModelError
from .forked import DEATHS, WITHIN_S, Deaths, fork, reap
from .log import Log
from .telemetry import Metrics

START_S = 20.0  # for a first prediction; what was forked has nothing to load
SPARE_S = 2.0


@dataclass(eq=False)
class _Copy:
    place: int  # of its figures
    pid: int
    line: socket.socket
    given: int = 0  # connections
    ready: bool = False


class Copies:
    """`count` processes that serve. All methods belong to one event loop."""

    def __init__(
        self,
        count: int,
        live: Callable[[socket.socket, int], None],
        metrics: Metrics,
        log: Log,
        drain_s: float,
        broken: Callable[[ModelError], None],
    ) -> None:
        """`live`: the whole life of a copy, with its line and its place among the metrics; `broken`
        is told when the copies end again and again."""
        self.count = count
        self._live, self._metrics, self._log = live, metrics, log
        self._drain_s, self._broken = drain_s, broken
        self._all: list[_Copy] = []
        self._serves = self._closed = False
        self._changed = asyncio.Event()
        self._deaths = Deaths()

    async def start(self) -> None:
        """Fork all, and wait until each has made a prediction. Raises ModelError when one cannot;
        then none is left."""
        self._metrics.share(self.count)
        try:
            for place in range(1, self.count + 1):
                self._fork(place)
            async with asyncio.timeout(START_S):
                while sum(copy.ready for copy in self._all) < self.count:
                    if len(self._all) < self.count:
                        raise ModelError("a copy of the server ended before it was ready")
                    self._changed.clear()
                    await self._changed.wait()
            self._serves = True
        except TimeoutError as late:
            raise ModelError(f"a copy of the server was not ready after {START_S:.0f} s") from late
        except OSError as error:
            raise ModelError(f"no copy of the server can be started: {error.strerror}") from error
        finally:
            if not self._serves:
                self._kill()

    def take(self, transport: Any) -> bool:
        """Give a connection on which nothing was read to the copy with the fewest. False: to none;
        it is answered here."""
        ready = [copy for copy in self._all if copy.ready] if self._serves else []
        if not ready:
            return False
        copy = min(ready, key=lambda c: (c.given - self._metrics.left_at(c.place), c.given))
        try:
            socket.send_fds(copy.line, [b"c"], [transport.get_extra_info("socket").fileno()])
        except OSError:
            return False  # its line is full, or it is just ending
        copy.given += 1
        return True

    def drain(self) -> None:
        """Have all of them finish what has begun, and end."""
        self._serves, self._closed = False, True
        for copy in self._all:
            with contextlib.suppress(OSError):
                copy.line.shutdown(socket.SHUT_WR)

    async def ended(self) -> None:
        """Wait until all have ended; those that take too long are killed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s + SPARE_S):
                while self._all:
                    self._changed.clear()
                    await self._changed.wait()
        self._kill()

    def _fork(self, place: int) -> None:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setblocking(False)
        try:
            pid = fork(theirs, lambda: self._live(theirs, place), self._log)
        except OSError:
            mine.close()
            raise
        finally:
            theirs.close()
        copy = _Copy(place, pid, mine)
        self._all.append(copy)
        asyncio.get_running_loop().add_reader(mine.fileno(), self._heard, copy)

    def _heard(self, copy: _Copy) -> None:
        try:
            said = copy.line.recv(16)
        except BlockingIOError:
            return
        except ConnectionError:
            said = b""
        if said:
            copy.ready = True
        else:
            self._lost(copy)
        self._changed.set()

    def _lost(self, copy: _Copy) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(copy.line.fileno())
        copy.line.close()
        self._all.remove(copy)
        if self._closed:
            return
        reap(loop, copy.pid, self._log)
        if not self._serves:
            return
        if self._deaths.too_many():
            self._give_up(
                f"{DEATHS} copies of the server ended within {WITHIN_S:.0f} s; the model crashes, "
                "or there is too little memory"
            )
            return
        try:
            self._fork(copy.place)
        except OSError as error:
            self._give_up(f"no copy of the server can be started: {error.strerror}")

    def _give_up(self, because: str) -> None:
        self._serves = False
        self._broken(ModelError(because))

    def _kill(self) -> None:
        self._closed = True
        loop = asyncio.get_running_loop()
        for copy in self._all:
            loop.remove_reader(copy.line.fileno())
            copy.line.close()
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(copy.pid, signal.SIGKILL)
                os.waitpid(copy.pid, 0)
        self._all.clear()
