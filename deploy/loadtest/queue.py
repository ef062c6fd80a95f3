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

LONG_RUN = 20_000  # requests


@dataclass(frozen=True)
class Station:
    """What serves: `service_ms` is a sample of single service times on an otherwise idle server.

    `busy_ratio`: mean service time while all workers work without a pause, over that alone: above
    one where workers share cores, below it where a pause costs (cold caches, waking up).
    `each_row_ms`: what one more row in a call adds, or None where the server does not batch.
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
        """Arrivals a second at which a worker is busy for this share of the time, unbatched."""
        return 1000 * self.workers * utilisation / self._service_at(utilisation)

    def loaded_ms(self, rate_per_s: float) -> float:
        """Mean service time at this rate: S = alone + rho (busy - alone), rho = rate S / c.

        The same straight line as in `advisor.sizing.queueing.busy_service_ms`, which only grows.
        """
        alone, full = self.mean_ms, self._service_at(1.0)
        each = rate_per_s / self.workers / 1000
        if each * full >= 1:  # beyond capacity everybody is busy all the time
            return full
        return alone / (1 - each * (full - alone))

    def utilisation(self, rate_per_s: float) -> float:
        """Share of time that a worker is busy at this rate, unbatched; above 1 the queue grows."""
        return rate_per_s * self.loaded_ms(rate_per_s) / (1000 * self.workers)

    def _service_at(self, utilisation: float) -> float:
        return self.mean_ms * (1 + utilisation * (self.busy_ratio - 1))


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
    """Of some random Poisson schedules the one that, played through, comes nearest to the long run.

    In ten seconds chance alone moves a 95th percentile by tens of percent; this takes most of that
    away without looking at the formula that is to be tested.
    """
    schedules = [s for s in (poisson(rate_per_s, seconds, random) for _ in range(draws)) if s.size]
    if not schedules:
        return np.zeros(1)
    gaps = random.exponential(1 / rate_per_s, LONG_RUN)
    aim = float(np.percentile(responses(np.cumsum(gaps), station, random), percentile))

    def away(schedule: Floats) -> float:
        times = responses(schedule, station, random)[schedule >= skipped_s]
        return abs(float(np.percentile(times, percentile)) - aim) if times.size else math.inf

    return min(schedules, key=away)


def responses(
    arrivals: Floats, station: Station, random: np.random.Generator, *, drift: float = 1.0
) -> Floats:
    """Response times in milliseconds of requests that come at `arrivals` (seconds, rising).

    Service times are drawn from the station's sample, times `drift`.
    """
    n, c = arrivals.size, station.workers
    service = random.choice(station.service_ms, n) * (drift / 1000)
    # With one worker the pauses between requests make the difference, with several the others.
    growth = station.busy_ratio - 1
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
        if growth:
            took *= 1 + growth * (others / (c - 1) if c > 1 else float(start > at[i]))
        end = start + took
        for k in range(i, i + rows):
            out[k] = (end - at[k]) * 1000
        heapq.heappush(free, end)
        i += rows
    return np.asarray(out)
