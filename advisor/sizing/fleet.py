"""Replicas on machines: the cheapest machine and replica plan that keeps the target all week.

Each replica is one first-come queue before its workers (M/G/c); a load balancer spreads requests
over replicas at random, so a replica sees a thinned Poisson stream. Round-robin and
least-outstanding balancing do better, so this errs on the safe side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.durations import duration
from advisor.memo import Same
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Mode
from advisor.sizing import balancer
from advisor.sizing.candidates import Candidates
from advisor.sizing.many_models import note, resident
from advisor.sizing.offers import least_on_spot
from advisor.sizing.performance import cold_start
from advisor.sizing.purchase import (
    ON_DEMAND,
    Offer,
    bought_as,
    month_hours,
    paid_hours,
    paid_hours_by_hour,
)  # fmt: skip
from advisor.sizing.queued import Queue, async_replica_hours, async_weeks
from advisor.sizing.queueing import replica_percentile_ms
from advisor.sizing.replica import max_rate, response
from advisor.sizing.shortlist import shortlist
from advisor.sizing.sized import EXPECTED, Array, Factors, Sized, Term
from advisor.workload import Workload

MONTH_PER_WEEK = HOURS_IN_MONTH / HOURS_IN_WEEK
WEEK = np.array([float(HOURS_IN_WEEK)])


@dataclass(frozen=True)
class Fleet:
    """A machine chosen for an option in a region, able to size itself again under other inputs."""

    option: Option
    work: Workload
    machine: Candidates  # of length 1
    overhead_ms: float
    min_replicas: int
    offer: Offer | None = None  # how it is bought, of length 1; None: on demand
    least_usd: float = 0.0  # below what the machines cost a month

    def sized(self, factors: Factors = EXPECTED) -> Sized:
        """The replica plan on this machine; `factors` scale service time and volume."""
        if factors == EXPECTED:
            return self._expected
        return bought_as(self.offer, self._plan, _usage, factors)

    @cached_property
    def _expected(self) -> Sized:
        return bought_as(self.offer, self._plan, _usage, EXPECTED)

    def _plan(self, factors: Factors) -> Sized:
        if self.work.need.traffic.mode is Mode.asynchronous:
            return _size_async(self, factors)
        machine = self.machine
        key = (
            "fleet", Same(self.option), machine.name[0], machine.alone_ms[0], machine.busy_ms[0],
            machine.servers[0], self.min_replicas, factors,
        )  # fmt: skip
        found: Sized | None = self.work.kept.get(key)
        if found is None:
            found = self.work.kept[key] = _size_realtime(self, factors)
        # Regions sell the same machine at other prices.
        return found if found.infeasible else replace(found, **price_fields(machine))


def fleet(
    option: Option, work: Workload, region: str, book: PriceBook, term: Term = ON_DEMAND
) -> Fleet | Sized:
    """The cheapest fleet bought in the way of `term`, or an infeasible Sized that says why and how
    near the best machine is."""
    overhead = overhead_ms(option, work)
    listed = shortlist(option, work, region, book, term, overhead)
    if listed.why_none:
        return infeasible(listed.why_none)
    machines, offer = listed.machines, listed.offer
    if listed.too_slow:
        return _too_slow(option, work, machines, overhead)
    service = work.need.service
    least = least_on_spot(work.need, min_replicas(option, work), term)
    if work.need.traffic.mode is Mode.asynchronous:
        weeks = async_weeks(work.rates, machines.busy_ms, machines.servers, _queue(option, work))
        used, late = weeks.used, weeks.answer_s > service.deadline_h * 3600 * (1 + 1e-9)
        hours = paid = used.sum(axis=1) * MONTH_PER_WEEK
        most = weeks.replicas.max(axis=1)
        if offer and term != "spot":
            paid = paid_hours_by_hour(used, offer.share) * MONTH_PER_WEEK
    else:
        distinct, weights = _planned_rates(option, work)
        counts = replica_counts(distinct, listed.rate, least)
        hours = paid = counts @ weights * MONTH_PER_WEEK
        most = counts.max(axis=1)
        if offer and term != "spot":
            paid = paid_hours(counts, weights, offer.share) * MONTH_PER_WEEK
    cost = machines.usd_per_hour * paid + listed.beside_usd * hours
    cost = cost + balancer.second_usd(option, work, book, region) * (most > 1)
    dear = np.where(np.isnan(cost), np.inf, cost)
    if work.need.traffic.mode is Mode.asynchronous and late.any():
        if late.all() and term != ON_DEMAND:
            return infeasible(
                f"no machine that can be bought this way answers within "
                f"{duration(service.deadline_h)}"
            )
        # One that answers in time; where none does, the one that answers first.
        dear = weeks.answer_s if late.all() else np.where(late, np.inf, dear)
    at = int(np.lexsort((hours, dear))[0])
    machine, bought = listed.only(at)
    usd = float(machines.usd_per_hour[at]) * _least_paid(float(paid[at]), float(hours[at]), bought)
    return Fleet(option, work, machine, overhead, least, bought, 0.0 if math.isnan(usd) else usd)


def _least_paid(paid: float, hours: float, offer: Offer | None) -> float:
    """Hours at the price on demand: no bill has less of them. What is discounted pays its share."""
    return min(paid, hours * min(1.0, float(offer.share[0]))) if offer else paid


def overhead_ms(option: Option, work: Workload) -> float:
    """Time outside the model: the option's gateway or balancer, and moving the payload."""
    traffic = work.need.traffic
    moved_mb = traffic.request_mb + traffic.response_mb
    return option.number("overhead_ms") + moved_mb / option.number("network_mb_per_s") * 1000


