"""Provisioned concurrency: function instances that the clock keeps ready, so that nobody waits for
a start. It needs traffic that comes at known hours."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.errors import InputError
from advisor.requirements import Pattern
from advisor.sizing.queueing import erlang_b

Floats = NDArray[np.float64]

RECURSION = 600  # erlangs up to which the fewest instances are counted up to
# Patterns whose hours nobody knows beforehand.
UNPREDICTABLE = frozenset({Pattern.spiky, Pattern.rare})


def instances_kept_ready(rates: ArrayLike, service_s: float, spill: float) -> NDArray[np.int64]:
    """Instances in each hour, rates in requests/s; the same shape.

    An instance serves one request and nothing queues, so n instances are a loss system: a request
    finds all of them busy with Erlang's B(n, lambda S) (1917; holds for any distribution of S). An
    hour has the fewest instances with B <= `spill`; the hour before already has what the next one
    needs, because making instances ready takes minutes. What spills over is served on demand and
    counted as cold, which is the worst case. Raises InputError for a spill outside 0 to 1.
    """
    if not 0 < spill < 1:
        raise InputError(f"spill is {spill!r}; give a share between 0 and 1")
    return _kept_ready(np.asarray(rates, dtype=np.float64).tobytes(), service_s, spill)


def most_spilled(rates: ArrayLike, service_s: float, spill: float) -> float:
    """Share of all requests that find no instance ready at the most: in each hour `spill`, and
    a / (1 + a) where the load a = lambda S is less than that, as one instance is there.

    What really spills falls with each further instance and climbs up to the next one: a bill of it
    would fall with more traffic. Rates in requests/s; 0 where there are none.
    """
    return _most_spilled(np.asarray(rates, dtype=np.float64).tobytes(), service_s, spill)


@lru_cache(maxsize=1024)
def _most_spilled(week: bytes, service_s: float, spill: float) -> float:
    return float(weeks_spilled(np.frombuffer(week)[None, :], service_s, spill)[0])


def weeks_spilled(rates: Floats, service_s: float, spill: float) -> Floats:
    """`most_spilled` of many weeks, rates of shape (weeks, 168)."""
    load = rates * service_s
    whole = rates.sum(axis=1)
    share = (rates * np.minimum(spill, load / (1 + load))).sum(axis=1) / np.where(whole, whole, 1.0)
    return np.asarray(np.minimum(share, spill))


@lru_cache(maxsize=4096)
def _kept_ready(week: bytes, service_s: float, spill: float) -> NDArray[np.int64]:
    distinct, where, then = _week(week)
    fewest = np.array([_fewest(rate * service_s, spill) for rate in distinct], dtype=np.int64)
    planned: NDArray[np.int64] = np.maximum(fewest[where], fewest[then])
    planned.flags.writeable = False
    return planned


def weeks_kept_ready(rates: Floats, service_s: Floats, spill: float) -> NDArray[np.int64]:
    """The instances of `instances_kept_ready` for many weeks and service times at once, shape
    (times, weeks, 168). Rates of shape (weeks, 168)."""
    _values, first, where = np.unique(rates[-1], return_index=True, return_inverse=True)
    fewest = _fewest_each(rates[:, first] * service_s[:, None, None], spill).take(where, axis=2)
    return np.maximum(fewest, np.roll(fewest, -1, axis=2))


@lru_cache(maxsize=64)
def _week(week: bytes) -> tuple[list[float], NDArray[np.int64], NDArray[np.int64]]:
    """(distinct rates, number of each hour's rate, that of the hour after it)."""
    distinct, where = np.unique(np.frombuffer(week), return_inverse=True)
    return distinct.tolist(), where, np.roll(where, -1)


@lru_cache(maxsize=8192)
def _fewest(load: float, spill: float) -> int:
    """The least n with B(n, load) <= spill: by the recursion of B, which passes every n on the
    way; for many instances by bisection, as B falls with n."""
    if load <= 0:
        return 0
    if load <= RECURSION:
        servers, blocked = 0, 1.0
        while blocked > spill:
            servers += 1
            carried = load * blocked
            blocked = carried / (servers + carried)
        return servers
    low, high = 0, math.ceil(load)
    while float(erlang_b(high, load)) > spill:
        low, high = high, high + max(1, math.ceil(4 * math.sqrt(load)))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if float(erlang_b(middle, load)) > spill else (low, middle)
    return high


def _fewest_each(loads: Floats, spill: float) -> NDArray[np.int64]:
    """`_fewest` of each load."""
    out = np.zeros(loads.shape, dtype=np.int64)
    flat, found = loads.ravel(), out.ravel()
    for i in np.flatnonzero(flat > RECURSION).tolist():
        found[i] = _fewest(float(flat[i]), spill)
    left = np.flatnonzero((flat > 0) & (flat <= RECURSION))
    load, blocked, servers = flat[left], np.ones(left.size), 0
    while left.size:
        servers += 1
        carried = load * blocked
        blocked = carried / (servers + carried)
        enough = blocked <= spill
        if enough.any():
            found[left[enough]] = servers
            left, load, blocked = left[~enough], load[~enough], blocked[~enough]
    return out
