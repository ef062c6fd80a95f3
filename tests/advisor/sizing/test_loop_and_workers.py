"""A loop that reads and writes for workers on the same processors: is its time part of the service?

The sizing says yes: a request of W of the model's time and L of the loop's holds one of c workers
for W + L. Held here against a simulation of what happens: one loop that goes before the workers, c
workers with a first-come queue, c processors among which whoever works is spread evenly.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest

from advisor.sizing.queueing import response_percentile_ms

REQUESTS = 8_000


def simulated(
    rate_per_s: float, work_ms: np.ndarray, loop_ms: float, processors: int
) -> np.ndarray:
    """Response times in ms: half of the loop's time to read a request, the model, half to write."""
    random = np.random.default_rng(7)
    count = work_ms.size
    came = np.cumsum(random.exponential(1000 / rate_per_s, count))
    ends = np.zeros(count)
    for_loop: deque[tuple[int, bool]] = deque()  # (request, its answer is to be written)
    ready: deque[int] = deque()
    working: dict[int, float] = {}
    loop_left, now, arrived, done = math.inf, 0.0, 0, 0  # infinite: the loop has nothing to do
    while done < count:
        while len(working) < processors and ready:
            first = ready.popleft()
            working[first] = float(work_ms[first])
        if for_loop and loop_left == math.inf:
            loop_left = loop_ms / 2
        speed = min(1.0, (processors - bool(for_loop)) / len(working)) if working else 1.0
        next_at = came[arrived] if arrived < count else math.inf
        step = min(next_at - now, loop_left, min(working.values(), default=math.inf) / speed)
        now += step
        loop_left -= step
        if loop_left <= 1e-9:
            one, written = for_loop.popleft()
            loop_left = math.inf
            if written:
                ends[one], done = now, done + 1
            else:
                ready.append(one)
        for one in working:
            working[one] -= step * speed
        for one in [k for k, left in working.items() if left <= 1e-9]:
            del working[one]
            for_loop.append((one, True))
        if next_at <= now + 1e-9:
            for_loop.append((arrived, False))
            arrived += 1
    return np.asarray(ends - came)


@pytest.mark.parametrize("loop_ms", [0.6, 1.2])
@pytest.mark.parametrize("processors", [2, 4])
@pytest.mark.parametrize("use", [0.3, 0.7])
def test_the_loops_time_is_part_of_the_service(use: float, processors: int, loop_ms: float) -> None:
    model_ms, cv = 5.0, 0.2
    work = np.random.default_rng(3).gamma(1 / cv**2, model_ms * cv**2, REQUESTS)
    service = model_ms + loop_ms
    rate = 1000 * processors * use / service
    found = float(np.percentile(simulated(rate, work, loop_ms, processors)[REQUESTS // 10 :], 95))

    def said(service_ms: float) -> float:
        percentile = response_percentile_ms(
            95, rate, service_ms, model_ms * cv / service_ms, processors
        )
        return float(percentile)

    assert said(service) == pytest.approx(found, rel=0.12)
    assert abs(said(service) - found) < abs(said(model_ms) - found)


def test_an_idle_server_takes_the_loops_time_and_the_models() -> None:
    times = simulated(0.1, np.full(20, 5.0), 0.6, 2)
    assert times == pytest.approx(np.full(20, 5.6))


def test_two_at_once_are_read_one_after_the_other_and_share_no_idle_processor() -> None:
    # Three processors: the second is read 0.3 ms later, and answered 0.3 ms later.
    times = simulated(1e9, np.full(2, 5.0), 0.6, 3)
    assert times == pytest.approx([5.6, 5.9], abs=1e-3)
