"""`queueing.max_rate_per_replica` and `queueing.replica_percentile_ms` for one replica.

The same table and the same arithmetic on plain numbers, some twenty times quicker for one than for
arrays of length 1; tests hold the two against each other.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from advisor.sizing import queueing


def max_rate(
    target_ms: float, percentile: float, alone_ms: float, busy_ms: float, cv: float, servers: int,
    max_utilisation: float,
) -> float:  # fmt: skip
    """Requests a second that the replica takes within the target; 0 where even idle it misses."""
    growth, target = max(busy_ms / alone_ms - 1, 0.0), target_ms / alone_ms
    highest = max_utilisation * (1 + growth) / (1 + max_utilisation * growth)
    curve = _curve(cv, percentile, servers, growth, highest > queueing.GRID[0][-1])
    load = curve.load
    passed = bisect_right(range(len(load)), target, key=curve.reach)
    if passed == 0:
        return 0.0
    limit = load[-1]
    if passed < len(load):
        left = min(passed - 1, len(load) - 2)
        low, high = curve.reach(left), curve.reach(left + 1)
        step = (target - low) / (high - low) if high > low else 1.0
        limit = load[left] + min(max(step, 0.0), 1.0) * (load[left + 1] - load[left])
    return servers * min(limit, highest) / (alone_ms * (1 + growth)) * 1000


def response(
    rate_per_s: float, percentile: float, alone_ms: float, busy_ms: float, cv: float, servers: int
) -> tuple[float, float]:
    """(percentile of the response time, mean service time) under this load, in ms; the first is
    infinite where the queue grows without end."""
    alone_s = alone_ms / 1000
    each = rate_per_s / servers
    left = 1 - each * max(busy_ms / 1000 - alone_s, 0.0)
    rho = each * alone_s / left if left > 0 else math.inf
    service_ms = alone_ms + min(rho, 1.0) * max(busy_ms - alone_ms, 0.0)
    growth = max(busy_ms / alone_ms - 1, 0.0)
    load = each * alone_s * (1 + growth)
    if load >= 1:
        return math.inf, service_ms
    beyond = load > queueing.GRID[0][-1]
    curve = _curve(cv, percentile, servers, growth, bool(beyond))
    grid = curve.load
    if beyond and load > grid[-1]:
        exact = queueing.replica_percentile_ms(
            rate_per_s, percentile, alone_ms, busy_ms, cv, servers
        )
        return float(exact), service_ms
    at = min(bisect_right(grid, load) - 1, len(grid) - 2)
    share = (load - grid[at]) / (grid[at + 1] - grid[at])
    low, high = curve.reach(at), curve.reach(at + 1)
    return (low + share * (high - low)) * alone_ms, service_ms


class _Curve(NamedTuple):
    """A percentile of the response over the loads of the table, for one machine."""

    load: list[float]  # lambda busy / c
    table: list[float]
    waits: list[float]
    growth: float
    even: float  # see `queueing.stretch`
    allowed: float

    def reach(self, at: int) -> float:
        """The percentile at that load, over the service time of an idle machine."""
        load, g = self.load[at], self.growth
        rho = load / (1 + g - load * g)
        even = self.even * min(1.0, rho / self.allowed)
        return self.table[at] * (1 + g * (1 - (1 - rho) * (1 - self.waits[at]) * (1 - even)))


@lru_cache(maxsize=1024)
def _curve(cv: float, percentile: float, servers: int, growth: float, beyond: bool) -> _Curve:
    load, table, waits = _table(cv, percentile, servers, beyond)
    even = math.exp(-queueing.EVENNESS * cv)
    return _Curve(load, table, waits, growth, even, 1 - percentile / 100)


@lru_cache(maxsize=512)
def _table(
    cv: float, percentile: float, servers: int, beyond: bool
) -> tuple[list[float], list[float], list[float]]:
    """(loads, percentile over the service time, probability of waiting), all rising; `beyond` 0.85
    or up to it."""
    top = queueing.GRID[1 if beyond else 0][-1]
    rho, table = queueing.percentile_table(cv, percentile, np.array([servers]), float(top))
    return rho.tolist(), table[0].tolist(), queueing.waiting(servers, rho.size).tolist()
