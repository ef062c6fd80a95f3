"""Replicas on machines: the cheapest machine and replica plan that keeps the target all week.

Each replica is one first-come queue before its workers (M/G/c); a load balancer spreads requests
over replicas at random, so a replica sees a thinned Poisson stream. Round-robin and
least-outstanding balancing do better, so this errs on the safe side.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.errors import UnknownPriceError
from advisor.memo import memo_of
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Mode
from advisor.sizing import balancer
from advisor.sizing.batch import async_hours_per_week, async_replica_hours
from advisor.sizing.candidates import Candidates, candidates
from advisor.sizing.many_models import Resident, note, resident
from advisor.sizing.offers import least_on_spot, offered, why_not
from advisor.sizing.performance import cold_start
from advisor.sizing.purchase import ON_DEMAND, Offer, bought_as, month_hours, paid_hours
from advisor.sizing.queueing import busy_service_ms, max_rate_per_replica, replica_percentile_ms
from advisor.sizing.sized import EXPECTED, Array, Factors, Sized, Term
from advisor.workload import Workload

MOST_RATES = 16  # targets for which the rates of a list of machines are remembered
MONTH_PER_WEEK = HOURS_IN_MONTH / HOURS_IN_WEEK


@dataclass(frozen=True)
class Fleet:
    """A machine chosen for an option in a region, able to size itself again under other inputs."""

    option: Option
    work: Workload
    machine: Candidates  # of length 1
    overhead_ms: float
    min_replicas: int
    offer: Offer | None = None  # how it is bought, of length 1; None: on demand

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
        return _size_realtime(self, factors)


def fleet(
    option: Option, work: Workload, region: str, book: PriceBook, term: Term = ON_DEMAND
) -> Fleet | Sized:
    """The cheapest fleet bought in the way of `term`, or an infeasible Sized that says why and how
    near the best machine is."""
    machines = candidates(option, work, region, book)
    if len(machines) == 0:
        return infeasible(machines.rejected)
    machines, offer = offered(option, machines, region, book, term)
    if len(machines) == 0:
        return infeasible(why_not(option, region, term, book))
    overhead, held = overhead_ms(option, work), resident(option, work)
    least = least_on_spot(work.need, min_replicas(option, work), term)
    if work.need.traffic.mode is Mode.asynchronous:
        hours = paid = _async_hours(option, work, machines, EXPECTED)
    else:
        rate = _max_rates(work, machines, overhead, held)
        if not (rate > 0).any():
            return _too_slow(option, work, machines, overhead)
        keeps = rate > 0
        machines, rate = machines.take(keeps), rate[keeps]
        offer = offer.take(keeps) if offer else None
        counts, weights = _replica_counts(option, work.rates, rate, least)
        hours = paid = counts @ weights * MONTH_PER_WEEK
        if offer and term != "spot":
            paid = paid_hours(counts, weights, offer.share) * MONTH_PER_WEEK
    cost = machines.usd_per_hour * paid + _beside(option, book, region) * hours
    if balancer.from_second(option) and work.need.traffic.mode is Mode.realtime:
        several = counts.max(axis=1) > 1
        cost = cost + balancer.month_usd(option, work, book, region) * several
    order = np.lexsort((hours, np.where(np.isnan(cost), np.inf, cost)))[:1]
    return Fleet(
        option, work, machines.take(order), overhead, least, offer.take(order) if offer else None
    )


def overhead_ms(option: Option, work: Workload) -> float:
    """Time outside the model: the option's gateway or balancer, and moving the payload."""
    traffic = work.need.traffic
    moved_mb = traffic.request_mb + traffic.response_mb
    return option.number("overhead_ms") + moved_mb / option.number("network_mb_per_s") * 1000


def min_replicas(option: Option, work: Workload) -> int:
    """1 where a single replica's SLA (or its practical availability) is enough, else 2 zones."""
    asked = work.need.service.availability_percent
    return 1 if asked <= option.number("single_replica_availability_percent") else 2


def _max_rates(work: Workload, machines: Candidates, overhead: float, held: Resident) -> Array:
    service = work.need.service
    assert service.p95_ms is not None  # noqa: S101 - real-time requirements always carry one
    left_ms = service.p95_ms - overhead
    if left_ms <= 0:
        return np.zeros(len(machines))
    whole, at = machines.whole, machines.at
    if whole is not None and at is not None and _taken(machines, whole, at):
        rates = memo_of(whole, "rates", MOST_RATES).get(
            (overhead, held), work, lambda seen: _max_rates(seen, whole, overhead, held)
        )
        return cast(Array, rates[at])
    return np.asarray(
        max_rate_per_replica(
            left_ms, held.percentile(service.percentile), machines.alone_ms, machines.busy_ms,
            work.need.model.service_time_cv, machines.servers, service.max_utilisation,
        ),
        dtype=np.float64,
    )  # fmt: skip


def _taken(machines: Candidates, whole: Candidates, at: NDArray[np.int64]) -> bool:
    """Whether the machines are still as fast and as wide as where they were taken from."""
    return (
        np.array_equal(machines.alone_ms, whole.alone_ms[at])
        and np.array_equal(machines.busy_ms, whole.busy_ms[at])
        and np.array_equal(machines.servers, whole.servers[at])
    )


def _replicas(option: Option, rates: Array, max_rate: float, least: int) -> NDArray[np.int64]:
    """Replicas in each hour of the week, shape (168,)."""
    return np.maximum(_whole(_planned(option, rates) / max_rate), least).astype(np.int64)


