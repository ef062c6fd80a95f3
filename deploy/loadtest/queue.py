"""The server's queue played through: one first-come queue, c workers, batches where it batches.

Times are in seconds in arrays, in milliseconds in names that say so. This is how the interval
around a prediction comes about, and the prediction itself where the server batches, for which the
sizing has no formula.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Station:
    """What serves: `service_ms` is a sample of single service times on an otherwise idle server.

    `busy_ratio`: mean service time while all workers work, over that alone. `each_row_ms`: what one
    more row in a call adds, or None where the server does not batch.
    """

    service_ms: Floats
    workers: int
    busy_ratio: float = 1.0
    each_row_ms: float | None = None
    most_rows: int = 64

    @property
    def mean_ms(self) -> float:
        return float(np.mean(self.service_ms))

    @property
    def cv(self) -> float:
        """Standard deviation over mean, without the slowest hundredth: interruptions, not service."""
        kept = np.sort(self.service_ms)[
            : max(1, self.service_ms.size - self.service_ms.size // 100)
        ]
        return float(np.std(kept) / np.mean(kept))

    @property
    def batches(self) -> bool:
        return self.each_row_ms is not None

    def rate_at(self, utilisation: float) -> float:
        """Arrivals a second at which a worker is busy for this share of the time, unbatched.

        The inverse of `advisor.sizing.queueing.utilisation`.
        """
        grown = self.mean_ms * (1 + utilisation * (max(self.busy_ratio, 1.0) - 1))
        return 1000 * self.workers * utilisation / grown


def poisson(rate_per_s: float, seconds: float, random: np.random.Generator) -> Floats:
    """Arrival times of a Poisson stream in [0, seconds), rising."""
    count = random.poisson(rate_per_s * seconds)
    return np.sort(random.uniform(0.0, seconds, count))


def typical(
    station: Station,
    rate_per_s: float,
    seconds: float,
    *,
    percentile: float,
    draws: int,
    skipped_s: float,
    random: np.random.Generator,
) -> Floats:
    """Of some random Poisson schedules the one whose percentile, played through, is the median one.

    In ten seconds chance alone moves a 95th percentile by tens of percent; this takes most of that
    away without looking at the formula that is to be tested.
    """
    if rate_per_s * seconds < 1:
        return np.zeros(1)
    schedules = [s for s in (poisson(rate_per_s, seconds, random) for _ in range(draws)) if s.size]
    seen = []
    for schedule in schedules:
        times = responses(schedule, station, random)[schedule >= skipped_s]
        seen.append(float(np.percentile(times, percentile)) if times.size else math.inf)
    middle = float(np.median([s for s in seen if s < math.inf]))
    return schedules[int(np.argmin([abs(s - middle) for s in seen]))]


def responses(
    arrivals: Floats, station: Station, random: np.random.Generator, *, drift: float = 1.0
) -> Floats:
    """Response times in milliseconds of requests that come at `arrivals` (seconds, rising).

    Service times are drawn from the station's sample, times `drift`.
    """
    n, c = arrivals.size, station.workers
    service = random.choice(station.service_ms, n) * (drift / 1000)
    growth = max(station.busy_ratio, 1.0) - 1
    each = None if station.each_row_ms is None else station.each_row_ms * drift / 1000
    at = arrivals.tolist()
    takes = service.tolist()
    out = [0.0] * n
    free = [0.0] * c
    i = 0
    while i < n:
        start = max(heapq.heappop(free), at[i])
        others = sum(1 for f in free if f > start) if c > 1 else 0
        took, rows = takes[i], 1
        if each is not None:
            waiting = bisect_right(at, start, lo=i) - i
            rows = min(max(math.ceil(waiting / (c - others)), 1), station.most_rows)
            took += each * (rows - 1)
        if others and growth:
            took *= 1 + growth * others / (c - 1)
        end = start + took
        for k in range(i, i + rows):
            out[k] = (end - at[k]) * 1000
        heapq.heappush(free, end)
        i += rows
    return np.asarray(out)
