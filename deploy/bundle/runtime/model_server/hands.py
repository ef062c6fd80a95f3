"""Who makes the calls of the model that are too long for the event loop: threads, here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from .calls import Answer, answer
from .loaders import Model
from .values import Batch, Method

Done = Callable[[list[Answer]], None]


class Hands(Protocol):
    """All methods belong to one event loop."""

    def ask(self, batches: list[Batch], method: Method, done: Done) -> None:
        """Have the model answer; `done` is called on the loop. Not called for more at once than
        there are workers."""

    def close(self) -> None:
        """Take no more; what runs is not waited for."""


class Threads:
    """For models that let go of Python's lock while they work."""

    def __init__(self, model: Model, count: int) -> None:
        self._model, self._count = model, count
        self._pool: ThreadPoolExecutor | None = None

    def ask(self, batches: list[Batch], method: Method, done: Done) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="predict")

        def ended(future: asyncio.Future[list[Answer]]) -> None:
            done([] if future.cancelled() else future.result())

        running = asyncio.get_running_loop().run_in_executor(
            self._pool, answer, self._model, batches, method
        )
        running.add_done_callback(ended)

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
