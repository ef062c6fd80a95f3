"""The server's queue played through: one first-come queue and c workers, or a queue for each, and
batches where it batches.

Times are in seconds in arrays, in milliseconds in names that say so. This is how the interval
around a prediction comes about, and the prediction itself where the server batches, for which the
sizing has no formula.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deploy.loadtest.settings import settings

Floats = NDArray[np.float64]

LONG_RUN = 20_000  # requests


@dataclass(frozen=True)
class Station:
    """What serves: `service_ms` is a sample of single service times on an otherwise idle server.

    `busy_ratio`: mean service time while all workers work without a pause, over that alone. Two
    things are in it that a half-loaded server has at different times: `warm`, how much less a
    request takes whose worker had no pause before it (warm caches, no waking up; at most one), and
    `sharing`, how much longer it takes while all work, who share processors with each other, with
    the loop that reads and writes HTTP, and on one machine with the sender. Where nobody can tell
    them apart (`warm` None), a ratio below one is all warmth and one above it all sharing.
    `cold_left`: caches warm up by and by, and so much of what the first request after a pause takes
    longer is left for the second, the same share of that for the third, and so on.
    `displaced`: how much longer a request takes at capacity because a sender on the same processors
    goes before it; part of the ratio.
    `each_row_ms`: what one more row in a call adds, or None where the server does not batch.
    `apart`: each worker has a queue of its own, and a request comes to any of them: copies of the
    server, whose connections the system spreads.
    """

    service_ms: Floats
    workers: int
    busy_ratio: float = 1.0
    each_row_ms: float | None = None
    most_rows: int = 64
    warm: float | None = None
    apart: bool = False
    cold_left: float = 0.0
    displaced: float = 0.0

    @property
    def warm_ratio(self) -> float:
        # What a pause costs beyond cold caches (waking up) is warmth as well: the product of this
        # and `sharing` is the ratio, or the queue would have another capacity than the endpoint.
        return min(1.0, self.busy_ratio, 1.0 if self.warm is None else self.warm)

    @property
    def sharing(self) -> float:
        return self.busy_ratio / self.warm_ratio

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

    @property
    def shares_cores(self) -> bool:
        """Workers slow each other down so much that the sizing's straight line misleads: with two,
        who works is next to somebody working more often than the utilisation says."""
        return self.workers > 1 and self.sharing > 1 + settings().line_holds_to

    @property
    def uneven(self) -> bool:
        """A request's service time depends on who works besides it, or on whether there was a
        pause before it, so much that one mean at a utilisation is not enough."""
        return self.shares_cores or abs(self.busy_ratio - 1) > settings().line_holds_to

    def at(self, rate_per_s: float) -> Station:
        """The same where so many arrive. While all workers are at work, half of what a sender does
        is for answers, which come as fast as they ever do, and half for what it sends, which comes
        at this rate."""
        if not self.displaced:
            return self
        use = min(1.0, self.utilisation(rate_per_s))
        less = (1 + self.displaced * (1 + use) / 2) / (1 + self.displaced)
        return replace(self, busy_ratio=self.busy_ratio * less, displaced=0.0)

    def rate_at(self, utilisation: float) -> float:
        """Arrivals a second at this utilisation, unbatched: the inverse of `utilisation`."""
        if self.shares_cores:
            return 1000 * self.workers * utilisation / self._service_at(1.0)
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
        """Share of time that a worker is busy, unbatched, and of what all can take where they share
        cores; above 1 the queue grows."""
        each = self._service_at(1.0) if self.shares_cores else self.loaded_ms(rate_per_s)
        return rate_per_s * each / (1000 * self.workers)

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
    work = random.choice(station.service_ms, arrivals.size) * (drift / 1000)
    each = None if station.each_row_ms is None else station.each_row_ms * drift / 1000
    if station.workers == 1:
        ends = _one_worker(arrivals.tolist(), work.tolist(), each, station)
    else:
        queue = random.integers(station.workers, size=arrivals.size) if station.apart else None
        ends = _several_workers(
            arrivals.tolist(), work.tolist(), each, station,
            [0] * arrivals.size if queue is None else queue.tolist(),
        )  # fmt: skip
    return (np.asarray(ends) - arrivals) * 1000


def _one_worker(
    at: list[float], work: list[float], each: float | None, station: Station
) -> list[float]:
    """When each request ends. What comes without a pause takes `busy_ratio` times as long, and longer
    as long as it is cold."""
    ends = [0.0] * len(at)
    free, i, cold = 0.0, 0, 1.0
    warm, sharing = station.warm_ratio, station.sharing
    while i < len(at):
        waited = free > at[i]
        start = free if waited else at[i]
        cold = cold * station.cold_left if waited else 1.0
        rows, took = 1, work[i]
        if each is not None:
            rows = min(bisect_right(at, start, lo=i) - i, station.most_rows)
            took += each * (rows - 1)
        free = start + (took * sharing * (warm + (1 - warm) * cold) if waited else took)
        ends[i : i + rows] = [free] * rows
        i += rows
    return ends


def _several_workers(
    at: list[float], work: list[float], each: float | None, station: Station, queue_of: list[int]
) -> list[float]:
    """When each request ends. Workers slow each other down only while they work side by side: with
    k of c at work, all go at 1 / (1 + (sharing - 1) (k - 1) / (c - 1)) of their speed alone. What
    has waited comes without a pause and is `warm_ratio` of the work, and more as long as it is cold.
    `queue_of`: where each waits."""
    n, c = len(at), station.workers
    ends = [0.0] * n
    waiting: list[deque[int]] = [deque() for _ in range(c if station.apart else 1)]
    left: dict[int, float] = {}  # to do, by worker that is at work
    calls: dict[int, list[int]] = {}  # the requests that share its call
    warm, sharing = station.warm_ratio, station.sharing - 1
    cold = [1.0] * c
    now, came = 0.0, 0
    while came < n or left:
        slower = 1 + sharing * (len(left) - 1) / (c - 1) if left else 1.0
        done_at = now + min(left.values(), default=math.inf) * slower
        next_at = at[came] if came < n else math.inf
        step = (min(done_at, next_at) - now) / slower
        for worker in left:
            left[worker] -= step
        if next_at <= done_at:
            now = next_at
            waiting[queue_of[came]].append(came)
            came += 1
        else:
            now = done_at
            worker = min(left, key=left.__getitem__)
            del left[worker]
            for request in calls.pop(worker):
                ends[request] = now
        for worker in range(c):
            queue = waiting[worker if station.apart else 0]
            if worker in left or not queue:
                continue
            rows, took = 1, work[queue[0]]
            if each is not None:
                share = math.ceil(len(queue) / (1 if station.apart else c - len(left)))
                rows = min(share, station.most_rows)
                took += each * (rows - 1)
            cold[worker] = cold[worker] * station.cold_left if at[queue[0]] < now else 1.0
            left[worker] = took * (warm + (1 - warm) * cold[worker])
            calls[worker] = [queue.popleft() for _ in range(rows)]
    return ends
