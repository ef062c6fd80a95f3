"""One option against the rules, the sizing and the prices: ruled out, without a price, or a plan."""

from __future__ import annotations

from dataclasses import dataclass, replace

from advisor.catalog.loader import people
from advisor.catalog.residency import usable_regions
from advisor.catalog.schema import Option
from advisor.costs import Bill, bill, total
from advisor.costs.people import people_time
from advisor.errors import UnknownPriceError
from advisor.prices import PriceBook
from advisor.ranking import SCALES, Measures, headroom
from advisor.recommendation import CostLine, PeopleTime, Range
from advisor.requirements import Cloud, Mode, Requirements
from advisor.rules import Fired, Outcome, PlanFacts, RuleSet
from advisor.sizing.choose import Sizable, size
from advisor.sizing.functions import Function
from advisor.sizing.offers import NOT_CHEAPER, missing_commitment, terms
from advisor.sizing.purchase import ON_DEMAND
from advisor.sizing.sized import Factors, Sized
from advisor.sizing.uncertainty import time_spread
from advisor.workload import Workload


@dataclass(frozen=True)
class Considered:
    """Everything found out about one option; exactly one of ranked, excluded, unpriced is set."""

    option: Option
    fired: tuple[Fired, ...] = ()  # exclusions
    plan: Plan | None = None
    unpriced: str | None = None


@dataclass(frozen=True)
class Plan:
    """One option in one region, sized and priced."""

    option: Option
    region: str
    sized: Sized
    lines: tuple[CostLine, ...]
    monthly_usd: Range
    at_least: bool
    people: PeopleTime
    total_usd: Range
    purchase_note: str  # why it is not bought as was asked; "" where it is
    imputed_usd: float  # added for the ranking alone, where a price is not known
    preferred: tuple[Fired, ...]
    warnings: tuple[Fired, ...]
    measures: Measures


def consider(
    option: Option,
    work: Workload,
    regions: dict[str, tuple[str, ...]],
    rules: RuleSet,
    book: PriceBook,
    *,
    ranges: bool = True,
) -> Considered:
    """One option against the rules, the sizing and the prices, in its cheapest region.

    Without `ranges` the low and high ends of the bill are left at the expected value.
    """
    first = rules.evaluate(option, work)
    if first.excluded:
        return Considered(option, fired=tuple(first.excluded))
    fits: list[Plan] = []
    refused: list[tuple[Fired, ...]] = []
    unpriced = ""
    among = usable_regions(option, work.need, regions.get(option.cloud.value, ()))
    # The ends of the range choose nothing: of many regions only the cheapest one's are reckoned.
    early = ranges and len(among) == 1
    for region in among:
        try:
            plan = _cheapest(option, work, region, book, early)
        except UnknownPriceError as error:
            unpriced = str(error)
            continue
        if isinstance(plan, Sized):
            facts = PlanFacts.of(plan)
            refused.append(tuple(rules.evaluate(option, work, facts).excluded))
            continue
        facts = PlanFacts.of(plan.sized, plan.monthly_usd, plan.total_usd, plan.purchase_note)
        after = rules.evaluate(option, work, facts)
        if after.excluded:
            refused.append(tuple(after.excluded))
            continue
        fits.append(_with_rules(plan, first, after))
    if fits:
        best = min(fits, key=lambda p: (p.total_usd.expected, p.region))
        if ranges and not early:
            best = _with_range(best, _cheapest(option, work, best.region, book, True))
        return Considered(option, plan=best)
    if refused:
        return Considered(option, fired=refused[0])
    return Considered(option, unpriced=unpriced or f"no price is known for {option.name}")


def promise(option: Option, work: Workload, rules: RuleSet) -> Measures | None:
    """The best that the option could measure, before it is sized: no bill, an instant answer, every
    preferring rule for it. No plan of it scores higher. None when the answers rule it out."""
    first = rules.evaluate(option, work)
    if first.excluded:
        return None
    time = people_time(option, work)
    points = sum(fired.points for fired in first.preferred) + rules.most_points(option)
    return replace(_measures(option, work, time, time.monthly_usd, None), points=points)


