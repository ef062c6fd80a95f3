"""Replicas that work off a queue against a deadline, and may sleep meanwhile."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.errors import InputError
from advisor.sizing.levelled import longest_wait_s, most_requests
from advisor.sizing.queueing import response_percentile_ms

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_WHISKER = 1e-9  # so little beyond the deadline is in time
_MOST = 8  # times the replicas that the load needs: with more than these hardly anybody waits


@dataclass(frozen=True)
class Queue:
    """How replicas follow a queue, and when its answers are due."""

    idle_s: float  # a replica that is no longer needed stays so long
    wake_s: float  # until a new one takes requests
    max_utilisation: float
    to_zero: bool  # with nothing to do all may go
    fixed: bool = False  # always as many: the queue levels the load
    percentile: float = 95.0
    within_s: float = math.inf
    cv: float = 1.0  # of the service time


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
    rates: ArrayLike, service_ms: float, servers: int, queue: Queue
) -> AsyncPlan:
    """Replicas that work off a queue, for hourly arrival rates (requests/s, shape (168,)).

    An hour needs ceil(lambda S / (c max_utilisation)) replicas (Little's law with headroom). With
    `to_zero`, a replica goes to sleep `idle_s` after its last request and takes `wake_s` to wake.
    Where one is enough it is awake for (1 - x + w x) / (1 + w x) of the hour, x = e^(-lambda (S +
    idle_s)), w = lambda wake_s: the busy period of M/G/infinity with stays of S + idle_s, begun
    with a wake-up. Replicas that an hour no longer needs stay `idle_s` longer.

    The longest answer is that of a request that finds everything asleep or too small: it waits for
    the wake-up, then is served; later ones wait less. To it comes, of the slowest hour, the
    `percentile` of the response of all workers behind one queue (M/G/c).

    Where that is later than `within_s`, more replicas answer in time: in the hours that are late, or
    enough of them all week, so that nobody waits for a wake-up, whichever takes fewer replica-hours.
    What no number of them brings in time stays as the load alone asks.

    Where their number is `fixed`, requests of busy hours wait for quiet ones: the fewest replicas for
    which the longest wait in the queue (as a fluid, worked off at `max_utilisation`) and the response
    of the workers fit into `within_s`.
    """
    week = async_weeks(rates, np.array([service_ms]), np.array([servers]), queue)
    return AsyncPlan(
        hourly_replicas=tuple(int(n) for n in week.replicas[0]),
        hourly_use=tuple(week.used[0].tolist()),
        replica_hours_per_week=float(week.used[0].sum()),
        utilisation=float(week.utilisation[0]),
        answer_s=float(week.answer_s[0]),
    )


def async_weeks(rates: ArrayLike, service_ms: ArrayLike, servers: ArrayLike, queue: Queue) -> Weeks:
    """`async_replica_hours` of many machines at once. Raises InputError."""
    service, count = np.broadcast_arrays(
        np.atleast_1d(np.asarray(service_ms, dtype=np.float64)), np.asarray(servers, dtype=np.int64)
    )
    if service.min() <= 0 or count.min() < 1 or not 0 < queue.max_utilisation <= 1:
        raise InputError(
            f"service_ms is {service.min():g}, servers {count.min()}, max_utilisation "
            f"{queue.max_utilisation:g}; give a time above 0, at least 1 worker and a share up to 1"
        )
    true = np.asarray(rates, dtype=np.float64)
    work_each = (service / 1000 / count)[:, None]

    def response_s(replicas: Whole, machine: Whole, rate: Floats) -> Floats:
        workers = np.maximum(replicas, 1) * count[machine]
        found = response_percentile_ms(queue.percentile, rate, service[machine], queue.cv, workers)
        return np.asarray(found / 1000, dtype=np.float64)

    if queue.fixed:
        return _levelled(true, work_each[:, 0], response_s, queue)
    # The distinct rates, rising, and the one of each hour.
    rate, hour = np.unique(true, return_inverse=True)
    need = _whole(rate * work_each / queue.max_utilisation)

    def served_s(replicas: Whole, machine: Whole, at: Whole) -> Floats:
        return response_s(replicas, machine, rate[at])

    def week(need: Whole, queue: Queue) -> Weeks:
        used, awake, replicas = _week(true, service, true * work_each, need[:, hour], queue)
        busy = np.where(replicas > 0, true * work_each / np.maximum(replicas, 1), 0.0)
        sleeps = (awake < 1).any(axis=1) | (replicas != replicas[:, :1]).any(axis=1)
        answer_s = np.where(sleeps, queue.wake_s, 0.0) + _slowest_s(need, served_s)
        return Weeks(replicas, used, busy.max(axis=1), answer_s)

    within_s = queue.within_s * (1 + _WHISKER)
    found = week(need, queue)
    late = found.answer_s > within_s
    if late.any():
        awake = replace(queue, to_zero=False)
        enough = _in_time(np.repeat(need[:, -1:], len(rate), axis=1), served_s, within_s)
        # As many in all hours as the one that takes most, or somebody waits for a wake-up.
        steady = np.repeat(enough.max(axis=1, keepdims=True), len(rate), axis=1)
        for other in (
            week(_in_time(need, served_s, within_s - queue.wake_s), queue),
            week(steady, awake),
        ):
            better = late & (other.answer_s <= within_s)
            better &= (found.answer_s > within_s) | (other.used.sum(1) < found.used.sum(1))
            found = Weeks(*(
                np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)
                for new, old in zip(other, found, strict=True)
            ))  # fmt: skip
    return found


Served = Callable[[Whole, Whole, Whole], Floats]  # seconds: of replicas, at a machine, at a rate
Response = Callable[[Whole, Whole, Floats], Floats]  # the same at requests/s


def _levelled(rate: Floats, work_each: Floats, response_s: Response, queue: Queue) -> Weeks:
    """The fewest replicas, all week, whose queue is worked off in time. More of them answer sooner
    and more requests are answered later, so more requests never take fewer."""
    machine, most = np.arange(len(work_each)), most_requests(rate)
    within_s = min(queue.within_s * (1 + _WHISKER), sys.float_info.max)  # at all, if not in time

    def answer_s(replicas: Whole) -> Floats:
        worked_off = replicas * queue.max_utilisation / work_each
        busiest = np.minimum(rate.max(), worked_off)
        wait_s = np.asarray(longest_wait_s(most, worked_off), dtype=np.float64)
        return wait_s + response_s(replicas, machine, busiest)

    load = np.maximum(_whole(rate.max() * work_each / queue.max_utilisation), 1)  # nobody waits
    high = np.where(answer_s(load) > within_s, load * _MOST, load)
    helps = answer_s(high) <= within_s
    low = np.zeros_like(high)
    while (high - low > 1).any():
        middle = np.maximum((low + high) // 2, 1)
        enough = answer_s(middle) <= within_s
        low, high = (
            np.where(enough, low, np.minimum(middle, high - 1)),
            np.where(enough, middle, high),
        )
    found = np.where(helps, high, load)
    replicas = np.repeat(found[:, None], len(rate), axis=1)
    busy = np.minimum(rate.max() * work_each / found, 1.0)
    return Weeks(replicas, replicas.astype(np.float64), busy, answer_s(found))


def _whole(replicas: Floats) -> Whole:
    return np.ceil(replicas - 1e-9).astype(np.int64)


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
    rate: Floats, service_ms: Floats, work: Floats, need: Whole, queue: Queue
) -> tuple[Floats, Floats, Whole]:
    """(replica-hours of each hour, share of it awake, replicas), each of shape (m, h)."""
    kept_h = min(queue.idle_s, 3600) / 3600
    if not queue.to_zero:
        replicas = np.maximum(need, 1)
        released = np.maximum(np.roll(replicas, 1, axis=1) - replicas, 0)
        return replicas + released * kept_h, np.ones(work.shape), replicas
    replicas = np.where(rate > 0, np.maximum(need, 1), 0)
    empty = np.exp(-rate * ((service_ms / 1000)[:, None] + queue.idle_s))
    waking = rate * queue.wake_s * empty
    awake = np.maximum((1 - empty + waking) / (1 + waking), np.minimum(work, 1.0))
    awake = np.where(need > 1, 1.0, np.where(rate > 0, awake, 0.0))
    on = replicas * awake
    released = np.maximum(np.roll(on, 1, axis=1) - np.maximum(on, np.where(rate > 0, 1.0, 0.0)), 0)
    return on + released * kept_h, awake, replicas
