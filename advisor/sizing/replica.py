"""`queueing.max_rate_per_replica` and `queueing.replica_percentile_ms` for one replica.

The same table and the same arithmetic on plain numbers, some twenty times quicker for one than for
arrays of length 1; tests hold the two against each other.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache

import numpy as np

from advisor.sizing import queueing


def max_rate(
    target_ms: float, percentile: float, alone_ms: float, busy_ms: float, cv: float, servers: int,
    max_utilisation: float,
) -> float:  # fmt: skip
    """Requests a second that the replica takes within the target; 0 where even idle it misses."""
    rho, table = _table(cv, percentile, servers, max_utilisation > queueing.GRID[0][-1])
    growth, target = max(busy_ms / alone_ms - 1, 0.0), target_ms / alone_ms
    passed = bisect_right(range(len(rho)), target, key=lambda i: table[i] * (1 + rho[i] * growth))
    if passed == 0:
        return 0.0
    limit = rho[-1]
    if passed < len(rho):
        left = min(passed - 1, len(rho) - 2)
        low, high = (table[i] * (1 + rho[i] * growth) for i in (left, left + 1))
        step = (target - low) / (high - low) if high > low else 1.0
        limit = rho[left] + min(max(step, 0.0), 1.0) * (rho[left + 1] - rho[left])
    limit = min(limit, max_utilisation)
    return servers * limit / (alone_ms * (1 + limit * growth)) * 1000


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
    if rho >= 1:
        return math.inf, service_ms
    beyond = rho > queueing.GRID[0][-1]
    grid, table = _table(cv, percentile, servers, beyond)
    if beyond and rho > grid[-1]:
        exact = queueing.replica_percentile_ms(
            rate_per_s, percentile, alone_ms, busy_ms, cv, servers
        )
        return float(exact), service_ms
    at = min(bisect_right(grid, rho) - 1, len(grid) - 2)
    share = (rho - grid[at]) / (grid[at + 1] - grid[at])
    return (table[at] + share * (table[at + 1] - table[at])) * service_ms, service_ms


@lru_cache(maxsize=512)
def _table(
    cv: float, percentile: float, servers: int, beyond: bool
) -> tuple[list[float], list[float]]:
    """(utilisations, percentile over the service time), both rising; `beyond` 0.85 or up to it."""
    top = queueing.GRID[1 if beyond else 0][-1]
    rho, table = queueing.percentile_table(cv, percentile, np.array([servers]), float(top))
    return rho.tolist(), table[0].tolist()
