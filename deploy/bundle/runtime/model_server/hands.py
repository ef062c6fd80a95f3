"""Who makes the calls of the model that are too long for the event loop: threads, here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from .calls import Answer, answer, no_answer
from .errors import ModelError, RequestError
from .loaders import Model
from .overdue import Stop, stopper_of
from .values import Batch, Method

Done = Callable[[list[Answer]], None]


class Running(Protocol):
    """A call that is being made."""

    def stop(self, wrong: RequestError) -> None:
        """Have it stop, if that can be done; then whoever waits is told `wrong`."""

    def leave(self) -> None:
        """It has not stopped: go on without it."""


class Hands(Protocol):
    """All methods belong to one event loop."""

    stuck: bool  # somebody works on what was left

    def ask(self, batches: list[Batch], method: Method, done: Done) -> Running:
        """Have the model answer; `done` is called on the loop. Not called for more at once than
        there are workers."""

    def close(self) -> None:
        """Take no more; what runs is not waited for."""


class Threads:
    """For models that let go of Python's lock while they work.

    Nobody can end a thread. When one is left, another takes its place, and `broken` hears of it:
    the server has to end, and does so in its own time.
    """

    def __init__(
        self, model: Model, count: int, broken: Callable[[ModelError], None] = lambda _: None
    ) -> None:
        self._model, self._count, self._broken = model, count, broken
        self._pool: ThreadPoolExecutor | None = None
        self.stuck = False

    def ask(self, batches: list[Batch], method: Method, done: Done) -> Running:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="predict")
        call = _Call(self, self._model, batches, method, done)
        running = asyncio.get_running_loop().run_in_executor(self._pool, call.work)
        running.add_done_callback(call.ended)
        return call

    def left(self) -> None:
        """A thread goes on with what nobody waits for."""
        self.stuck, self._pool = True, None
        self._broken(ModelError(
            "a prediction does not come to an end and cannot be stopped, so this server ends"
        ))  # fmt: skip

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)


class _Call:
    def __init__(
        self, threads: Threads, model: Model, batches: list[Batch], method: Method, done: Done
    ) -> None:
        self._threads, self._model = threads, model
        self._batches, self._method, self._done = batches, method, done
        self._stop: Stop | None = None
        self._wrong: RequestError | None = None
        self._is_over = False

    def work(self) -> list[Answer]:
        """In the thread."""
        self._stop = stopper_of(self._model)
        return answer(self._model, self._batches, self._method)

    def stop(self, wrong: RequestError) -> None:
        self._wrong = wrong
        if self._stop is not None:
            self._stop()

    def leave(self) -> None:
        if not self._is_over:
            self._threads.left()  # first: whoever waits behind it is asked in another thread
            self._finish([])

    def ended(self, future: asyncio.Future[list[Answer]]) -> None:
        self._finish([] if future.cancelled() else future.result())

    def _finish(self, answers: list[Answer]) -> None:
        if not self._is_over:
            self._is_over = True
            wrong = self._wrong
            self._done(answers if wrong is None else no_answer(self._batches, wrong))
