"""One option against the rules, the sizing and the prices: ruled out, without a price, or a plan."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from advisor.catalog.residency import usable_regions
from advisor.catalog.schema import Option
from advisor.costs.people import people_time
from advisor.errors import UnknownPriceError
from advisor.memo import Memo, Same
from advisor.plans import Plan, Ways, measured, ways
from advisor.prices import PriceBook
from advisor.ranking import Measures
from advisor.requirements import Cloud, Requirements
from advisor.rules import Fired, Outcome, PlanFacts, RuleSet
from advisor.sizing.function_prices import keeps_ready
from advisor.sizing.sized import Sized
from advisor.workload import Workload

# Scores this near are told apart by their ids, so neither is left out for the other.
WHISKER = 1e-9


@dataclass(frozen=True)
class Considered:
    """Everything found out about one option; exactly one of ranked, excluded, unpriced is set."""

    option: Option
    fired: tuple[Fired, ...] = ()  # exclusions
    plan: Plan | None = None
    unpriced: str | None = None


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

    Without `ranges` only what ranking by expected values needs: the low and high ends of the bill
    are left at the expected value, and warnings, notes and the sentences of preferring rules out.
    """
    first = rules.evaluate(option, work, said=ranges)
    return Look(option, work, regions, rules, book, first, ranges=ranges).found


class Look:
    """One option looked at step by step: sized when `least_usd` or `found` is first asked for,
    priced when `found` is."""

    def __init__(
        self, option: Option, work: Workload, regions: dict[str, tuple[str, ...]],
        rules: RuleSet, book: PriceBook, first: Outcome, *, ranges: bool = True,
    ) -> None:  # fmt: skip
        """`first`: what the rules of the need phase say; `ranges` as for `consider`."""
        self._option, self._work, self._rules, self._book = option, work, rules, book
        self._first, self._ranges = first, ranges
        self._among = usable_regions(option, work.need, regions.get(option.cloud.value, ()))

    @cached_property
    def _search(self) -> _Search:
        return _Search(self._option, self._work, self._among, self._book)

    @property
    def least_usd(self) -> float:
        """No plan of it costs less a month, people's time included; infinite where there is none."""
        return math.inf if self._first.excluded else self._search.least_usd

    @cached_property
    def found(self) -> Considered:
        """The cheapest plan that the rules allow, or why there is none."""
        option, work, rules = self._option, self._work, self._rules
        if self._first.excluded:
            return Considered(option, fired=tuple(self._first.excluded))
        search, ranges = self._search, self._ranges
        refused: dict[str, tuple[Fired, ...]] = {}
        # The cheapest comes first: once one is allowed, dearer ones need not be asked about.
        for region, way in search.plans():
            # The ends of the range choose nothing: of many regions only one region's are reckoned.
            plan = way.plan(ranges and len(self._among) == 1)
            facts = PlanFacts.of(plan.sized, plan.monthly_usd, plan.total_usd, plan.purchase_note)
            after = rules.evaluate(option, work, facts, said=ranges)
            if not after.excluded:
                best = way.plan(True) if ranges and len(self._among) > 1 else plan
                return Considered(option, plan=_with_rules(best, self._first, after))
            refused[region] = tuple(after.excluded)
        for region, sized in search.too_slow.items():
            refused[region] = tuple(rules.evaluate(option, work, PlanFacts.of(sized)).excluded)
        if refused:
            return Considered(option, fired=next(refused[r] for r in self._among if r in refused))
        unpriced = (search.unpriced[r] for r in reversed(self._among) if r in search.unpriced)
        return Considered(
            option, unpriced=next(unpriced, "") or f"no price is known for {option.name}"
        )


class _Search:
    """An option's plans in many regions, cheapest first.

    A bill is made only where the machines alone do not cost more than a whole plan elsewhere.
    """

    def __init__(
        self, option: Option, work: Workload, among: Sequence[str], book: PriceBook
    ) -> None:
        self._ways: dict[str, Ways] = {}
        self.too_slow: dict[str, Sized] = {}
        self.unpriced: dict[str, str] = {}
        for region in among:
            try:
                found = ways(option, work, region, book)
            except UnknownPriceError as error:
                self.unpriced[region] = str(error)
                continue
            if isinstance(found, Sized):
                self.too_slow[region] = found
            else:
                self._ways[region] = found

    @property
    def least_usd(self) -> float:
        """No plan in any of the regions costs less; infinite where there is none."""
        return min((found.least_usd for found in self._ways.values()), default=math.inf)

    def plans(self) -> Iterator[tuple[str, Ways]]:
        """(region, ways), by rising total of the plan and then by name."""
        # (at least this much, whether that is the plan's own total, region)
        waiting = [(found.least_usd, False, region) for region, found in self._ways.items()]
        heapq.heapify(waiting)
        while waiting:
            _usd, is_total, region = heapq.heappop(waiting)
            found = self._ways[region]
            if is_total:
                yield region, found
                continue
            try:
                heapq.heappush(waiting, (found.total_usd, True, region))
            except UnknownPriceError as error:
                self.unpriced[region] = str(error)


def promise(option: Option, work: Workload) -> Measures:
    """The best that the option could measure without points, before it is sized: no bill, an instant
    answer. No plan of it scores higher, but for its points."""
    return _PROMISED.get(Same(option), work, lambda work: _promise(option, work))


def _promise(option: Option, work: Workload) -> Measures:
    time, ready = people_time(option, work), keeps_ready(option, work)
    return measured(option, work, time, time.monthly_usd, None, ready=ready)


_PROMISED: Memo[Measures] = Memo()


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


def _with_rules(plan: Plan, before: Outcome, after: Outcome) -> Plan:
    preferred = (*before.preferred, *after.preferred)
    points = sum(f.points for f in preferred)
    return replace(
        plan,
        preferred=preferred,
        warnings=(*before.warnings, *after.warnings),
        measures=replace(plan.measures, points=points),
    )