def min_replicas(option: Option, work: Workload) -> int:
    """1 where a single replica's SLA (or its practical availability) is enough, else 2 zones."""
    asked = work.need.service.availability_percent
    return 1 if asked <= option.number("single_replica_availability_percent") else 2


def replicas(option: Option, rates: Array, rate_each: float, least: int) -> NDArray[np.int64]:
    """Replicas in each hour of the week, shape (..., 168) as the rates."""
    return np.maximum(_whole(planned(option, rates) / rate_each), least).astype(np.int64)


def replica_counts(distinct: Array, rates: Array, least: int) -> Array:
    """Replicas of many machines for planned rates of shape (..., distinct rates), when each takes
    `rates`, shape (machines,); shape (..., machines, distinct rates)."""
    return np.maximum(_whole(distinct[..., None, :] / rates[:, None]), least)


def _planned_rates(option: Option, work: Workload) -> tuple[Array, Array]:
    """The distinct rates that a week's hours are planned for, rising, and the hours with each."""
    ahead = option.scaling == "autoscaled"
    return work.rates_ahead if ahead else (work.rates.max(keepdims=True), WEEK)


def _usage(sized: Sized) -> tuple[Array, Array]:
    """Replicas in use and the hours of a month. One that sleeps within an hour uses a part of it."""
    hourly = np.array(sized.hourly_use or sized.hourly_replicas, dtype=np.float64)
    return hourly, month_hours(len(hourly))


def planned(option: Option, rates: Array) -> Array:
    """The rate that each hour is planned for, shape (..., 168) as the rates: scaling out takes
    minutes, so the hour before already runs what the next one needs; what does not scale is planned
    for the busiest hour."""
    if option.scaling == "autoscaled":
        # Not np.roll, which takes four times as long for a week.
        following = np.concatenate((rates[..., 1:], rates[..., :1]), axis=-1)
        return np.maximum(rates, following)
    return np.broadcast_to(rates.max(axis=-1, keepdims=True), rates.shape)


def _whole(replicas: Array) -> Array:
    # A whisker above an integer is that integer: 3.0000000001 replicas are 3.
    return np.ceil(replicas - 1e-9)


def _size_realtime(plan: Fleet, factors: Factors) -> Sized:
    work, machine, option = plan.work, plan.machine, plan.option
    service, cv = work.need.service, work.need.model.service_time_cv
    assert service.p95_ms is not None  # noqa: S101 - real-time requirements always carry one
    rates = work.rates * factors.volume
    held = resident(option, work)
    percentile = held.percentile(service.percentile)
    alone = float(machine.alone_ms[0]) * factors.service_time
    busy = float(machine.busy_ms[0]) * factors.service_time
    servers, target = int(machine.servers[0]), service.p95_ms - plan.overhead_ms
    rate = max_rate(target, percentile, alone, busy, cv, servers, service.max_utilisation)
    if target <= 0 or rate <= 0:
        return _too_slow(option, work, slowed(machine, factors), plan.overhead_ms)
    hourly = replicas(option, rates, rate, plan.min_replicas)
    per_replica = float((rates / hourly).max())
    response_ms, loaded_ms = response(per_replica, percentile, alone, busy, cv, servers)
    return Sized(
        strategy="fleet",
        **machine_fields(machine),
        model=f"one first-come queue before {servers} worker{'s'[: servers > 1]} in each replica "
        "(M/G/c), requests spread over replicas at random",
        service_time_ms=loaded_ms,
        servers=servers,
        replicas_min=int(hourly.min()),
        replicas_max=int(hourly.max()),
        replica_hours=float(hourly.sum() * MONTH_PER_WEEK),
        hourly_replicas=tuple(hourly.tolist()),
        utilisation=per_replica * loaded_ms / 1000 / servers,
        p95_ms=response_ms + plan.overhead_ms,
        finish_h=None,
        cold_start_share=held.miss_share,
        notes=tuple(filter(None, (note(held),))),
    )  # fmt: skip


