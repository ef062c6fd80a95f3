"""Metrics for Prometheus and JSON log lines. Neither ever holds a payload.

What happens on every request is a few additions to plain numbers; text is made when it is read.
All of it belongs to one event loop: worker threads hand their figures over. Where the server has
copies of itself (see `copies`), the numbers of each lie in memory that all of them read.
"""

from __future__ import annotations

import mmap
import select
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np
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

    def __init__(self, name: str, about: str, bounds: tuple[float, ...], first: int) -> None:
        """`first`: of the cells that hold the counts, and then the sum."""
        self.name, self.about, self.bounds = name, about, bounds
        self._first, self._last = first, first + len(bounds) + 1
        self.cells = range(first, self._last + 1)

    def use(self, whole: memoryview[int], real: memoryview[float]) -> None:
        """Count here: the same cells as whole and as real numbers."""
        self.counts = whole[self._first : self._last]
        self._sum = real[self._last : self._last + 1]

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self._sum[0] += value

    def family(self, whole: Any, real: Any) -> HistogramMetricFamily:
        """`whole`, `real`: the cells of all processes, added up."""
        buckets, seen = [], 0
        for bound, count in zip(
            (*self.bounds, INF), whole[self._first : self._last].tolist(), strict=True
        ):
            seen += count
            buckets.append((str(floatToGoString(bound)), seen))  # type: ignore[no-untyped-call]
        return HistogramMetricFamily(self.name, self.about, buckets, float(real[self._last]))


class _Cell:
    """A whole number of `Metrics`, in one of its cells."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __get__(self, metrics: Metrics, _owner: type[Metrics]) -> int:
        return int(metrics.whole[self.at])

    def __set__(self, metrics: Metrics, value: int) -> None:
        metrics.whole[self.at] = value


STATUSES = 600  # each has the cell of its number
CELL_BYTES = 8


class Metrics:
    """The server's figures since it started; `text()` is what Prometheus reads."""

    content_type = CONTENT_TYPE_LATEST
    waiting = _Cell(STATUSES)  # requests waiting for a worker
    running = _Cell(STATUSES + 1)  # workers that are predicting
    refused = _Cell(STATUSES + 2)
    gone = _Cell(STATUSES + 3)
    left = _Cell(STATUSES + 4)  # connections that have come to an end (in a copy)

    def __init__(self) -> None:
        first = STATUSES + 5
        self.seconds = Histogram(
            "model_request_seconds", "From the whole request to its answer.", SECONDS, first
        )
        first = self.seconds.cells.stop
        self.predict_seconds = Histogram(
            "model_predict_seconds", "One call of the model.", SECONDS, first
        )
        first = self.predict_seconds.cells.stop
        self.batch_rows = Histogram(
            "model_batch_rows", "Rows in one call of the model.", ROWS, first
        )
        self._bytes = CELL_BYTES * self.batch_rows.cells.stop
        self._places = [memoryview(bytearray(self._bytes))]
        self._use(0)
        self.ready = False
        self.load_seconds = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)  # anything with collect() will do

    def share(self, places: int) -> None:
        """Have room for the figures of `places` more processes, forked from this one from now on."""
        shared = memoryview(mmap.mmap(-1, (places + 1) * self._bytes))
        shared[: self._bytes] = self._places[0]
        self._places = [shared[k * self._bytes : (k + 1) * self._bytes] for k in range(places + 1)]
        self._use(0)

    def take(self, place: int) -> None:
        """Count in this place from now on, which a process before may have counted in."""
        self._use(place)
        self.waiting = self.running = self.left = 0

    def left_at(self, place: int) -> int:
        return int(self._places[place].cast("Q")[Metrics.__dict__["left"].at])

    def answered(self, status: int, seconds: float) -> None:
        self.whole[status] += 1
        self.seconds.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for when somebody reads /metrics: the figures of all processes."""
        whole = np.sum([np.frombuffer(place, np.uint64) for place in self._places], axis=0)
        real = np.sum([np.frombuffer(place, np.float64) for place in self._places], axis=0)

        def total(cell: str) -> int:
            return int(whole[Metrics.__dict__[cell].at])

        answered = CounterMetricFamily("model_requests", "Answered requests.", labels=["status"])
        for status in np.flatnonzero(whole[:STATUSES]).tolist():
            answered.add_metric([str(status)], int(whole[status]))
        yield answered
        for histogram in (self.seconds, self.predict_seconds, self.batch_rows):
            yield histogram.family(whole, real)
        for name, about, count in (
            ("model_queue_full", "Requests refused with 429.", total("refused")),
            ("model_client_gone", "Requests whose client left before the answer.", total("gone")),
        ):
            yield CounterMetricFamily(name, about, value=count)
        for name, about, value in (
            ("model_queue_requests", "Requests waiting for a worker.", total("waiting")),
            ("model_workers_busy", "Workers that are predicting.", total("running")),
            ("model_ready", "1 once the model is loaded and warm.", int(self.ready)),
            ("model_load_seconds", "Time to load the model.", self.load_seconds),
        ):
            yield GaugeMetricFamily(name, about, value=value)

    def _use(self, place: int) -> None:
        self.whole, real = self._places[place].cast("Q"), self._places[place].cast("d")
        for histogram in (self.seconds, self.predict_seconds, self.batch_rows):
            histogram.use(self.whole, real)


class Log:
    """One JSON object a line on stdout, written in bundles so that no request waits for it.

    Each line is made with its request and a bundle is small: making a fifth of a second's lines at
    once held up whoever asked meanwhile for milliseconds.
    """

    def __init__(self, *, access: bool = True) -> None:
        self.access = access
        self.shared = (
            False  # others write to the same pipe: no more at once than stays in one piece
        )
        self.lost = 0  # lines that could not be written since the last that could
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
        if self.lost:
            told = {"at": self._now(), "level": "warning", "event": "log lines lost"}
            if _out(_line(told | {"count": self.lost})):
                self.lost = 0
        piece = b""
        for line in waiting if self.shared else ():
            if piece and len(piece) + len(line) > select.PIPE_BUF:
                self._put(piece)
                piece = b""
            piece += line
        self._put(piece if self.shared else b"".join(waiting))

    def _put(self, text: bytes) -> None:
        """Predictions go on where the log cannot: a full disk, a reader that is gone."""
        if not _out(text):
            self.lost += text.count(b"\n")

    def _now(self) -> str:
        """The time as text, made once a second."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        return self._text


def _out(text: bytes) -> bool:
    """Whether all of it was written. Nothing is kept in a buffer, whose flush at the end would
    fail again."""
    if sys.stdout is None:  # the server was started without one
        return False
    stream = sys.stdout.buffer
    raw, rest = getattr(stream, "raw", stream), memoryview(text)
    try:
        while rest:
            written = raw.write(rest)
            if written is None:  # a pipe that does not wait and is full
                return False
            rest = rest[written:]
        stream.flush()
    except (OSError, ValueError):  # ValueError: it was closed
        return False
    return True


def _line(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE, default=str)
