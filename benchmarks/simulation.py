"""Simulators that the formulas of the sizing are held against. They share no code with them."""

from __future__ import annotations

import heapq
import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK = 500


def draw(rng: np.random.Generator, kind: str, shape: tuple[int, ...] | int) -> Floats:
    """Service times with mean 1: "det", "erl4", "exp", "h2" and "logn4" (both SCV 4), "gamma:CV"
    and "logn:CV"."""
    if kind == "det":
        return np.ones(shape)
    if kind == "erl4":
        return rng.gamma(4, 1 / 4, shape)
    if kind == "exp":
        return rng.exponential(1.0, shape)
    if kind == "h2":
        p = (1 + math.sqrt(3 / 5)) / 2
        first = rng.random(shape) < p
        return np.where(first, 1 / (2 * p), 1 / (2 * (1 - p))) * rng.exponential(1.0, shape)
    if kind == "logn4":
        return rng.lognormal(-math.log(5) / 2, math.sqrt(math.log(5)), shape)
    if kind.startswith("gamma:"):
        alpha = float(kind.removeprefix("gamma:")) ** -2
        return rng.gamma(alpha, 1 / alpha, shape)
    if kind.startswith("logn:"):
        spread = math.log1p(float(kind.removeprefix("logn:")) ** 2)
        return rng.lognormal(-spread / 2, math.sqrt(spread), shape)
    raise ValueError(f"unknown service time {kind!r}")


