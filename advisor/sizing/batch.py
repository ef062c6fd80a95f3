"""Work that nobody waits for: batch runs against a deadline, and queues that may sleep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.errors import InputError
from advisor.sizing.queueing import response_percentile_ms

Floats = NDArray[np.float64]

# Machine scores are good to +-20 %: a run is planned to end this share of its time early.
RESERVE = 0.2


@dataclass(frozen=True)
class BatchPlan:
    """Machines for one run; all start together and stop when the last record is done."""

    machines: int
    run_h: float  # start-up included
    machine_hours_per_run: float  # of all machines, each until its own share is done


@dataclass(frozen=True)
class AsyncPlan:
    """Replicas behind a queue through one week."""

    hourly_replicas: tuple[int, ...]  # while awake
    hourly_use: tuple[float, ...]  # replica-hours of each hour, those that go to sleep included
    replica_hours_per_week: float  # hours asleep not counted
    utilisation: float  # of the busiest hour, over the replicas that are awake
    answer_s: float  # to the answer at the percentile: waking, waiting, serving


def batch_plan(
    records: float,
    service_ms: float,
    workers_per_machine: int,
    *,
    startup_s: float,
    deadline_h: float,
    max_machines: int | None = None,
    reserve: float = RESERVE,
) -> BatchPlan | None:
    """The fewest machines that end within (1 - reserve) of the deadline; None if none can.

    Records are shared out evenly: the busiest worker takes ceil(records / workers) of them, one
    after the other. A machine stops when its share is done. Where the reserve needs more than
    `max_machines`, all of these run and keep what is left of it, before the answer is None.
    `service_ms` is the time of one record with all workers busy.
    """
    if records < 0 or service_ms <= 0 or workers_per_machine < 1 or startup_s < 0:
        raise InputError(
            f"records is {records:g}, service_ms {service_ms:g}, workers_per_machine "
            f"{workers_per_machine}, startup_s {startup_s:g}; give 0 or more records, a time "
            "above 0, at least 1 worker, and a start-up of 0 or more"
        )
    machines, run_s, _filled = fewest_machines(
        records, np.array([service_ms]), np.array([workers_per_machine]), startup_s=startup_s,
        wanted_s=deadline_h * 3600 * (1 - reserve), least_s=deadline_h * 3600,
        max_machines=math.inf if max_machines is None else max_machines,
    )  # fmt: skip
    if machines[0] == 0:
        return None
    used_s = machines[0] * startup_s + math.ceil(records / workers_per_machine) * service_ms / 1000
    return BatchPlan(int(machines[0]), float(run_s[0]) / 3600, float(used_s) / 3600)


def fewest_machines(
    records: float,
    service_ms: Floats,
    workers: ArrayLike,
    *,
    startup_s: float,
    wanted_s: float,
    least_s: float,
    max_machines: float,
) -> tuple[Floats, Floats, Floats]:
    """(machines of a run, seconds to its end, records that fill a machine) of many machine types,
    each of shape (m,).

    The fewest that end within `wanted_s`, a record for each worker where none do; where that takes
    more than `max_machines`, as many as there are, if these end within `least_s`; else 0.
    """
    count = np.asarray(workers, dtype=np.float64)
    # A whisker more time than exactly n records is n records.
    least, wanted = (
        np.floor((seconds - startup_s) * 1000 / service_ms + 1e-9)
        for seconds in (least_s, wanted_s)
    )
    filled = np.maximum(wanted, 1.0) * count
    needed = np.maximum(np.ceil(records / filled - 1e-9), 1.0)
    possible = np.maximum(np.ceil(records / (np.maximum(least, 1.0) * count) - 1e-9), 1.0)
    machines = np.where(
        (least < 1) | (possible > max_machines), 0.0, np.minimum(needed, max_machines)
    )
    some = np.maximum(machines, 1.0)
    run_s = startup_s + np.ceil(records / (some * count)) * service_ms / 1000
    return machines, run_s, np.maximum(filled, records / some)


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
) -> AsyncPlan:
    """Replicas that work off a queue, for hourly arrival rates (requests/s, shape (168,)).

    An hour needs ceil(lambda S / (c max_utilisation)) replicas (Little's law with headroom); where
    their number is `fixed`, every hour has those of the busiest. With
    `to_zero`, a replica goes to sleep `idle_s` after its last request and takes `wake_s` to wake.
    Where one is enough it is awake for (1 - x + w x) / (1 + w x) of the hour, x = e^(-lambda (S +
    idle_s)), w = lambda wake_s: the busy period of M/G/infinity with stays of S + idle_s, begun
    with a wake-up. Replicas that an hour no longer needs stay `idle_s` longer.

    The longest answer is that of a request that finds everything asleep or too small: it waits for
    the wake-up, then is served; later ones wait less. To it comes, at the busiest hour, the
    `percentile` of the response of all workers behind one queue (M/G/c).
    """
    week = async_weeks(
        rates, np.array([service_ms]), np.array([servers]), idle_s=idle_s, wake_s=wake_s,
        max_utilisation=max_utilisation, to_zero=to_zero, fixed=fixed, percentile=percentile, cv=cv,
    )  # fmt: skip
    return AsyncPlan(
        hourly_replicas=tuple(int(n) for n in week.replicas[0]),
        hourly_use=tuple(week.used[0].tolist()),
        replica_hours_per_week=float(week.used[0].sum()),
        utilisation=float(week.utilisation[0]),
        answer_s=float(week.answer_s[0]),
    )


class Weeks(NamedTuple):
    """`AsyncPlan` of many machines at once: shapes (m, h), (m, h), (m,), (m,)."""

    replicas: NDArray[np.int64]
    used: Floats
    utilisation: Floats
    answer_s: Floats


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
) -> Weeks:
    """`async_replica_hours` of many machines at once."""
    service, count = np.broadcast_arrays(
        np.atleast_1d(np.asarray(service_ms, dtype=np.float64)), np.asarray(servers)
    )
    used, awake, replicas = _week(
        rates, service, count,
        idle_s=idle_s, wake_s=wake_s, max_utilisation=max_utilisation, to_zero=to_zero, fixed=fixed,
    )  # fmt: skip
    rate = np.asarray(rates, dtype=np.float64)
    workers = np.maximum(replicas * count[:, None], 1)
    busy = np.where(replicas > 0, rate * service[:, None] / 1000 / workers, 0.0)
    top, each = busy.argmax(axis=1), np.arange(len(service))
    served_ms = response_percentile_ms(percentile, rate[top], service, cv, workers[each, top])
    sleeps = (awake < 1).any(axis=1) | (replicas != replicas[:, :1]).any(axis=1)
    return Weeks(replicas, used, busy[each, top], np.where(sleeps, wake_s, 0.0) + served_ms / 1000)


def async_most(
    rates: ArrayLike, service_ms: ArrayLike, servers: ArrayLike, max_utilisation: float
) -> Floats:
    """The most replicas awake at once of many machines, `async_replica_hours(...).hourly_replicas`;
    shape (m,)."""
    busiest = float(np.asarray(rates).max()) * np.asarray(service_ms) / 1000 / np.asarray(servers)
    return np.asarray(np.maximum(np.ceil(busiest / max_utilisation - 1e-9), 1.0))


def _week(
    rates: ArrayLike,
    service_ms: Floats,
    servers: NDArray[np.int64],
    *,
    idle_s: float,
    wake_s: float,
    max_utilisation: float,
    to_zero: bool,
    fixed: bool,
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """(replica-hours of each hour, share of it awake, replicas), each of shape (m, h)."""
    rate = np.asarray(rates, dtype=np.float64)
    if service_ms.min() <= 0 or servers.min() < 1 or not 0 < max_utilisation <= 1:
        raise InputError(
            f"service_ms is {service_ms.min():g}, servers {servers.min()}, max_utilisation "
            f"{max_utilisation:g}; give a time above 0, at least 1 worker and a share up to 1"
        )
    service_s = (service_ms / 1000)[:, None]
    work = rate * service_s / servers[:, None]
    need = np.ceil(work / max_utilisation - 1e-9).astype(np.int64)
    if fixed:
        need = np.broadcast_to(need.max(axis=1, keepdims=True), need.shape)
    kept_h = min(idle_s, 3600) / 3600
    if not to_zero:
        replicas = np.maximum(need, 1)
        released = np.maximum(np.roll(replicas, 1, axis=1) - replicas, 0)
        return replicas + released * kept_h, np.ones(work.shape), replicas
    replicas = np.where(rate > 0, np.maximum(need, 1), 0)
    empty = np.exp(-rate * (service_s + idle_s))
    waking = rate * wake_s * empty
    awake = np.maximum((1 - empty + waking) / (1 + waking), np.minimum(work, 1.0))
    awake = np.where(need > 1, 1.0, np.where(rate > 0, awake, 0.0))
    on = replicas * awake
    released = np.maximum(np.roll(on, 1, axis=1) - np.maximum(on, np.where(rate > 0, 1.0, 0.0)), 0)
    return on + released * kept_h, awake, replicas
