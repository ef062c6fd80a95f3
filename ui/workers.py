"""A small pool of worker processes for what is computed beside the page. Knows no Streamlit.

What takes many verdicts would hold every session if it ran in the server's own process. The pool
starts with the first job, gives its processes back after a quiet time, begins anew when one of
them dies, and ends with the server.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from loky import ProcessPoolExecutor

from advisor.errors import AdvisorError

# The page's own process needs a core; a second worker would take it, and 150 MB.
WORKERS = max(1, min(2, (os.cpu_count() or 2) - 1))
MOST_AT_ONCE = 64  # running and waiting; more would be answered long after anybody reads it
QUIET_S = 120
NICENESS = 15  # a verdict that somebody waits for goes first
_TRIES = 2


class BusyError(AdvisorError):
    """More was asked for than the pool takes; nothing was begun."""


class WorkerDiedError(AdvisorError):
    """The process that computed it was ended, twice; nothing of it was kept."""


class Job:
    """Something that is being computed: a future that can also be stopped while it runs."""

    def __init__(self, wanted: Path) -> None:
        self.future: Future[Any] = Future()
        self._wanted = wanted

    def stop(self) -> None:
        """Nobody wants it any more: it does not begin, or ends at its next look at `wanted`."""
        self._wanted.unlink(missing_ok=True)
        self.future.cancel()


class Workers:
    """Runs functions in worker processes, at most `most` of them waiting or running."""

    def __init__(
        self, workers: int = WORKERS, most: int = MOST_AT_ONCE, niceness: int = NICENESS
    ) -> None:
        self.workers, self.most, self.niceness = workers, most, niceness
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()
        self._under_way = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._count = 0

    def submit(self, job: Callable[..., Any], *args: Any) -> Job:
        """Start `job(*args, wanted)`; it stops early once the file `wanted` is gone.

        `job` is a function of a module. Raises BusyError when too much is under way. The future
        raises what the job raised, or WorkerDiedError when its process was ended twice.
        """
        with self._lock:
            if self._under_way >= self.most:
                raise BusyError(
                    f"{self._under_way} computations are under way, as many as this server takes; "
                    "wait a moment and change an answer again"
                )
            self._under_way += 1
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="advisor-jobs-")
            self._count += 1
            wanted = Path(self._folder.name) / str(self._count)
            wanted.touch()
        started = Job(wanted)
        started.future.add_done_callback(lambda _: self._ended(wanted))
        self._begin(started, job, (*args, str(wanted)), 1)
        return started

    def processes(self) -> list[int]:
        """Process ids of the workers that are up."""
        with self._lock:
            return list(self._pool._processes) if self._pool is not None else []

    def shutdown(self) -> None:
        """End the processes now; what is under way is lost. A later job starts new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
            folder, self._folder = self._folder, None
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)
        if folder is not None:
            folder.cleanup()

    def _begin(
        self, job: Job, call: Callable[..., Any], args: tuple[Any, ...], attempt: int
    ) -> None:
        pool = self._up()
        try:
            running = pool.submit(call, *args)
        except (BrokenProcessPool, RuntimeError) as error:
            self._failed(job, call, args, attempt, pool, error)
            return

        def done(ran: Future[Any]) -> None:
            error = ran.exception()
            if isinstance(error, BrokenProcessPool):
                self._failed(job, call, args, attempt, pool, error)
            elif error is not None:
                _settle(job.future, lambda: job.future.set_exception(error))
            else:
                _settle(job.future, lambda: job.future.set_result(ran.result()))

        running.add_done_callback(done)

    def _failed(
        self,
        job: Job,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        attempt: int,
        pool: ProcessPoolExecutor,
        error: BaseException,
    ) -> None:
        """A process was ended (by the system, for want of memory, by somebody): once more."""
        with self._lock:
            if self._pool is pool:
                self._pool = None
        if attempt < _TRIES:
            # Not on the thread of the broken pool, which is busy ending it.
            threading.Thread(
                target=self._begin, args=(job, call, args, attempt + 1), daemon=True
            ).start()
            return
        died = WorkerDiedError(
            "the process that computed this was ended twice; change an answer to ask again"
        )
        died.__cause__ = error
        _settle(job.future, lambda: job.future.set_exception(died))

    def _up(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    self.workers,
                    timeout=QUIET_S,
                    initializer=_stand_back,
                    initargs=(self.niceness,),
                )
            return self._pool

    def _ended(self, wanted: Path) -> None:
        wanted.unlink(missing_ok=True)
        with self._lock:
            self._under_way -= 1


def is_unwanted(wanted: str) -> Callable[[], bool]:
    """For a job: whether it should stop."""
    return lambda: not os.path.exists(wanted)  # noqa: PTH110 - asked thousands of times a second


def _stand_back(niceness: int) -> None:
    os.nice(niceness)


def _settle(future: Future[Any], put: Callable[[], None]) -> None:
    """Put the outcome into a future that somebody may have cancelled meanwhile."""
    if future.set_running_or_notify_cancel():
        put()