def _replica_counts(
    option: Option, rates: Array, max_rate: Array, least: int
) -> tuple[Array, Array]:
    """Replicas of many machines, shape (machines, distinct rates), rising with the rate; and the
    hours of a week with that rate. Equal hours are counted once."""
    distinct, hours = np.unique(_planned(option, rates), return_counts=True)
    count = np.maximum(_whole(distinct[None, :] / max_rate[:, None]), least)
    return np.asarray(count, dtype=np.float64), hours.astype(np.float64)


def _usage(sized: Sized) -> tuple[Array, Array]:
    """Replicas in use and the hours of a month. One that sleeps within an hour uses a part of it."""
    hourly = np.array(sized.hourly_replicas, dtype=np.float64)
    hours = month_hours(len(hourly))
    whole = float(hourly @ hours)
    if whole > 0:
        hourly *= sized.replica_hours / whole
    return hourly, hours


def _planned(option: Option, rates: Array) -> Array:
    """The rate that each hour is planned for: scaling out takes minutes, so the hour before
    already runs what the next one needs; what does not scale is planned for the busiest hour."""
    if option.scaling == "autoscaled":
        return np.maximum(rates, np.roll(rates, -1))
    return np.full_like(rates, rates.max())


def _whole(replicas: Array) -> Array:
    # A whisker above an integer is that integer: 3.0000000001 replicas are 3.
    return np.ceil(replicas - 1e-9)


def _beside(option: Option, book: PriceBook, region: str) -> float:
    """Price of an hour of what comes along with each machine (disk, address)."""
    extra = 0.0
    for sku, per_hour in option.per_replica_hour.items():
        # The choice of a machine goes on without it; the bill's own line says it is unknown.
        with contextlib.suppress(UnknownPriceError):
            extra += book.rate(sku, region).tiers[0].unit_price_usd * per_hour
    if "disk" in option.bill:
        with contextlib.suppress(UnknownPriceError):
            gb_month = book.rate(option.text("disk_sku"), region).tiers[0].unit_price_usd
            extra += gb_month * option.number("disk_gb") / HOURS_IN_MONTH
    return extra


def _size_realtime(plan: Fleet, factors: Factors) -> Sized:
    work, machine, option = plan.work, slowed(plan.machine, factors), plan.option
    rates = work.rates * factors.volume
    held = resident(option, work)
    rate = _max_rates(work, machine, plan.overhead_ms, held)
    if rate[0] <= 0:
        return _too_slow(option, work, machine, plan.overhead_ms)
    hourly = _replicas(option, rates, float(rate[0]), plan.min_replicas)
    per_replica = float((rates / hourly).max())
    alone, busy, servers = machine.alone_ms[0], machine.busy_ms[0], int(machine.servers[0])
    cv, percentile = work.need.model.service_time_cv, held.percentile(work.need.service.percentile)
    loaded_ms = float(busy_service_ms(per_replica, servers, alone, busy))
    response = float(replica_percentile_ms(per_replica, percentile, alone, busy, cv, servers))
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
        hourly_replicas=tuple(int(n) for n in hourly),
        utilisation=per_replica * loaded_ms / 1000 / servers,
        p95_ms=response + plan.overhead_ms,
        finish_h=None,
        cold_start_share=held.miss_share,
        notes=tuple(filter(None, (note(held),))),
    )  # fmt: skip


def _async_hours(option: Option, work: Workload, machines: Candidates, factors: Factors) -> Array:
    weekly = async_hours_per_week(
        work.rates * factors.volume, machines.busy_ms, machines.servers,
        idle_s=option.number("scale_in_idle_s"), wake_s=_wake_s(option, work),
        max_utilisation=work.need.service.max_utilisation, to_zero=option.flag("scale_to_zero"),
    )  # fmt: skip
    return weekly * MONTH_PER_WEEK


def _size_async(plan: Fleet, factors: Factors) -> Sized:
    work, machine, option = plan.work, slowed(plan.machine, factors), plan.option
    servers = int(machine.servers[0])
    queued = async_replica_hours(
        work.rates * factors.volume, float(machine.busy_ms[0]), servers,
        idle_s=option.number("scale_in_idle_s"), wake_s=_wake_s(option, work),
        max_utilisation=work.need.service.max_utilisation, to_zero=option.flag("scale_to_zero"),
    )  # fmt: skip
    hourly = queued.hourly_replicas
    return Sized(
        strategy="fleet",
        **machine_fields(machine),
        model="requests wait in a queue; replicas follow the work and go to zero when idle"
        if option.flag("scale_to_zero")
        else "requests wait in a queue; replicas follow the work",
        service_time_ms=float(machine.busy_ms[0]),
        servers=servers,
        replicas_min=int(min(hourly)),
        replicas_max=int(max(hourly)),
        replica_hours=queued.replica_hours_per_week * MONTH_PER_WEEK,
        hourly_replicas=tuple(hourly),
        utilisation=queued.utilisation,
        p95_ms=None,
        finish_h=queued.answer_s / 3600,
        notes=tuple(filter(None, (note(resident(option, work)),))),
    )  # fmt: skip


def _wake_s(option: Option, work: Workload) -> float:
    return cold_start(option.id).cold_s.expected + resident(option, work).start_s


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
    usd = float(machine.usd_per_hour[0])
    return {
        "machine": str(machine.name[0]),
        "arch": str(machine.arch[0]),
        "vcpu": float(machine.vcpu[0]),
        "memory_mb": float(machine.memory_gib[0]) * 1024,
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
