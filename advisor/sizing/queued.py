"""Replicas that work off a queue against a deadline, and may sleep meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.errors import InputError
from advisor.sizing.queueing import response_percentile_ms

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_WHISKER = 1e-9  # so little beyond the deadline is in time
_MOST = 8  # times the replicas that the load needs: with more than these hardly anybody waits


@dataclass(frozen=True)
class AsyncPlan:
    """Replicas behind a queue through one week."""

    hourly_replicas: tuple[int, ...]  # while awake
    hourly_use: tuple[float, ...]  # replica-hours of each hour, those that go to sleep included
    replica_hours_per_week: float  # hours asleep not counted
    utilisation: float  # of the busiest hour, over the replicas that are awake
    answer_s: float  # to the answer at the percentile: waking, waiting, serving


class Weeks(NamedTuple):
    """`AsyncPlan` of many machines at once: shapes (m, h), (m, h), (m,), (m,)."""

    replicas: Whole
    used: Floats
    utilisation: Floats
    answer_s: Floats


def async_replica_hours(
    rates: ArrayLike,
    service_ms: float,
    servers: int,
    *,
    idle_s: float,
    wake_s: float,
    max_utilisation: float,
    to_zero: bool,
    fixed: bool = False,
    percentile: float = 95.0,
    cv: float = 1.0,
    within_s: float = math.inf,
) -> AsyncPlan:
    """Replicas that work off a queue, for hourly arrival rates (requests/s, shape (168,)).

    An hour needs ceil(lambda S / (c max_utilisation)) replicas (Little's law with headroom), and more
    where the answers would otherwise come later than `within_s`; where their number is `fixed`, every
    hour has those of the busiest. With
    `to_zero`, a replica goes to sleep `idle_s` after its last request and takes `wake_s` to wake.
    Where one is enough it is awake for (1 - x + w x) / (1 + w x) of the hour, x = e^(-lambda (S +
    idle_s)), w = lambda wake_s: the busy period of M/G/infinity with stays of S + idle_s, begun
    with a wake-up. Replicas that an hour no longer needs stay `idle_s` longer.

    The longest answer is that of a request that finds everything asleep or too small: it waits for
    the wake-up, then is served; later ones wait less. To it comes, of the slowest hour, the
    `percentile` of the response of all workers behind one queue (M/G/c).
    """
    week = async_weeks(
        rates, np.array([service_ms]), np.array([servers]), idle_s=idle_s, wake_s=wake_s,
        max_utilisation=max_utilisation, to_zero=to_zero, fixed=fixed, percentile=percentile, cv=cv,
        within_s=within_s,
    )  # fmt: skip
    return AsyncPlan(
        hourly_replicas=tuple(int(n) for n in week.replicas[0]),
        hourly_use=tuple(week.used[0].tolist()),
        replica_hours_per_week=float(week.used[0].sum()),
        utilisation=float(week.utilisation[0]),
        answer_s=float(week.answer_s[0]),
    )


def async_weeks(
    rates: ArrayLike,
    service_ms: ArrayLike,
    servers: ArrayLike,
    *,
    idle_s: float,
    wake_s: float,
    max_utilisation: float,
    to_zero: bool,
    fixed: bool = False,
    percentile: float = 95.0,
    cv: float = 1.0,
    within_s: float = math.inf,
) -> Weeks:
    """`async_replica_hours` of many machines at once. Raises InputError."""
    service, count = np.broadcast_arrays(
        np.atleast_1d(np.asarray(service_ms, dtype=np.float64)), np.asarray(servers, dtype=np.int64)
    )
    if service.min() <= 0 or count.min() < 1 or not 0 < max_utilisation <= 1:
        raise InputError(
            f"service_ms is {service.min():g}, servers {count.min()}, max_utilisation "
            f"{max_utilisation:g}; give a time above 0, at least 1 worker and a share up to 1"
        )
    true = np.asarray(rates, dtype=np.float64)
    # The rates that hours are planned for, rising, and the one of each hour.
    rate, hour = np.unique(np.full_like(true, true.max()) if fixed else true, return_inverse=True)
    work_each = (service / 1000 / count)[:, None]
    need = np.ceil(rate * work_each / max_utilisation - 1e-9).astype(np.int64)

    def served_s(replicas: Whole, machine: Whole, at: Whole) -> Floats:
        workers = np.maximum(replicas, 1) * count[machine]
        found = response_percentile_ms(percentile, rate[at], service[machine], cv, workers)
        return np.asarray(found / 1000, dtype=np.float64)

    changes = to_zero or len(rate) > 1
    left_s = (within_s - (wake_s if changes else 0.0)) * (1 + _WHISKER)
    slowest_s = _slowest_s(need, served_s)
    if (slowest_s > left_s).any():
        need = _in_time(need, served_s, left_s)
        slowest_s = _slowest_s(need, served_s)
    work, need = true * work_each, need[:, hour]
    used, awake, replicas = _week(
        true, service, work, need, idle_s=idle_s, wake_s=wake_s, to_zero=to_zero
    )
    busy = np.where(replicas > 0, work / np.maximum(replicas, 1), 0.0)
    sleeps = (awake < 1).any(axis=1) | (replicas != replicas[:, :1]).any(axis=1)
    return Weeks(replicas, used, busy.max(axis=1), np.where(sleeps, wake_s, 0.0) + slowest_s)


Served = Callable[[Whole, Whole, Whole], Floats]  # seconds: of replicas, at a machine, at a rate


def _slowest_s(need: Whole, served_s: Served) -> Floats:
    """The slowest hour's response of each machine, for replicas of shape (m, rates), rates rising."""
    last = np.ones(need.shape, dtype=bool)  # of the rates that have so many replicas: the slowest
    last[:, :-1] = need[:, 1:] != need[:, :-1]
    machine, at = np.nonzero(last)
    found = np.zeros(len(need))
    np.maximum.at(found, machine, served_s(need[machine, at], machine, at))
    return found


def _in_time(need: Whole, served_s: Served, left_s: float) -> Whole:
    """The fewest replicas that answer in time, for those that are late; as they were where that
    takes more than anybody would run, or no number is enough."""
    machine, at = np.indices(need.shape).reshape(2, -1)
    low = need.ravel()
    late = served_s(low, machine, at) > left_s
    machine, at, low = machine[late], at[late], low[late]
    high = np.maximum(low, 1) * _MOST
    helps = served_s(high, machine, at) <= left_s
    machine, at, low, high = machine[helps], at[helps], low[helps], high[helps]
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = served_s(middle, machine, at) <= left_s
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    out = need.copy()
    out[machine, at] = high
    return out


def _week(
    rate: Floats,
    service_ms: Floats,
    work: Floats,
    need: Whole,
    *,
    idle_s: float,
    wake_s: float,
    to_zero: bool,
) -> tuple[Floats, Floats, Whole]:
    """(replica-hours of each hour, share of it awake, replicas), each of shape (m, h)."""
    kept_h = min(idle_s, 3600) / 3600
    if not to_zero:
        replicas = np.maximum(need, 1)
        released = np.maximum(np.roll(replicas, 1, axis=1) - replicas, 0)
        return replicas + released * kept_h, np.ones(work.shape), replicas
    replicas = np.where(rate > 0, np.maximum(need, 1), 0)
    empty = np.exp(-rate * ((service_ms / 1000)[:, None] + idle_s))
    waking = rate * wake_s * empty
    awake = np.maximum((1 - empty + waking) / (1 + waking), np.minimum(work, 1.0))
    awake = np.where(need > 1, 1.0, np.where(rate > 0, awake, 0.0))
    on = replicas * awake
    released = np.maximum(np.roll(on, 1, axis=1) - np.maximum(on, np.where(rate > 0, 1.0, 0.0)), 0)
    return on + released * kept_h, awake, replicas