def regions_by_cloud(
    need: Requirements, book: PriceBook
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The regions to look at for each cloud, and what had to be assumed.

    A region names its cloud; a cloud that was asked for without a region gets its default.
    Raises InputError for a region that no cloud has.
    """
    out: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []
    place = need.placement
    for region in place.regions:
        cloud = book.cloud_of(region)
        out[cloud] = (*out.get(cloud, ()), region)
    asked = {c.value for c in place.clouds}
    for cloud in (Cloud.aws, Cloud.gcp, Cloud.azure):
        if cloud.value in asked and cloud.value not in out:
            default = book.default_region(cloud.value)
            out[cloud.value] = (default,)
            notes.append(f"No {cloud.value} region was given; its default {default} is used.")
    if "region" not in place.model_fields_set:
        extra = [c for c in out if c not in asked and "regions" in place.model_fields_set]
        notes += [
            f"Region {', '.join(out[c])} belongs to {c}, which is not among the clouds; it is "
            "not used."
            for c in extra
        ]
    out["kubernetes"] = ("your cluster",)
    out["own-hardware"] = ("your hardware",)
    return out, notes


def _cheapest(
    option: Option, work: Workload, region: str, book: PriceBook, ranges: bool
) -> Plan | Sized:
    """The plan of the way to buy that gives the least bill, or the Sized that says why none fits.

    On demand is always tried: a commitment or spot is taken only where it makes the bill smaller.
    """
    found: list[Plan] = []
    why_not = missing_commitment(option, work.need)
    for term in terms(option, work.need):
        made = size(option, work, region, book, term)
        sized = made if isinstance(made, Sized) else made.sized()
        if sized.infeasible is None:
            assert not isinstance(made, Sized)  # noqa: S101 - a bare Sized is always infeasible
            found.append(_priced(option, work, region, book, made, sized, ranges))
            if term != ON_DEMAND:
                why_not = why_not or NOT_CHEAPER[term if sized.bought else "idle"]
        elif term == ON_DEMAND:
            return sized
        else:
            why_not = why_not or sized.infeasible
    best = min(found, key=lambda plan: plan.monthly_usd.expected + plan.imputed_usd)
    if why_not and best.sized.bought is None:
        return replace(best, purchase_note=f"{why_not}: priced on demand")
    return best


def _priced(
    option: Option,
    work: Workload,
    region: str,
    book: PriceBook,
    chosen: Sizable,
    expected: Sized,
    ranges: bool,
) -> Plan:
    lines = bill(Bill(option, work, expected, region, book))
    usd, at_least = total(lines)
    ends = _ends(option, work, region, book, chosen, expected, usd) if ranges else [usd]
    monthly = Range(low=min([usd, *ends]), expected=usd, high=max([usd, *ends]))
    time = people_time(option, work)
    imputed = 0.0
    if at_least:
        imputed = _imputed_usd(option, chosen, expected) + _home_usd(lines, book)
    total_usd = Range(
        low=monthly.low + time.monthly_usd.low + imputed,
        expected=monthly.expected + time.monthly_usd.expected + imputed,
        high=monthly.high + time.monthly_usd.high + imputed,
    )
    measures = _measures(option, work, time, total_usd, expected)
    return Plan(
        option, region, expected, lines, monthly, at_least, time, total_usd, "", imputed,
        (), (), measures,
    )  # fmt: skip


def _with_range(plan: Plan, again: Plan | Sized) -> Plan:
    assert isinstance(again, Plan)  # noqa: S101 - it fitted a moment ago
    points = plan.measures.points
    return replace(
        again,
        preferred=plan.preferred,
        warnings=plan.warnings,
        measures=replace(again.measures, points=points),
    )


def _measures(
    option: Option, work: Workload, time: PeopleTime, total_usd: Range, sized: Sized | None
) -> Measures:
    """What the option is scored on; not sized yet, the best that it could be."""
    ready = SCALES["elasticity"]["kept_ready_factor"] if sized and sized.ready_seconds else 1.0
    return Measures(
        option=option.id,
        total_usd=total_usd,
        people_hours=time.monthly_hours,
        headroom=headroom(work, sized.p95_ms, sized.finish_h) if sized else 1.0,
        control=option.level("control"),
        launch_weeks=people().launch_weeks(option, work.need.placement.existing_cluster),
        portability=option.level("portability"),
        elasticity=option.level("elasticity") * ready,
        resilience=option.level("resilience") * (_lone_factor(work, sized) if sized else 1.0),
        points=0.0,
    )


def _lone_factor(work: Workload, sized: Sized) -> float:
    """What a single machine takes off resilience, where a caller would notice its loss.

    A function is started anew for the next request, in any zone; a queue keeps what a lost machine
    was working on, and a run starts again.
    """
    alone = sized.strategy == "fleet" and sized.replicas_max == 1
    if alone and work.need.traffic.mode is Mode.realtime:
        return float(SCALES["resilience"]["single_replica_factor"])
    return 1.0


def _ends(
    option: Option,
    work: Workload,
    region: str,
    book: PriceBook,
    chosen: Sizable,
    expected: Sized,
    usd: float,
) -> list[float]:
    """The bill on a faster machine with less traffic, and on a slower one with more.

    The service time is off by what was given or by its translation to the machine, whichever is
    the more.
    """
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
            out.append(total(bill(Bill(option, work, sized, region, book, factors.volume)))[0])
    return out


def _imputed_usd(option: Option, chosen: Sizable, sized: Sized) -> float:
    """What the ranking reckons with where a machine's price is not known; in no bill."""
    if isinstance(chosen, Function):
        return chosen.prices.ready_usd(sized) if chosen.prices.imputed else 0.0
    if sized.usd_per_hour is not None or sized.strategy == "functions":
        return 0.0
    return option.number("imputed_vcpu_hour_usd") * sized.vcpu * sized.replica_hours


def _home_usd(lines: tuple[CostLine, ...], book: PriceBook) -> float:
    """The lines without a price at the prices of their cloud's default region, for the ranking
    alone: a region is not the cheaper one because nobody published its prices."""
    out = 0.0
    for line in lines:
        sku = book.skus.get(line.unit) if line.unit_price_usd is None else None
        if sku is not None:
            out += book.rate(sku.sku, book.default_region(sku.cloud)).usd(line.quantity)
    return out


def _with_rules(plan: Plan, before: Outcome, after: Outcome) -> Plan:
    preferred = (*before.preferred, *after.preferred)
    points = sum(f.points for f in preferred)
    return replace(
        plan,
        preferred=preferred,
        warnings=(*before.warnings, *after.warnings),
        measures=replace(plan.measures, points=points),
    )
