"""The memory size of a function: the cheapest that keeps the target, bought as was asked."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from advisor.catalog.schema import Option
from advisor.memo import Same
from advisor.prices import PriceBook
from advisor.requirements import Mode
from advisor.sizing.fleet import infeasible as no_function
from advisor.sizing.function import Function
from advisor.sizing.function_kinds import FunctionKind, function_kinds
from advisor.sizing.function_prices import PriceList, keeps_ready, price_list
from advisor.sizing.many_models import many, resident
from advisor.sizing.offers import function_offer, why_not
from advisor.sizing.performance import keep_alive_s
from advisor.sizing.purchase import ON_DEMAND, Offer
from advisor.sizing.sized import Sized, Term
from advisor.sizing.warm_up import least_volume
from advisor.workload import Workload

WHISKER_USD = 1e-9  # a difference of costs that is none


def functions(
    option: Option, work: Workload, region: str, book: PriceBook, term: Term = ON_DEMAND
) -> Function | Sized:
    """The cheapest memory size that keeps the target, bought in the way of `term`, or an
    infeasible Sized that says why.

    Where cold starts are ruled out and the hours of the traffic are known, instances are kept ready.
    """
    listed = prices_for(option, work, region, book)
    if isinstance(listed, Sized):
        return listed
    if term == ON_DEMAND:
        key = ("functions", Same(option), Same(listed))
        found: Function | Sized | None = work.kept.get(key)
        if found is None:
            found = work.kept[key] = _chosen(option, work, listed, book)
        return found
    offers: dict[str, Offer | None] = {}
    for arch in _architectures(option, work):
        offer = function_offer(option, arch, region, book, term)
        if offer.known.all():
            offers[arch] = offer
    if not offers:
        return no_function(why_not(option, region, term, book))
    return _chosen(option, work, listed, book, offers)


def prices_for(option: Option, work: Workload, region: str, book: PriceBook) -> PriceList | Sized:
    """The prices of the sizes that hold the model, or an infeasible Sized where none does."""
    held = resident(option, work)
    need_mb = option.number("overhead_memory_mb") + held.memory_mb
    sizes = tuple(mb for mb in option.memory_sizes_mb if mb >= need_mb)
    if not sizes:
        most = max(option.memory_sizes_mb)
        return no_function(
            f"{need_mb:,.0f} MB {many(held)}with the server > {most:,.0f} MB of the largest function"
        )
    return price_list(option, book, region, _architectures(option, work), sizes)


def _architectures(option: Option, work: Workload) -> tuple[str, ...]:
    every = option.architectures
    return every if work.need.placement.arm else tuple(a for a in every if a != "arm")


def _chosen(
    option: Option,
    work: Workload,
    listed: PriceList,
    book: PriceBook,
    offers: Mapping[str, Offer | None] | None = None,
) -> Function | Sized:
    """Bought as `offers` say, by architecture; left out: on demand."""
    kinds, ready = function_kinds(option, work, listed, book), keeps_ready(option, work)
    if offers is None:
        found = _cheapest([Function(option, work, kind, ready) for kind in kinds.distinct])
        return found or _nearest([Function(option, work, kind, ready) for kind in kinds.quickest])

    def bought(some: Sequence[FunctionKind]) -> list[Function]:
        return [Function(option, work, k, ready, offers[k.arch]) for k in some if k.arch in offers]

    return _cheapest(bought(kinds.quick)) or _nearest(bought(kinds.quickest))


def _cheapest(tried: Sequence[Function]) -> Function | None:
    """The cheapest that keeps the target, the first of equal ones; None when none does.

    Looked at in the order of the least that they may cost, so most need not be sized at all.
    """
    # (costs at least this much, number, whether that was looked at closely)
    waiting = [(function.floor_usd, i, not function.kept_ready) for i, function in enumerate(tried)]
    heapq.heapify(waiting)
    best: tuple[float, int, Function] | None = None
    cold: list[tuple[float, Function]] = []  # that only cold starts keep from the target
    if tried and tried[0].work.need.traffic.mode is Mode.batch:
        return _cheapest_of_run(tried)
    while waiting and (best is None or waiting[0][0] < best[0]):
        least, i, close = heapq.heappop(waiting)
        function = tried[i]
        if not close:
            heapq.heappush(waiting, (function.least_cost_usd, i, True))
            continue
        if not function.too_cold:
            sized = function.sized()
            cost = function.time_usd(sized)
            near = best is not None and abs(cost - best[0]) <= WHISKER_USD
            if best is None or (i < best[1] if near else cost < best[0]):
                best = (cost, i, function)
        elif not function.kept_ready:
            cold.append((least, function))
    if best is None:
        return None
    warmed = tuple(_warmed([f for least, f in cold if least < best[0]], best[0]))
    return replace(best[2], others=warmed) if warmed else best[2]


def _cheapest_of_run(tried: Sequence[Function]) -> Function | None:
    """The cheapest by its time, and those that cost more time and take fewer invocations, each of
    which has a fee and log lines: the least whole bill is among them."""
    keep = [
        (function.time_usd(sized), sized.requests, i)
        for i, function in enumerate(tried)
        if (sized := function.sized()).infeasible is None
    ]
    front: list[Function] = []
    fewest = np.inf
    for _usd, invocations, i in sorted(keep):
        if invocations < fewest:
            fewest = invocations
            front.append(tried[i])
    return replace(front[0], others=tuple(front[1:])) if front else None


def _warmed(cold: Sequence[Function], below_usd: float) -> Iterator[Function]:
    """With as many warm-up calls as keep the target, where their time costs less than that."""
    for function in cold:
        work, kind = function.work, function.kind
        upto = below_usd / function.least_cost_usd
        volume = least_volume(
            work,
            kind.service_ms / 1000,
            keep_alive_s(function.option.machines),
            kind.most_cold,
            upto,
        )
        if volume is None:
            continue
        found = replace(function, volume=volume)
        sized = found.sized()
        if sized.infeasible is None and (function.time_usd(sized) < below_usd):
            yield found


def _nearest(tried: Sequence[Function]) -> Sized:
    """The plan of the quickest, which says why none keeps the target."""
    plans = [function.sized() for function in tried]
    return min(plans, key=lambda sized: sized.min_p95_ms or np.inf)
