"""Metrics for Prometheus. They never hold a payload.

What happens on every request is a few additions to plain numbers; text is made when it is read.
All of it belongs to one event loop: worker threads hand their figures over. Where the server has
copies of itself (see `copies`), the numbers of each lie in memory that all of them read.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np
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
