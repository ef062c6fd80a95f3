"""Worker processes, for Python models, whose threads wait for each other.

The parent keeps the connections and the one queue; each process answers one call at a time over a
pair of sockets, and ends with the parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from .calls import Answer, answer, no_answer
from .errors import ModelError, RequestError
from .forked import DEATHS, WITHIN_S, Deaths, end_with_parent, fork, reap
from .hands import Done, Running
from .loaders import Model
from .log import Log
from .values import Batch, Method

SIZE = struct.Struct("<Q")  # before each message


class Crew:
    """`count` processes with the model. All methods belong to one event loop."""

    def __init__(
        self, model: Model, count: int, log: Log, broken: Callable[[ModelError], None]
    ) -> None:
        """`broken` is told when the processes end again and again."""
        self._model, self._count, self._log, self._broken = model, count, log, broken
        self.stuck = False  # a process can always be ended
        self._workers: list[_Worker] = []
        self._free: list[_Worker] = []
        self._waiting: deque[_Asked] = deque()  # while one is replaced
        self._deaths = Deaths()
        self._closed = self._broken_down = False

    async def start(self) -> None:
        """Fork all of them. Raises OSError when the system has no room for more processes."""
        for _ in range(self._count):
            await self._hire()

    def ask(self, batches: list[Batch], method: Method, done: Done) -> Running:
        asked = _Asked(batches, method, done)
        self._ask(asked)
        return asked

    def _ask(self, asked: _Asked) -> None:
        if self._broken_down:
            asyncio.get_running_loop().call_soon(asked.finish)
            return
        self._waiting.append(asked)
        self._give()

    def close(self) -> None:
        self._closed = True
        for worker in self._workers:
            worker.line.close()

    def answered(self, worker: _Worker) -> None:
        """A worker is free again."""
        self._free.append(worker)
        self._give()

    def lost(self, worker: _Worker) -> None:
        """A worker's process has ended, or never said why."""
        self._workers.remove(worker)
        if worker in self._free:
            self._free.remove(worker)
        if self._closed:
            return
        reap(asyncio.get_running_loop(), worker.pid, self._log)
        meant = worker.give_up()
        if not meant and self._deaths.too_many():
            self._give_up(
                f"{DEATHS} processes with the model ended within {WITHIN_S:.0f} s; it crashes, or "
                "there is too little memory"
            )
            return
        self._replacing = asyncio.get_running_loop().create_task(self._replace())

    async def _replace(self) -> None:
        try:
            await self._hire()
        except OSError as error:
            self._give_up(f"no process for the model can be started: {error.strerror}")

    def _give_up(self, because: str) -> None:
        self._broken_down = True
        while self._waiting:
            self._ask(self._waiting.popleft())
        self._broken(ModelError(because))

    async def _hire(self) -> None:
        mine, theirs = socket.socketpair()
        parent = os.getpid()
        pid = fork(theirs, lambda: _work(theirs, self._model, parent), self._log)
        theirs.close()
        mine.setblocking(False)
        worker = _Worker(self, pid)
        await asyncio.get_running_loop().create_unix_connection(lambda: worker, sock=mine)
        self._workers.append(worker)
        self.answered(worker)

    def _give(self) -> None:
        while self._waiting and self._free:
            asked = self._waiting.popleft()
            if not asked.is_over:
                self._free.pop().ask(asked)


class _Asked:
    """One call, from the queue to its answer."""

    def __init__(self, batches: list[Batch], method: Method, done: Done) -> None:
        self.batches, self.method = batches, method
        self.worker: _Worker | None = None
        self.wrong: RequestError | None = None  # why it was stopped
        self.is_over = False
        self._done = done

    def stop(self, wrong: RequestError) -> None:
        """End the process that works on it; the crew replaces it."""
        self.wrong = wrong
        if self.worker is None:
            self.finish()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.worker.pid, signal.SIGKILL)

    def leave(self) -> None:
        """A process always ends."""

    def finish(self, answers: list[Answer] | None = None) -> None:
        """`answers`: None where there are none, and will be none."""
        if not self.is_over:
            self.is_over = True
            self._done(answers or no_answer(self.batches, self.wrong or _ended()))


class _Worker(asyncio.Protocol):
    """The parent's end of the line to one process."""

    line: Any

    def __init__(self, crew: Crew, pid: int) -> None:
        self.pid = pid
        self._crew = crew
        self._read = bytearray()
        self._asked: _Asked | None = None

    def ask(self, asked: _Asked) -> None:
        self._asked, asked.worker = asked, self
        self.line.write(_message((asked.batches, asked.method)))

    def give_up(self) -> bool:
        """Tell whoever waits that there will be no answer; whether that was meant."""
        asked = self._asked
        self._finish(None)
        return asked is not None and asked.wrong is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.line = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._crew.lost(self)

    def data_received(self, data: bytes) -> None:
        self._read += data
        if len(self._read) < SIZE.size:
            return
        (size,) = SIZE.unpack_from(self._read)
        if len(self._read) < SIZE.size + size:
            return
        answers = pickle.loads(memoryview(self._read)[SIZE.size :])  # noqa: S301 - our own process
        self._read = bytearray()
        self._finish(answers)
        self._crew.answered(self)

    def _finish(self, answers: list[Answer] | None) -> None:
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.worker = None
            asked.finish(answers)


def _work(line: socket.socket, model: Model, parent: int) -> None:
    """The whole life of a worker process: it keeps nothing of its parent's but the model."""
    end_with_parent(parent)
    while (asked := _next(line)) is not None:
        batches, method = pickle.loads(asked)  # noqa: S301 - our own process
        line.sendall(_message(answer(model, batches, method)))


def _ended() -> RequestError:
    return RequestError(
        500, "worker_ended", "the process that computed this ended before it had an answer"
    )


def _message(content: Any) -> bytes:
    packed = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return SIZE.pack(len(packed)) + packed


def _next(line: socket.socket) -> bytearray | None:
    """One message; None when the parent is gone."""
    head = _exactly(line, SIZE.size)
    return None if head is None else _exactly(line, SIZE.unpack(head)[0])


def _exactly(line: socket.socket, size: int) -> bytearray | None:
    whole = bytearray(size)
    left = memoryview(whole)
    while left:
        count = line.recv_into(left)
        if not count:
            return None
        left = left[count:]
    return whole
