"""An option sized at many volumes at once, bought on demand: the same choice and the same plan as one
by one (`choose.size`), in a handful of passes over arrays.

Fleets that somebody waits for and functions are sized as arrays; queues and runs one volume after
the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.prices import PriceBook
from advisor.requirements import Mode
from advisor.sizing import balancer
from advisor.sizing.choose import size
from advisor.sizing.fleet import (
    MONTH_PER_WEEK,
    min_replicas,
    overhead_ms,
    planned,
    replica_counts,
    replicas,
)
from advisor.sizing.many_functions import Chosen, chosen_functions
from advisor.sizing.many_models import resident
from advisor.sizing.purchase import ON_DEMAND
from advisor.sizing.replica import max_rate, response
from advisor.sizing.shortlist import Shortlist, shortlist
from advisor.sizing.sized import Array, Sized, Strategy
from advisor.volumes import Volumes

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ManySized:
    """Plans of one kind at some of the volumes; figures by their names in `Sized`, as arrays of
    shape (plans,) unless all have the same."""

    at: Whole  # which of the volumes, rising
    strategy: Strategy
    arch: str
    machines: NDArray[np.object_]
    vcpu: Array
    memory_mb: float | Array  # one figure for functions, whose price depends on it
    usd_per_hour: Array | None
    replicas_min: Whole
    replicas_max: Whole
    replica_hours: Array
    utilisation: Array
    cold_start_share: Array
    p95_ms: Array | None
    finish_h: Array | None
    requests: Array
    gb_seconds: Array
    billed_seconds: Array
    ready_seconds: Array
    ready_work_seconds: Array
    gpu_cards: Whole
    imputed_usd: float | Array = 0.0  # of functions, in the ranking alone
    warm_up_calls: float = 0.0  # plans with such calls are made one by one
    machine: str = ""  # names of lines are for people, who see one volume
    price_source: str = ""
    price_as_of: str = ""
    bought: None = None


class Many(NamedTuple):
    """The plans at those volumes at which there is one, but for the volumes at which they have to be
    made one by one: there several ways to carry the workload are to be priced."""

    plans: list[ManySized]
    alone: Sequence[int] = ()


def many_sized(option: Option, volumes: Volumes, region: str, book: PriceBook) -> Many:
    """Raises UnknownPriceError when the book has no machines for the option in the region."""
    mode = volumes.need.traffic.mode
    if option.scaling == "per-request":
        if mode is Mode.batch:
            return Many([], range(len(volumes)))
        chosen, alone = chosen_functions(option, volumes, region, book)
        return Many([_functions(one) for one in chosen], alone)
    if option.scaling != "job" and mode is Mode.realtime:
        return Many(list(_fleets(option, volumes, region, book)))
    found = [size(option, work, region, book) for work in volumes.works]
    plans = [one if isinstance(one, Sized) else one.sized() for one in found]
    return Many(list(_put_together(plans)))


def _fleets(option: Option, volumes: Volumes, region: str, book: PriceBook) -> Iterator[ManySized]:
    """`fleet.fleet` and its plan: the machine whose month costs least, at each volume."""
    first = volumes.works[0]
    overhead, least = overhead_ms(option, first), min_replicas(option, first)
    listed = shortlist(option, first, region, book, ON_DEMAND, overhead)
    if listed.why_none or listed.too_slow:
        return
    chosen = _cheapest(option, volumes, region, book, listed, least)
    alike: dict[tuple[str, bool], list[ManySized]] = {}
    service, cv = first.need.service, first.need.model.service_time_cv
    assert service.p95_ms is not None  # noqa: S101 - real-time requirements always carry one
    held = resident(option, first)
    percentile, target = held.percentile(service.percentile), service.p95_ms - overhead
    for number in np.unique(chosen).tolist():
        at = np.flatnonzero(chosen == number)
        one, _offer = listed.only(number)
        alone, busy, servers = float(one.alone_ms[0]), float(one.busy_ms[0]), int(one.servers[0])
        rate = max_rate(target, percentile, alone, busy, cv, servers, service.max_utilisation)
        if target <= 0 or rate <= 0:
            continue
        rates = volumes.rates[at]
        hourly = replicas(option, rates, rate, least)
        each = (rates / hourly).max(axis=1)
        waits = [response(r, percentile, alone, busy, cv, servers) for r in each.tolist()]
        response_ms, loaded_ms = np.array(waits).T
        usd, nothing = float(one.usd_per_hour[0]), np.zeros(len(at))
        plans = ManySized(
            at=at, strategy="fleet", arch=str(one.arch[0]),
            machines=np.full(len(at), str(one.name[0]), dtype=object),
            vcpu=np.full(len(at), float(one.vcpu[0])),
            memory_mb=np.full(len(at), float(one.memory_gib[0]) * 1024),
            usd_per_hour=None if np.isnan(usd) else np.full(len(at), usd),
            replicas_min=hourly.min(axis=1), replicas_max=hourly.max(axis=1),
            replica_hours=hourly.sum(axis=1) * MONTH_PER_WEEK,
            utilisation=each * loaded_ms / 1000 / servers,
            cold_start_share=np.full(len(at), held.miss_share),
            p95_ms=response_ms + overhead, finish_h=None, requests=nothing, gb_seconds=nothing,
            billed_seconds=nothing, ready_seconds=nothing, ready_work_seconds=nothing,
            gpu_cards=np.full(len(at), int(one.cards[0])),
        )  # fmt: skip
        alike.setdefault((plans.arch, plans.usd_per_hour is None), []).append(plans)
    yield from (_merged(group) for group in alike.values())


def _merged(group: Sequence[ManySized]) -> ManySized:
    """Plans on different machines as one, by rising volume number."""
    if len(group) == 1:
        return group[0]
    order = np.argsort(np.concatenate([plans.at for plans in group]))
    columns: dict[str, Any] = {}
    for f in fields(ManySized):
        parts = [getattr(plans, f.name) for plans in group]
        array = isinstance(parts[0], np.ndarray)
        columns[f.name] = np.concatenate(parts)[order] if array else parts[0]
    return ManySized(**columns)


def _cheapest(
    option: Option, volumes: Volumes, region: str, book: PriceBook, listed: Shortlist, least: int
) -> Whole:
    """The number of the chosen machine, shape (volumes,)."""
    ahead = planned(option, volumes.rates)
    _values, first, weights = np.unique(ahead[-1], return_index=True, return_counts=True)
    counts = replica_counts(ahead[:, first], listed.rate, least)
    hours = counts @ weights.astype(np.float64) * MONTH_PER_WEEK
    cost = listed.machines.usd_per_hour * hours + listed.beside_usd * hours
    usd = np.asarray(balancer.second_usd(option, volumes, book, region))
    cost = cost + usd.reshape(-1, 1) * (counts.max(axis=2) > 1)
    cost = np.where(np.isnan(cost), np.inf, cost)
    cheapest = cost == cost.min(axis=1, keepdims=True)
    return np.asarray(np.where(cheapest, hours, np.inf).argmin(axis=1))


def _functions(chosen: Chosen) -> ManySized:
    count, ready_s = len(chosen.at), chosen.ready_s
    return ManySized(
        at=chosen.at, strategy="functions", arch=chosen.arch,
        machines=np.full(count, chosen.machine, dtype=object),
        vcpu=np.full(count, chosen.vcpu), memory_mb=chosen.memory_mb, usd_per_hour=None,
        replicas_min=chosen.least, replicas_max=chosen.most,
        replica_hours=(ready_s + chosen.billed_s) / 3600, utilisation=np.zeros(count),
        cold_start_share=chosen.cold, p95_ms=chosen.p95_ms, finish_h=chosen.finish_h,
        requests=chosen.requests, gb_seconds=chosen.billed_s * chosen.memory_mb / 1024,
        billed_seconds=chosen.billed_s, ready_seconds=ready_s,
        ready_work_seconds=chosen.ready_work_s, imputed_usd=chosen.imputed_usd,
        gpu_cards=np.ones(count, dtype=np.int64),
    )  # fmt: skip


# The figures that a Sized gives one by one.
_FIGURES = tuple(
    f.name
    for f in fields(ManySized)
    if f.name in Sized.__dataclass_fields__
    and f.name not in ("strategy", "arch", "memory_mb", "usd_per_hour", "machine", "bought",
                       "price_source", "price_as_of", "p95_ms", "finish_h", "warm_up_calls")
)  # fmt: skip


def _put_together(plans: Sequence[Sized]) -> Iterator[ManySized]:
    """Plans at the volumes, alike ones as arrays; those that are infeasible are left out."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for i, plan in enumerate(plans):
        if plan.infeasible is None:
            key = (plan.strategy, plan.machine, plan.arch, plan.usd_per_hour is None)
            alike.setdefault(key, []).append(i)
    for at in alike.values():
        some = [plans[i] for i in at]
        first = some[0]
        figures: dict[str, Any] = {
            name: np.array([getattr(plan, name) for plan in some]) for name in _FIGURES
        }
        yield ManySized(
            at=np.array(at), strategy=first.strategy, arch=first.arch,
            machines=np.full(len(at), first.machine, dtype=object), memory_mb=first.memory_mb,
            usd_per_hour=_known([plan.usd_per_hour for plan in some]),
            p95_ms=_known([plan.p95_ms for plan in some]),
            finish_h=_known([plan.finish_h for plan in some]), **figures,
        )  # fmt: skip


def _known(values: Sequence[float | None]) -> Array | None:
    return None if values[0] is None else np.array(values, dtype=np.float64)
