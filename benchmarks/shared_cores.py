"""Response times where workers share cores: the sizing's formula against a simulation.

python -m benchmarks.shared_cores              the table of docs/method.md, about four minutes
python -m benchmarks.shared_cores --held-out   other growths, workers, percentiles, about four more

Two workers are a pair: while both work, each takes half as long again (hyper-threads take 1 / 0.67).
A request begins on any free worker, and goes on slower or faster as its neighbour begins and ends.
"""

from __future__ import annotations

import heapq
import itertools
import math
import sys
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from advisor.sizing.queueing import replica_percentile_ms
from benchmarks.simulation import draw

Floats = NDArray[np.float64]

GROWTH = 0.5
HEAVY = "logn4"  # its longest times need more of them to settle
KINDS = {"det": 0.0, "gamma:0.3": 0.3, "erl4": 0.5, "exp": 1.0, HEAVY: 2.0}
WORKERS = (2, 4, 8, 16)
USE = (0.3, 0.5, 0.7, 0.8)
# The constant of `queueing.stretch` was fitted to the above; none of this took part.
HELD_OUT_GROWTH = (0.25, 1.0)
HELD_OUT_KINDS = ("det", "gamma:0.3", "exp", HEAVY)
HELD_OUT_WORKERS = (2, 6)
HELD_OUT = ((0.4, 90), (0.4, 99), (0.6, 90), (0.6, 99), (0.75, 90), (0.75, 99))  # use, percentile


@dataclass
class _Pairs:
    """Workers 0 and 1 are neighbours, 2 and 3, and so on; times in service times alone."""

    work: list[float]
    arrived: list[float]
    slow: float  # speed while the neighbour works
    serving: list[int]  # -1: nobody
    left: list[float] = field(default_factory=list)
    speed: list[float] = field(default_factory=list)
    since: list[float] = field(default_factory=list)
    ends: list[tuple[float, int, int]] = field(default_factory=list)
    stamp: list[int] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def plan(self, worker: int, now: float, speed: float) -> None:
        self.left[worker] -= (now - self.since[worker]) * self.speed[worker]
        self.since[worker], self.speed[worker] = now, speed
        self.stamp[worker] += 1
        end = now + self.left[worker] / speed
        heapq.heappush(self.ends, (end, self.stamp[worker], worker))

    def begin(self, worker: int, request: int, now: float) -> None:
        both = self.serving[worker ^ 1] >= 0
        self.serving[worker], self.left[worker] = request, self.work[request]
        self.since[worker] = now
        self.plan(worker, now, self.slow if both else 1.0)
        if both:
            self.plan(worker ^ 1, now, self.slow)

    def end(self, worker: int, now: float) -> None:
        request = self.serving[worker]
        self.took[request] = now - self.arrived[request]
        self.serving[worker] = -1
        self.stamp[worker] += 1
        if self.serving[worker ^ 1] >= 0:
            self.plan(worker ^ 1, now, 1.0)


def paired_responses(kind: str, workers: int, rate: float, growth: float, arrivals: int) -> Floats:
    """Response times of one first-come queue before an even number of workers in pairs, Poisson
    arrivals at `rate`, in service times alone; the first tenth and the unfinished left out."""
    rng = np.random.default_rng(7)
    if kind == HEAVY:
        arrivals *= 4
    times = rng.exponential(1 / rate, arrivals).cumsum().tolist()
    picks = rng.random(arrivals).tolist()
    each = [0.0] * workers
    pairs = _Pairs(
        _work(rng, kind, arrivals).tolist(), times, 1 / (1 + growth), [-1] * workers,
        each.copy(), each.copy(), each.copy(), [], [0] * workers, [0.0] * arrivals,
    )  # fmt: skip
    free, queue = list(range(workers)), deque[int]()
    for request, now in enumerate(times):
        while pairs.ends and pairs.ends[0][0] <= now:
            at, stamp, worker = heapq.heappop(pairs.ends)
            if pairs.stamp[worker] != stamp:
                continue  # planned anew since
            pairs.end(worker, at)
            if queue:
                pairs.begin(worker, queue.popleft(), at)
            else:
                free.append(worker)
        if free:
            pick = int(picks[request] * len(free))
            free[pick], free[-1] = free[-1], free[pick]
            pairs.begin(free.pop(), request, now)
        else:
            queue.append(request)
    took = np.array(pairs.took[arrivals // 10 :])
    return np.asarray(took[took > 0])


def _work(rng: np.random.Generator, kind: str, arrivals: int) -> Floats:
    if kind != HEAVY:
        return draw(rng, kind, arrivals)
    # Each quantile once, in any order: the few longest of a plain sample move its p95 by a fifth.
    spread = math.sqrt(math.log(5))
    work = np.exp(spread * ndtri((np.arange(arrivals) + 0.5) / arrivals))
    return np.asarray(rng.permutation(work / work.mean()))


def error(
    kind: str, workers: int, use: float, percentile: float, arrivals: int, growth: float = GROWTH
) -> float:
    """Of the formula, over the simulation: 0.05 is 5 % too high."""
    rate = workers * use / (1 + use * growth)
    seen = np.percentile(paired_responses(kind, workers, rate, growth, arrivals), percentile)
    said = replica_percentile_ms(rate * 1000, percentile, 1.0, 1 + growth, KINDS[kind], workers)
    return float(said / seen) - 1


def main() -> None:
    if "--held-out" in sys.argv:
        held_out()
        return
    print("| service | workers |" + "".join(f" use {use:.0%} |" for use in USE))
    print("|---|---|" + "---|" * len(USE))
    for kind in KINDS:
        for workers in WORKERS:
            errors = [error(kind, workers, use, 95, 150_000) for use in USE]
            print(f"| {kind} | {workers} |" + "".join(f" {e:+.0%} |" for e in errors), flush=True)


def held_out() -> None:
    print("| growth | service | workers |" + "".join(f" p{p} at {u:.0%} |" for u, p in HELD_OUT))
    print("|---|---|---|" + "---|" * len(HELD_OUT))
    for growth, kind, workers in itertools.product(
        HELD_OUT_GROWTH, HELD_OUT_KINDS, HELD_OUT_WORKERS
    ):
        errors = [error(kind, workers, use, p, 40_000, growth) for use, p in HELD_OUT]
        cells = "".join(f" {e:+.0%} |" for e in errors)
        print(f"| {growth:.0%} | {kind} | {workers} |{cells}", flush=True)


if __name__ == "__main__":
    main()
