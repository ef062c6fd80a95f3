"""Metrics for Prometheus and JSON log lines. Neither ever holds a payload.

What happens on every request is a few additions to plain numbers; text is made when it is read.
All of it belongs to one event loop: worker threads hand their figures over.
"""

from __future__ import annotations

import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.utils import INF, floatToGoString

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 1024)
FLUSH_AFTER = 0.2
FLUSH_LINES = 64


class Histogram:
    """Counts by upper bound. `le` labels are written as Prometheus' own library writes them."""

    def __init__(self, name: str, about: str, bounds: tuple[float, ...]) -> None:
        self.name, self.about, self.bounds = name, about, bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def family(self) -> HistogramMetricFamily:
        buckets, seen = [], 0
        for bound, count in zip((*self.bounds, INF), self.counts, strict=True):
            seen += count
            buckets.append((str(floatToGoString(bound)), seen))  # type: ignore[no-untyped-call]
        return HistogramMetricFamily(self.name, self.about, buckets, self.sum)


class Metrics:
    """The server's figures since it started; `text()` is what Prometheus reads."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.seconds = Histogram(
            "model_request_seconds", "From the whole request to its answer.", SECONDS
        )
        self.predict_seconds = Histogram("model_predict_seconds", "One call of the model.", SECONDS)
        self.batch_rows = Histogram("model_batch_rows", "Rows in one call of the model.", ROWS)
        self.waiting = 0  # requests waiting for a worker
        self.running = 0  # workers that are predicting
        self.refused = 0
        self.gone = 0
        self.ready = False
        self.load_seconds = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)  # anything with collect() will do

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.seconds.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for when somebody reads /metrics."""
        answered = CounterMetricFamily("model_requests", "Answered requests.", labels=["status"])
        for status, count in sorted(self.statuses.items()):
            answered.add_metric([str(status)], count)
        yield answered
        yield from (h.family() for h in (self.seconds, self.predict_seconds, self.batch_rows))
        for name, about, count in (
            ("model_queue_full", "Requests refused with 429.", self.refused),
            ("model_client_gone", "Requests whose client left before the answer.", self.gone),
        ):
            yield CounterMetricFamily(name, about, value=count)
        for name, about, value in (
            ("model_queue_requests", "Requests waiting for a worker.", self.waiting),
            ("model_workers_busy", "Workers that are predicting.", self.running),
            ("model_ready", "1 once the model is loaded and warm.", int(self.ready)),
            ("model_load_seconds", "Time to load the model.", self.load_seconds),
        ):
            yield GaugeMetricFamily(name, about, value=value)


class Log:
    """One JSON object a line on stdout, written in bundles so that no request waits for it.

    Each line is made with its request and a bundle is small: making a fifth of a second's lines at
    once held up whoever asked meanwhile for milliseconds.
    """

    def __init__(self, *, access: bool = True) -> None:
        self.access = access
        self._waiting: list[bytes] = []
        self._timer: Any = None
        self._second, self._text = -1, ""

    def event(self, event: str, level: str = "info", **more: Any) -> None:
        """Something about the server; written at once."""
        self._waiting.append(_line({"at": self._now(), "level": level, "event": event, **more}))
        self.flush()

    def request(
        self, loop: Any, method: str, path: str, status: int, seconds: float, rows: int | None,
        request_id: str,
    ) -> None:  # fmt: skip
        """An answered request; its line is written with those that follow, or soon."""
        self._waiting.append(_line(
            {"at": self._now(), "level": "info", "event": "request", "method": method,
             "path": path[:200], "status": status, "ms": round(seconds * 1000, 2), "rows": rows,
             "request_id": request_id}
        ))  # fmt: skip
        if len(self._waiting) >= FLUSH_LINES:
            self._write()
        elif self._timer is None:
            self._timer = loop.call_later(FLUSH_AFTER, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        self._timer = None
        if self._waiting:
            self._write()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        sys.stdout.buffer.write(b"".join(waiting))
        sys.stdout.buffer.flush()

    def _now(self) -> str:
        """The time as text, made once a second."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        return self._text


def _line(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE, default=str)