def _size_async(plan: Fleet, factors: Factors) -> Sized:
    work, machine, option = plan.work, slowed(plan.machine, factors), plan.option
    servers = int(machine.servers[0])
    queue = _queue(option, work)
    queued = async_replica_hours(
        work.rates * factors.volume, float(machine.busy_ms[0]), servers, queue
    )
    hourly = queued.hourly_replicas
    sleeps = any(use < n for use, n in zip(queued.hourly_use, hourly, strict=True))
    how = (
        "replicas follow the work and go to zero when idle"
        if sleeps
        else "replicas follow the work"
        if min(hourly) < max(hourly)
        else "as many replicas as work it off in time stay all week"
    )
    return Sized(
        strategy="fleet",
        **machine_fields(machine),
        model=f"requests wait in a queue; {how}",
        service_time_ms=float(machine.busy_ms[0]),
        servers=servers,
        replicas_min=0 if sleeps else int(min(hourly)),
        replicas_max=int(max(hourly)),
        replica_hours=queued.replica_hours_per_week * MONTH_PER_WEEK,
        hourly_replicas=tuple(hourly),
        hourly_use=queued.hourly_use,
        utilisation=queued.utilisation,
        p95_ms=None,
        finish_h=queued.answer_s / 3600,
        notes=tuple(filter(None, (note(resident(option, work)),))),
    )  # fmt: skip


def _queue(option: Option, work: Workload) -> Queue:
    service = work.need.service
    return Queue(
        idle_s=option.number("scale_in_idle_s"),
        wake_s=cold_start(option.id).cold_s.expected + resident(option, work).start_s,
        max_utilisation=service.max_utilisation,
        to_zero=option.flag("scale_to_zero"),
        fixed=option.scaling == "fixed",
        percentile=service.percentile,
        within_s=service.deadline_h * 3600,
        cv=work.need.model.service_time_cv,
    )


def slowed(machine: Candidates, factors: Factors) -> Candidates:
    if factors.service_time == 1.0:
        return machine
    return replace(
        machine,
        alone_ms=machine.alone_ms * factors.service_time,
        busy_ms=machine.busy_ms * factors.service_time,
    )


def machine_fields(machine: Candidates) -> dict[str, Any]:
    """The fields of Sized that describe a machine."""
    return {
        "machine": str(machine.name[0]),
        "arch": str(machine.arch[0]),
        "vcpu": float(machine.vcpu[0]),
        "memory_mb": float(machine.memory_gib[0]) * 1024,
        "gpu_cards": int(machine.cards[0]),
        **price_fields(machine),
    }


def price_fields(machine: Candidates) -> dict[str, Any]:
    """Those that describe its price in a region."""
    usd = float(machine.usd_per_hour[0])
    return {
        "usd_per_hour": None if math.isnan(usd) else usd,
        "price_source": str(machine.source[0]),
        "price_as_of": str(machine.as_of[0]),
    }


def _too_slow(option: Option, work: Workload, machines: Candidates, overhead: float) -> Sized:
    service, held = work.need.service, resident(option, work)
    quickest = int(np.lexsort((machines.usd_per_hour, machines.alone_ms))[0])
    best = float(
        replica_percentile_ms(
            0.0, held.percentile(service.percentile), machines.alone_ms[quickest],
            machines.busy_ms[quickest],
            work.need.model.service_time_cv, int(machines.servers[quickest]),
        )
    ) + overhead  # fmt: skip
    return infeasible(
        f"p{service.percentile:g} of {best:,.0f} ms on the fastest machine "
        f"({machines.name[quickest]}, idle) > {service.p95_ms:,.0f} ms target",
        min_p95_ms=best,
    )


def infeasible(because: str, min_p95_ms: float | None = None) -> Sized:
    return Sized(
        strategy="fleet", machine="", arch="", vcpu=0, memory_mb=0, usd_per_hour=None,
        price_source="", price_as_of="", model="", service_time_ms=0, servers=0, replicas_min=0,
        replicas_max=0, replica_hours=0, hourly_replicas=(), utilisation=0, p95_ms=None,
        finish_h=None, min_p95_ms=min_p95_ms, infeasible=because,
    )  # fmt: skip
