"""A model that is being loaded, or is ready: what every entry point (HTTP, Lambda, batch) shares."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

from .crew import CAN_FORK, Crew
from .engine import INLINE_BESIDE_PROCESSES, Engine
from .errors import ModelError, RequestError
from .loaders import Model, load
from .locate import Located, locate
from .payload import Decoder
from .settings import Settings
from .side_by_side import FAIR_SHARE, worth
from .speed import Speed, warm
from .telemetry import Log, Metrics
from .values import Batch

# Libraries with threads of their own may not survive a fork, and let go of Python's lock anyway.
FORKS = frozenset({"joblib", "pickle", "skops"})
CLIENT_GONE = 499  # nginx's number for a client that left


class Service:
    """`load()` fills it; until then `engine` is None and `why` says what it waits for."""

    def __init__(self, settings: Settings, log: Log | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.log = log or Log(access=settings.access_log)
        self.located: Located | None = None
        self.decoder: Decoder | None = None
        self.engine: Engine | None = None

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
        hire: Callable[[Crew], None] | None = None,
        broken: Callable[[ModelError], None] = lambda _: None,
    ) -> Engine:
        """Find, load and warm the model. Blocks; raises ModelError.

        `hire` starts processes on the event loop, where the model gains from them; `broken` is told
        when they do not stay.
        """
        started = time.perf_counter()
        located = find()
        model = load(located.format, located.path, located.signature, self.settings.threads)
        decoder = Decoder(located.signature)
        loaded = time.perf_counter() - started
        example = self._example(decoder, model)
        speed = warm(model, example)
        workers, processes = self._workers(
            model, example, speed, inline_only=inline_only, forks=located.format in FORKS
        )
        crew = Crew(model, workers, self.log, broken) if hire and processes else None
        found = Engine(
            model,
            speed,
            self.metrics,
            workers=workers,
            queue_size=self.settings.queue_size,
            max_batch_rows=self.settings.max_batch_rows,
            inline_only=inline_only,
            hands=crew,
        )
        # What is loaded now stays: no collection has to walk through it while a request waits.
        gc.freeze()
        gc.enable()  # `serve` starts without: nothing to collect, and much to walk through
        if crew and hire:
            hire(crew)
        self.located, self.decoder, self.engine = located, decoder, found
        self.metrics.load_seconds = loaded
        self.metrics.ready = True
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
            workers_allowed=self.settings.workers,
            processes=crew is not None,
            queue=found.queue_size,
        )
        return found

    def _workers(
        self, model: Model, example: Batch | None, speed: Speed, *, inline_only: bool, forks: bool
    ) -> tuple[int, bool]:
        """(workers that are worth it, whether they are processes)."""
        allowed, kind = self.settings.workers, self.settings.worker_kind
        if kind == "processes" and not (CAN_FORK and forks):
            raise ModelError(
                "WORKER_KIND is 'processes', which is for scikit-learn and other Python models on "
                "Linux; leave it out"
            )
        is_short = speed.one_row <= INLINE_BESIDE_PROCESSES
        if example is None or is_short or inline_only or allowed == 1 or kind == "threads":
            return allowed, False
        if kind == "processes":
            return allowed, True
        fewer, gain = worth(model, example, allowed, speed.one_row)
        return (
            (allowed, True)
            if CAN_FORK and forks and gain < FAIR_SHARE * allowed
            else (fewer, False)
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
