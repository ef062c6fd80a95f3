"""One option in one region as a plan: the ways to buy its machines, the bill, what it is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

from advisor.catalog.loader import people
from advisor.catalog.schema import Option
from advisor.costs import Amount, Bill, Line, lines_of, sum_usd, written_out
from advisor.costs.people import people_time
from advisor.prices import PriceBook
from advisor.ranking import SCALES, Measures, headroom
from advisor.recommendation import CostLine, PeopleTime, Range
from advisor.requirements import Mode
from advisor.rules import Fired
from advisor.sizing.choose import Sizable, other_ways, size
from advisor.sizing.function import Function
from advisor.sizing.many_sized import ManySized
from advisor.sizing.offers import NOT_CHEAPER, missing_commitment, terms
from advisor.sizing.purchase import ON_DEMAND
from advisor.sizing.sized import Factors, Sized, Strategy, Term
from advisor.sizing.uncertainty import time_spread
from advisor.workload import Workload

SLACK = 1e-6  # of a cost that was summed up in another order


class Served(Protocol):
    """What scoring looks at in a plan."""

    @property
    def strategy(self) -> Strategy: ...
    @property
    def replicas_max(self) -> int: ...
    @property
    def ready_seconds(self) -> float: ...
    @property
    def p95_ms(self) -> float | None: ...
    @property
    def finish_h(self) -> float | None: ...


@dataclass(frozen=True)
class Plan:
    """One option in one region, sized and priced."""

    option: Option
    region: str
    sized: Sized
    lines: tuple[CostLine, ...]  # left out where no range was asked for
    monthly_usd: Range
    at_least: bool
    people: PeopleTime
    total_usd: Range
    purchase_note: str  # why it is not bought as was asked; "" where it is
    imputed_usd: float  # added for the ranking alone, where a price is not known
    preferred: tuple[Fired, ...]
    warnings: tuple[Fired, ...]
    measures: Measures


@dataclass(frozen=True, eq=False)
class Ways:
    """The ways to buy an option's machines in a region, each with its cheapest choice."""

    option: Option
    work: Workload
    region: str
    book: PriceBook
    tried: tuple[tuple[Term, Sizable | Sized], ...]  # on demand first; a Sized says why not

    @cached_property
    def least_usd(self) -> float:
        """Below the bill and the people's time of each of them: what its machines alone cost."""
        least = min(made.least_usd for _, made in self.tried if not isinstance(made, Sized))
        people_usd = people_time(self.option, self.work).monthly_usd.expected
        return people_usd + least * (1 - SLACK)

    @cached_property
    def cheapest(self) -> Priced:
        """The way that gives the least bill. Raises UnknownPriceError.

        A commitment or spot is taken only where it makes the bill smaller.
        """
        found: list[Priced] = []
        why_not = missing_commitment(self.option, self.work.need)
        for term, made in self.tried:
            if isinstance(made, Sized):
                why_not = why_not or str(made.infeasible)
                continue
            priced = _priced(self, made)
            found.append(priced)
            if term != ON_DEMAND:
                why_not = why_not or NOT_CHEAPER[term if priced.sized.bought else "idle"]
        best = min(found, key=lambda priced: priced.ranked_usd)
        if why_not and best.sized.bought is None:
            return best._replace(purchase_note=f"{why_not}: priced on demand")
        asked = self.work.need.placement.commitment
        if best.sized.bought and best.sized.bought.term == "1y" != asked:
            why_not = why_not or "no 3-year rate is lower"
            return best._replace(purchase_note=f"{why_not}: priced with a commitment of one year")
        return best

    @property
    def total_usd(self) -> float:
        """What the plan is ranked by: its bill, people's time, and what stands in for prices that
        are not known. Raises UnknownPriceError."""
        people_usd = people_time(self.option, self.work).monthly_usd.expected
        return people_usd + self.cheapest.ranked_usd

    def plan(self, ranges: bool) -> Plan:
        """The plan of the way that gives the least bill. Raises UnknownPriceError."""
        option, work, priced = self.option, self.work, self.cheapest
        usd, imputed, expected = priced.usd, priced.imputed_usd, priced.sized
        if ranges and isinstance(priced.chosen, Function):
            expected = priced.chosen.explained(expected)
        ends = _ends(self, priced.chosen, expected, usd) if ranges else [usd]
        monthly = Range(low=min([usd, *ends]), expected=usd, high=max([usd, *ends]))
        time = people_time(option, work)
        total_usd = Range(
            low=monthly.low + time.monthly_usd.low + imputed,
            expected=monthly.expected + time.monthly_usd.expected + imputed,
            high=monthly.high + time.monthly_usd.high + imputed,
        )
        measures = measured(option, work, time, total_usd, expected)
        return Plan(
            option, self.region, expected, written_out(priced.lines) if ranges else (), monthly,
            priced.at_least, time, total_usd, priced.purchase_note, imputed, (), (), measures,
        )  # fmt: skip


