"""A model that is being loaded, or is ready: what every entry point (HTTP, Lambda, batch) shares."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Protocol

from .cgroup import memory_limit, resident
from .copies import Copies
from .crew import Crew
from .engine import INLINE_SECONDS, Engine
from .errors import ModelError, RefusedModelError, RequestError
from .forked import CAN_FORK
from .http_parts import ids_of_a_new_process
from .loaders import Model, load
from .locate import Located, locate
from .log import Log
from .overdue import OnLoop
from .payload import Decoder
from .settings import Settings
from .speed import warm
from .telemetry import Metrics
from .values import Batch

# Their threads hold Python's lock for much of a call and wait for each other: two that hand it to and
# fro for each of four hundred trees answer less together than one alone. The other libraries let go
# of it. What has threads of its own does not survive a fork.
FORKS = frozenset({"joblib", "pickle", "skops"})
# A process of its own: some megabytes of the interpreter's that are written to, and the bodies,
# rows and answers of a request.
PROCESS_BYTES = 32_000_000
CLIENT_GONE = 499  # nginx's number for a client that left


class Starts(Protocol):
    """Processes that begin on the event loop. Raises OSError or ModelError."""

    async def start(self) -> None: ...


class Service:
    """`load()` fills it; until then `engine` is None and `why` says what it waits for."""

    def __init__(self, settings: Settings, log: Log | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.log = log or Log(access=settings.access_log)
        self.located: Located | None = None
        self.decoder: Decoder | None = None
        self.engine: Engine | None = None
        self.copies: Copies | None = None  # who gets the connections
        self.is_copy = False
        self.stopping = False  # what has begun is finished, and nothing more should come
        self._example_row: Batch | None = None
        self._new_engine: Callable[[], Engine] | None = None

    @property
    def ready(self) -> bool:
        return self.engine is not None

    def answered(
        self, method: str, path: str, status: int, started: float, rows: int | None,
        request_id: str,
    ) -> None:  # fmt: skip
        """Count a request that began at `started` (`time.perf_counter`), and log it."""
        seconds = time.perf_counter() - started
        if status == CLIENT_GONE:
            self.metrics.gone += 1
        self.metrics.answered(status, seconds)
        if self.log.access:
            self.log.request(asyncio.get_running_loop(), method, path, status, seconds, rows,
                             request_id)  # fmt: skip

    def load(
        self,
        *,
        inline_only: bool = False,
        find: Callable[[], Located] = locate,
        hire: Callable[[Starts], None] | None = None,
        copier: Callable[[int], Copies] | None = None,
        broken: Callable[[ModelError], None] = lambda _: None,
    ) -> Engine:
        """Find, load and warm the model. Blocks; raises ModelError.

        `hire` starts processes on the event loop, where the model gains from them; `copier` makes
        copies of the whole server; `broken` is told when processes do not stay, or a
        prediction never ends. Without `hire` nobody watches the predictions: the platform does.
        """
        started = time.perf_counter()
        located = find()
        model = _load(located, self.settings.threads)
        decoder = Decoder(located.signature)
        loaded = time.perf_counter() - started
        example = self._example(decoder, model)
        speed = warm(model, example)
        single = CAN_FORK and self.settings.threads == 1
        forks = single and located.format in FORKS
        self._check_kind(forks)
        quick = speed.one_row <= INLINE_SECONDS
        many = single and (forks or quick) and self.settings.worker_kind != "threads"
        allowed, crew = self._workers(many), None
        more = allowed > 1 and self.settings.worker_kind != "threads" and example is not None
        copies = copier is not None and more and quick and single
        workers = 1 if copies else allowed
        if hire and more and forks and not quick:
            crew = Crew(model, workers, self.log, broken)
        queue = self.settings.queue_size
        if copies and queue is not None:
            queue = -(-queue // allowed)  # each copy has a queue of its own

        def engine() -> Engine:
            limit_s = self.settings.predict_timeout
            on_loop = OnLoop(model, limit_s, self.log) if hire else None
            return Engine(
                model,
                speed,
                self.metrics,
                workers=workers,
                queue_size=queue,
                max_batch_rows=self.settings.max_batch_rows,
                inline_only=inline_only,
                hands=crew,
                limit_s=limit_s,
                on_loop=on_loop,
                broken=broken,
            )

        self._example_row, self._new_engine = example, engine
        found = engine()
        self.metrics.load_seconds = loaded
        self.metrics.ready = True
        self.located, self.decoder = located, decoder
        # What is loaded now stays: no collection has to walk through it while a request waits.
        gc.freeze()
        gc.enable()  # `serve` starts without: nothing to collect, and much to walk through
        if crew and hire:
            hire(crew)
        if copies and copier and hire:
            self.copies = self._start(copier(allowed), hire)
        self.engine = found
        self.log.event(
            "ready",
            model=located.path.name,
            format=located.format,
            load_ms=round(loaded * 1000),
            one_row_ms=round(speed.one_row * 1000, 3) if speed.measured else None,
            batch_gain=round(speed.gain, 1),
            batching=found.batching,
            inline=found.inline,
            workers=found.workers,
            workers_allowed=allowed,
            processes=crew is not None,
            copies=self.copies.count if self.copies else 0,
            queue=found.queue_size,
        )
        if other := located.other_versions:  # read once it serves: nobody waits for it
            self.log.event(
                "other versions", "warning", because=f"the model was checked with {other}"
            )
        return found

    def begin_copy(self, place: int) -> None:
        """Be a copy of the server in a process that was forked from it."""
        if self._new_engine is None:
            raise ModelError("there is no model to serve a copy of")
        ids_of_a_new_process()
        self.is_copy, self.copies = True, None
        self.log.begin_anew()
        self.metrics.take(place)
        self.engine = self._new_engine()

    def try_once(self) -> None:
        """Predict the example, where there is one. Raises what the model raises."""
        if self.engine is not None and self._example_row is not None:
            self.engine.model.predict(self._example_row, "default")

    def _workers(self, processes: bool) -> int:
        """As many as there are processors. Where each is a process, not more than there is memory
        for, unless a person chose."""
        wanted = self.settings.workers
        limit, used = memory_limit(), resident()
        if not processes or self.settings.workers_chosen or limit is None or used is None:
            return wanted
        fits = min(wanted, max(1, (limit - used) // PROCESS_BYTES))
        if fits < wanted:
            self.log.event(
                "fewer workers", "warning", workers=fits, processors=wanted,
                because=f"the container may have {limit // 1_000_000:,} MB, of which "
                f"{used // 1_000_000:,} MB are used",
            )  # fmt: skip
        return fits

    def _start(self, copies: Copies, hire: Callable[[Starts], None]) -> Copies | None:
        """None, and a log line, when they do not start: then this process serves alone."""
        try:
            hire(copies)
        except ModelError as wrong:
            self.log.event("no copies", "warning", because=str(wrong))
            return None
        return copies

    def _check_kind(self, forks: bool) -> None:
        if self.settings.worker_kind == "processes" and not forks:
            raise ModelError(
                "WORKER_KIND is 'processes', which is for scikit-learn and other Python models on "
                "Linux, with MODEL_THREADS at 1; leave it out"
            )

    def _example(self, decoder: Decoder, model: Model) -> Batch | None:
        """One row that the model answers; None, and a log line, when there is none."""
        example = model.signature.example
        if example is None:
            return None
        try:
            row = decoder.batch([example])
            model.predict(row, "default")
        except (RequestError, ModelError, ValueError, TypeError, KeyError, IndexError) as wrong:
            self.log.event("warm-up skipped", "warning", because=str(wrong)[:300])
            return None
        return row


def _load(located: Located, threads: int) -> Model:
    """Raises ModelError, which tells of other libraries than the model was checked with."""
    try:
        return load(located.format, located.path, located.signature, threads)
    except RefusedModelError:
        raise
    except ModelError as wrong:
        if other := located.other_versions:
            raise ModelError(f"{wrong} (the model was checked with {other})") from wrong
        raise