def responses(
    kind: str,
    servers: int,
    rho: float,
    *,
    runs: int,
    warm_up: int,
    customers: int,
    every: int,
    seed: int,
) -> Floats:
    """Response times of M/G/c, first come first served, in units of S; (customers / every, runs).

    Kiefer and Wolfowitz' recursion on the times at which the servers become free, for `runs`
    independent queues at once, of one in `every` customers after `warm_up` in each.
    """
    rng = np.random.default_rng(seed)
    rate = servers * rho
    free, now = np.zeros((runs, servers)), np.zeros(runs)
    rows = np.arange(runs)
    out = np.empty((customers // every, runs))
    for i in range(warm_up + customers):
        if i % BLOCK == 0:
            gaps = rng.exponential(1 / rate, (BLOCK, runs))
            service = draw(rng, kind, (BLOCK, runs))
        now = now + gaps[i % BLOCK]
        server = free.argmin(axis=1)
        done = np.maximum(now, free[rows, server]) + service[i % BLOCK]
        free[rows, server] = done
        kept, skip = divmod(i - warm_up, every)
        if skip == 0 and 0 <= kept < len(out):
            out[kept] = done - now
    return out


def enough(rho: float, scv: float) -> dict[str, int]:
    """Runs, warm-up and customers that settle p95 to about one percent at this load."""
    # Customers until a queue has forgotten its past, about.
    relaxation = int((1 + scv) / (1 - rho) ** 2)
    return {
        "runs": 1000 if rho < 0.9 else 1500,
        "warm_up": 500 + 6 * relaxation,
        "customers": 2500 + 24 * relaxation,
        "every": 1 + relaxation // 40,  # neighbours in a long queue tell the same story
    }


def cold_share_per_request(
    rate: float,
    service_s: float,
    keep_alive_s: float,
    arrivals: int,
    seed: int,
    kind: str = "exp",
) -> float:
    """Share of cold requests where an instance serves one at a time, most recently used first.

    The first fifth of the arrivals, which finds nothing warm, is not counted.
    """
    rng = np.random.default_rng(seed)
    times = rng.exponential(1 / rate, arrivals).cumsum()
    service = service_s * draw(rng, kind, arrivals)
    busy: list[float] = []
    idle: deque[float] = deque()  # since when; the longest idle on the left
    cold, counted_from = 0, float(times[arrivals // 5])
    for now, length in zip(times.tolist(), service.tolist(), strict=True):
        while busy and busy[0] <= now:
            idle.append(heapq.heappop(busy))
        while idle and idle[0] < now - keep_alive_s:
            idle.popleft()
        if idle:
            idle.pop()
        else:
            cold += now >= counted_from
        heapq.heappush(busy, now + length)
    return cold / (arrivals - arrivals // 5)


def cold_shares(
    load: float, kept: tuple[float, ...], arrivals: int, seed: int, kind: str
) -> Floats:
    """As `cold_share_per_request` in units of the service time, for several keep-alive times from
    one sample, and a hundred times quicker.

    Instances that became idle are a pile, taken from the top: a departure puts on it what the next
    arrival at the same number in service takes off. So the idle time before an arrival is the
    distance to the last departure at its level, and a sort by level finds it.
    """
    rng = np.random.default_rng(seed)
    came = rng.exponential(1 / load, arrivals).cumsum()
    gone = np.sort(came + draw(rng, kind, arrivals))
    climbed = np.arange(1, arrivals + 1) - np.searchsorted(gone, came, "right")
    fell = np.searchsorted(came, gone, "left") - np.arange(arrivals)
    times = np.concatenate([came, gone])
    order = np.argsort(times, kind="stable")
    level = np.concatenate([climbed, fell]).astype(np.uint16)[order]
    by_level = np.argsort(level, kind="stable")
    at, level, came_in = times[order][by_level], level[by_level], (order < arrivals)[by_level]
    idle = np.full(at.size, np.inf)
    idle[1:] = np.where(level[1:] == level[:-1], np.diff(at), np.inf)
    counted = idle[came_in & (at >= came[arrivals // 5])]
    return np.array([(counted > limit).mean() for limit in kept])


def batch_run_s(records: int, service_s: float, cv: float, workers: int, seed: int) -> float:
    """When the last of the records is done; a free worker takes the next one (gamma service)."""
    rng = np.random.default_rng(seed)
    lengths = np.full(records, service_s)
    if cv:
        lengths = service_s * rng.gamma(cv**-2, cv**2, records)
    free = [0.0] * workers
    for length in lengths.tolist():
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def queue_answers_s(
    rate: float, service_s: float, servers: int, requests: int, seed: int
) -> Floats:
    """Time to the answer of each request in one first-come queue, exponential service."""
    rng = np.random.default_rng(seed)
    times = rng.exponential(1 / rate, requests).cumsum()
    out = _answers_s(times, rng.exponential(service_s, requests), servers)
    return out[requests // 10 :]


def slowest_hour_s(
    hourly_rates: Floats, service_s: float, servers: int, percentile: float, days: int, seed: int
) -> float:
    """The `percentile` of the time to the answer, exponential service, of those who come in the
    hour of the day where it is longest: one first-come queue, worked off around the clock."""
    rng = np.random.default_rng(seed)
    rates = np.tile(hourly_rates, days + 1)
    counts = rng.poisson(rates * 3600)
    hours = np.repeat(np.arange(rates.size), counts)
    times = np.sort((hours + rng.random(hours.size)) * 3600)
    answers = _answers_s(times, rng.exponential(service_s, hours.size), servers)
    first, hour = hours >= hourly_rates.size, hours % hourly_rates.size
    return max(
        float(np.percentile(answers[first & (hour == one)], percentile))
        for one in np.unique(hour[first])
    )


def _answers_s(times: Floats, lengths: Floats, servers: int) -> Floats:
    free = [0.0] * servers
    out = np.empty(times.size)
    for i, (now, length) in enumerate(zip(times.tolist(), lengths.tolist(), strict=True)):
        done = max(now, free[0]) + length
        heapq.heapreplace(free, done)
        out[i] = done - now
    return out


def ramped_responses(
    hourly_rates: Floats,
    hourly_replicas: tuple[int, ...],
    servers: int,
    service_s: float,
    cv: float,
    lag_s: float,
    seed: int,
) -> tuple[Floats, Floats]:
    """(arrival times, response times) in seconds while the rate climbs in straight lines between
    the middles of the hours. A request goes to a random replica, each with its own queue; replicas
    that an hour adds serve `lag_s` after it began, those it takes away go at once."""
    rng = np.random.default_rng(seed)
    hours = len(hourly_rates)
    middles = (np.arange(hours) + 0.5) * 3600
    top = float(hourly_rates.max())
    times = rng.exponential(1 / top, int(top * hours * 3600 * 1.05)).cumsum()
    times = times[times < hours * 3600]
    rates = np.interp(times, middles, hourly_rates)
    times = times[rng.random(times.size) < rates / top]
    if cv:
        lengths = service_s * rng.gamma(cv**-2, cv**2, times.size)
    else:
        lengths = np.full(times.size, service_s)
    picks = rng.random(times.size)
    queues = [[0.0] * servers for _ in range(max(hourly_replicas))]
    out = np.empty(times.size)
    for i, (now, length) in enumerate(zip(times.tolist(), lengths.tolist(), strict=True)):
        hour, into = divmod(now, 3600)
        running = hourly_replicas[int(hour)]
        if into < lag_s and hour >= 1:
            running = min(running, hourly_replicas[int(hour) - 1])
        free = queues[int(picks[i] * running)]
        done = max(now, free[0]) + length
        heapq.heapreplace(free, done)
        out[i] = done - now
    return times, out


def cold_share_shared(
    rate: float, service_s: float, keep_alive_s: float, arrivals: int, seed: int
) -> float:
    """Share of cold requests where one instance serves any number at once (constant service)."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1 / rate, arrivals)
    return float((gaps > service_s + keep_alive_s).mean())


def awake_share(
    rate: float, service_s: float, idle_s: float, wake_s: float, arrivals: int, seed: int
) -> float:
    """Share of time that a shared instance is up when it sleeps after `idle_s` without work."""
    rng = np.random.default_rng(seed)
    times = rng.exponential(1 / rate, arrivals).cumsum()
    service = rng.exponential(service_s, arrivals)
    up, asleep_at, ready = 0.0, -math.inf, 0.0
    started = 0.0
    for now, length in zip(times.tolist(), service.tolist(), strict=True):
        if now > asleep_at:
            up += max(asleep_at - started, 0.0)
            started, ready, asleep_at = now, now + wake_s, now + wake_s + idle_s
        asleep_at = max(asleep_at, max(now, ready) + length + idle_s)
    up += asleep_at - started
    return up / max(times[-1], asleep_at)