class Priced(NamedTuple):
    """A way to buy, with its bill."""

    chosen: Sizable
    sized: Sized
    lines: list[Line]
    usd: float
    at_least: bool
    imputed_usd: float
    purchase_note: str = ""

    @property
    def ranked_usd(self) -> float:
        """The bill, and what stands in for prices that are not known."""
        return self.usd + self.imputed_usd


def ways(option: Option, work: Workload, region: str, book: PriceBook) -> Ways | Sized:
    """The ways to buy, or the Sized that says why nothing fits even on demand.

    Raises UnknownPriceError when the book has no machines for the option in the region.
    """
    tried = [(term, size(option, work, region, book, term)) for term in terms(option, work.need)]
    on_demand = tried[0][1]
    if isinstance(on_demand, Sized):
        return on_demand
    every = [(term, way) for term, made in tried for way in (made, *other_ways(made))]
    return Ways(option, work, region, book, tuple(every))


def _priced(given: Ways, chosen: Sizable) -> Priced:
    option, book, sized = given.option, given.book, chosen.sized()
    lines = lines_of(Bill(option, given.work, sized, given.region, book))
    usd, at_least = sum_usd(lines)
    imputed = 0.0
    if at_least:
        imputed = float(_imputed_usd(option, chosen, sized)) + float(home_usd(lines, book))
    return Priced(chosen, sized, lines, usd, at_least, imputed)


def measured(
    option: Option,
    work: Workload,
    time: PeopleTime,
    total_usd: Range,
    sized: Served | None,
    points: float = 0.0,
    ready: bool = False,
) -> Measures:
    """What the option is scored on; not sized yet, the best that it could be, with instances kept
    `ready` or not."""
    if sized.ready_seconds > 0 if sized else ready:
        moves = option.level("elasticity") * SCALES["elasticity"]["kept_ready_factor"]
    else:
        moves = option.level("elasticity")
    return Measures(
        option=option.id,
        total_usd=total_usd,
        people_hours=time.monthly_hours,
        headroom=headroom(work, sized.p95_ms, sized.finish_h) if sized else 1.0,
        control=option.level("control"),
        launch_weeks=people().launch_weeks(option, work.need.placement.existing_cluster),
        portability=option.level("portability"),
        elasticity=moves,
        resilience=option.level("resilience") * (_lone_factor(work, sized) if sized else 1.0),
        points=points,
    )


def _lone_factor(work: Workload, sized: Served) -> float:
    """What a single machine takes off resilience, where a caller would notice its loss.

    A function is started anew for the next request, in any zone; a queue keeps what a lost machine
    was working on, and a run starts again.
    """
    alone = sized.strategy == "fleet" and sized.replicas_max == 1
    if alone and work.need.traffic.mode is Mode.realtime:
        return float(SCALES["resilience"]["single_replica_factor"])
    return 1.0


def _ends(given: Ways, chosen: Sizable, expected: Sized, usd: float) -> list[float]:
    """The bill on a faster machine with less traffic, and on a slower one with more.

    The service time is off by what was given or by its translation to the machine, whichever is
    the more.
    """
    option, work, region, book = given.option, given.work, given.region, given.book
    corners = SCALES["cost_range"]["assumed" if work.service_time_assumed else "measured"]
    low, high = Factors(**corners["low"]), Factors(**corners["high"])
    shortest, longest = time_spread(chosen, expected, book, SCALES["time_spread"])
    out = []
    for factors in (
        replace(low, service_time=min(low.service_time, shortest)),
        replace(high, service_time=max(high.service_time, longest)),
    ):
        sized = chosen.sized(factors)
        if sized.infeasible is not None:
            # Beyond what the machine can carry the range ends at what is known.
            out.append(usd)
        else:
            lines = lines_of(Bill(option, work, sized, region, book, factors.volume))
            out.append(sum_usd(lines)[0])
    return out


def _imputed_usd(option: Option, chosen: Sizable, sized: Sized) -> Amount:
    """What the ranking reckons with where a machine's price is not known; in no bill."""
    if isinstance(chosen, Function):
        return chosen.prices.ready_usd(sized) if chosen.prices.imputed else 0.0
    return imputed_machines_usd(option, sized)


def imputed_machines_usd(option: Option, sized: Sized | ManySized) -> Amount:
    """The same for machines; an array for many volumes."""
    if sized.usd_per_hour is not None or sized.strategy == "functions":
        return 0.0
    return option.number("imputed_vcpu_hour_usd") * sized.vcpu * sized.replica_hours


def home_usd(lines: Sequence[Line], book: PriceBook) -> Amount:
    """The lines without a price at the prices of their cloud's default region, for the ranking
    alone: a region is not the cheaper one because nobody published its prices. An array for many
    volumes."""
    out: Amount = 0.0
    for line in lines:
        sku = book.skus.get(line.sku) if line.tiers is None else None
        if sku is not None:
            rate = book.rate(sku.sku, book.default_region(sku.cloud))
            for usd in line._replace(tiers=rate.tiers).usd_of_each():
                out = out + usd
    return out
