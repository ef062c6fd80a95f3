"""One first-come queue in front of the workers, with batching that never waits.

A request that finds a free worker starts at once. Requests that arrive while all workers are busy
wait in one queue; the worker that becomes free takes the first of them and, where the model gains
from it, those that follow, as one call. No timer holds a request back, so a lone request is never
slower for it. Calls shorter than `INLINE_SECONDS` run on the event loop itself: handing them to a
thread would take longer than the work.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from .calls import Answer, Job, answer, as_request_error, no_answer, stackable
from .errors import ModelError, RequestError
from .hands import Hands, Threads
from .loaders import Model
from .overdue import ABANDONED_S, GRACE_S, OnLoop, too_slow
from .speed import Speed
from .telemetry import Metrics
from .values import Batch, Method, Output

INLINE_SECONDS = 0.002
COUNTED_SECONDS = 0.0001  # shorter calls do not add up to much in one turn of the loop
WAIT_SECONDS = 5.0  # a queue longer than this answers too late to be worth keeping
QUEUE_BOUNDS = (16, 4096)
GAIN_NEEDED = 2.0
# What a shared call must save a row, or sharing costs as much. Warming up measures calls in a row;
# between requests, with other code in the processor's caches, a call takes three times as long.
SAVED_SECONDS = 0.00001


class Engine:
    """Predictions in order of arrival. All methods but `close` belong to one event loop."""

    def __init__(
        self,
        model: Model,
        speed: Speed,
        metrics: Metrics,
        *,
        workers: int = 1,
        queue_size: int | None = None,
        max_batch_rows: int = 64,
        inline_only: bool = False,
        hands: Hands | None = None,
        limit_s: float = math.inf,
        on_loop: OnLoop | None = None,
        broken: Callable[[ModelError], None] = lambda _: None,
    ) -> None:
        """`hands`: who makes the calls that are too long for the loop; threads, unless given.
        `limit_s`: for one such call. `on_loop` watches the others. `broken` is told when a call
        neither ends nor can be stopped."""
        self.model, self.speed, self._metrics = model, speed, metrics
        self.workers = workers
        self.batching = (
            speed.gain >= GAIN_NEEDED
            and speed.one_row * (1 - 1 / speed.gain) >= SAVED_SECONDS
            and max_batch_rows > 1
            and not model.signature.fixed_batch
        )
        self.queue_size = self._default_queue() if queue_size is None else queue_size
        self._max_rows = max_batch_rows
        self._inline_only = inline_only
        self._quick_rows = self._most_rows_inline()
        self._jobs: deque[Job] = deque()
        self._rows_waiting = 0  # in all of them; summing them up at every refusal would be slow
        self._busy = 0
        self._woken = False
        self._seen = 0  # jobs that waited when the loop was last let read on
        self._gathers_until = 0.0
        self._served_in_turn, self._spent_in_turn = False, 0.0
        self._crowded = False  # the last call was shared, or could have been
        self._hands = hands or Threads(model, workers, broken)
        self._limit_s, self._on_loop = limit_s, on_loop

    def submit(self, batch: Batch, method: Method) -> asyncio.Future[Output]:
        """Queue a batch. Raises RequestError 429 when the queue is full; cancel to give up."""
        self.check_room()
        loop = asyncio.get_running_loop()
        job = Job(batch, method, loop.create_future())
        self._jobs.append(job)
        self._rows_waiting += batch.rows
        self._metrics.waiting = len(self._jobs)
        self._wake()
        return job.future

    def check_room(self) -> None:
        """Raise RequestError 429 when the queue is full.

        Asked before a request is read as well: under overload a refusal has to cost less than an
        answer, or the refused take the processor from the served.
        """
        if len(self._jobs) < self.queue_size + max(self.workers - self._busy, 0):
            return
        self._metrics.refused += 1
        wait = max(1, math.ceil(self._backlog_seconds()))
        raise RequestError(
            429, "busy",
            f"all workers are busy and {len(self._jobs)} requests wait already; "
            f"try again in {wait} s",
            {"retry-after": str(wait)},
        )  # fmt: skip

    def now(self, batch: Batch, method: Method) -> Output | None:
        """The answer at once, when nothing waits or runs and the call is short; else None.

        Not where calls may be shared and there is somebody to share with: a second request in this
        turn of the loop, or in the call before.
        """
        if self._jobs or self._busy or self._crowded or not self._inline(batch.rows):
            return None
        if self._served_in_turn:
            if self._spent_in_turn > INLINE_SECONDS:
                return None
            if self.batching:
                self._crowded = True
                return None
        watch = self._on_loop
        started = time.perf_counter()
        if watch is not None:
            watch.begin(started)
        try:
            return self.model.predict(batch, method)
        except Exception as error:  # a model may raise anything; it is the answer
            if watch is not None and watch.end():
                raise too_slow(watch.limit_s) from error
            raise as_request_error(error) from error
        finally:
            if watch is not None:
                watch.end()
            took = time.perf_counter() - started
            self._record(batch.rows, took)
            if self.batching or self.speed.one_row > COUNTED_SECONDS:
                self._count_turn(took)

    def _count_turn(self, seconds: float) -> None:
        """One turn of the loop takes one new connection, so a turn may not serve without end."""
        if not self._served_in_turn:
            self._served_in_turn = True
            asyncio.get_running_loop().call_soon(self._new_turn)
        self._spent_in_turn += seconds

    def _new_turn(self) -> None:
        self._served_in_turn, self._spent_in_turn = False, 0.0

    def is_quick(self, batch: Batch) -> bool:
        """True when the batch will run on the event loop, so that nobody needs to watch it."""
        return self._inline(batch.rows)

    def close(self) -> None:
        """Start nothing more; what runs is not waited for."""
        self._hands.close()
        if self._on_loop is not None:
            self._on_loop.close()

    @property
    def busy(self) -> bool:
        """A worker is predicting, or never stops."""
        return self._busy > 0 or self._hands.stuck

    @property
    def inline(self) -> bool:
        """Single rows are predicted on the event loop: one worker, whatever `workers` says."""
        return self._inline(1)

    def _inline(self, rows: int) -> bool:
        return rows <= self._quick_rows

    def _most_rows_inline(self) -> float:
        """Rows that the model answers within INLINE_SECONDS."""
        if self._inline_only:
            return math.inf
        if not self.speed.measured or self.speed.one_row > INLINE_SECONDS:
            return 0
        return 1 + (INLINE_SECONDS - self.speed.one_row) / max(self.speed.each_row, 1e-12)

    def _default_queue(self) -> int:
        row = self.speed.one_row / max(self.speed.gain if self.batching else 1.0, 1.0)
        fits = int(WAIT_SECONDS * self.workers / max(row, 1e-6))
        return min(max(fits, QUEUE_BOUNDS[0]), QUEUE_BOUNDS[1])

    def _backlog_seconds(self) -> float:
        row = self.speed.one_row / (self.speed.gain if self.batching else 1.0)
        return self._rows_waiting * row / self.workers

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """Give the first of the queue to a free worker; one batch a turn of the loop."""
        self._woken = False
        if self._reads_on():
            return
        while self._jobs and self._busy < self.workers:
            jobs = self._take()
            if not jobs:
                continue
            rows = sum(job.batch.rows for job in jobs)
            if self._inline(rows):
                self._finish(jobs, self._answer_on_loop(jobs))
                if self._jobs:  # let the loop read what has arrived meanwhile
                    self._wake()
                return
            self._busy += 1
            self._metrics.running = self._busy
            self._hand_over(jobs)

    def _reads_on(self) -> bool:
        """Where calls are shared: let the loop read on as long as each turn brings more.

        Clients that were answered together ask again together, a little apart. Reading them has to
        be done anyway, so nothing is waited for; and it ends after the time of one call.
        """
        seen, self._seen = self._seen, 0
        if not self.batching or self._busy >= self.workers or self._rows_waiting >= self._max_rows:
            return False
        now = time.perf_counter()
        if not seen:
            self._gathers_until = now + self.speed.one_row
        if len(self._jobs) <= seen or now > self._gathers_until:
            return False
        self._seen = len(self._jobs)
        self._wake()
        return True

    def _take(self) -> list[Job]:
        """The first job and, where batching helps, its share of those that follow."""
        self._drop_cancelled()
        if not self._jobs:
            return []
        first = self._pop()
        taken, rows = [first], first.batch.rows
        free = max(self.workers - self._busy, 1)
        share = math.ceil((len(self._jobs) + 1) / free)
        while self.batching and self._jobs and len(taken) < share:
            job = self._jobs[0]
            if job.future.cancelled():
                self._pop()
                continue
            if (
                job.method != first.method
                or job.batch.kind != first.batch.kind
                or rows + job.batch.rows > self._max_rows
                or not stackable(first.batch, job.batch)
            ):
                break
            taken.append(self._pop())
            rows += job.batch.rows
        self._crowded = len(taken) > 1
        self._metrics.waiting = len(self._jobs)
        return taken

    def _drop_cancelled(self) -> None:
        while self._jobs and self._jobs[0].future.cancelled():
            self._pop()
        self._metrics.waiting = len(self._jobs)

    def _pop(self) -> Job:
        job = self._jobs.popleft()
        self._rows_waiting -= job.batch.rows
        return job

    def _answer_on_loop(self, jobs: list[Job]) -> list[Answer]:
        batches, watch = [job.batch for job in jobs], self._on_loop
        if watch is None:
            return answer(self.model, batches, jobs[0].method)
        watch.begin(time.perf_counter())
        answers = answer(self.model, batches, jobs[0].method)
        return no_answer(batches, too_slow(watch.limit_s)) if watch.end() else answers

    def _hand_over(self, jobs: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def done(answers: list[Answer]) -> None:
            looks[0].cancel()
            self._busy -= 1
            self._metrics.running = self._busy
            self._finish(jobs, answers)
            self._next()

        def look() -> None:
            took, limit_s = loop.time() - began, self._limit_s
            if took >= limit_s + GRACE_S:
                running.leave()
                return
            # Its client may have given up long ago: then it is stopped where that harms no other.
            unwanted = took >= ABANDONED_S and all(job.future.cancelled() for job in jobs)
            if took >= limit_s or unwanted:
                running.stop(too_slow(min(took, limit_s)))
            later(min(ABANDONED_S, limit_s - took) if took < limit_s else GRACE_S)

        def later(seconds: float) -> None:
            looks[:] = [loop.call_later(seconds, look)]

        looks: list[asyncio.TimerHandle] = []
        later(min(ABANDONED_S, self._limit_s))
        running = self._hands.ask([job.batch for job in jobs], jobs[0].method, done)

    def _record(self, rows: int, seconds: float) -> None:
        if not self.speed.measured:  # nobody knew a row to warm up with: learn from this one
            self.speed = Speed(seconds / rows, seconds / rows, 1.0, True)
            self._quick_rows = self._most_rows_inline()
        self._metrics.predict_seconds.observe(seconds)
        self._metrics.batch_rows.observe(rows)

    def _finish(self, jobs: list[Job], answers: list[Answer]) -> None:
        rest = iter(jobs)
        for found in answers:
            if found.seconds:
                self._record(found.rows, found.seconds)
            at = 0
            for job in islice(rest, found.count):
                end = at + job.batch.rows
                if job.future.done():
                    pass  # its client left
                elif found.output is None:
                    job.future.set_exception(found.error or RequestError(500, "model", ""))
                else:
                    alone = found.count == 1
                    job.future.set_result(found.output if alone else found.output.part(at, end))
                at = end
