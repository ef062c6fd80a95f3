"""Every option at many volumes: what `consider` says of each, reckoned for all volumes in one pass.

The formulas are those of a single plan; only what has to be said in words, and what is not bought
on demand alone, is asked one volume after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from advisor.catalog.loader import load_options
from advisor.catalog.residency import usable_regions
from advisor.catalog.schema import Option
from advisor.consider import Considered, consider, regions_by_cloud
from advisor.costs.people import people_time
from advisor.errors import UnknownPriceError
from advisor.plans import Plan
from advisor.plans_at import ManyPlans, plans_at
from advisor.prices import PriceBook
from advisor.requirements import Requirements
from advisor.rule_check import Checked
from advisor.rule_rows import Cases
from advisor.rule_values import OF_VOLUME, each_volume, plan_values
from advisor.rules import RuleSet
from advisor.sizing.offers import missing_commitment, terms
from advisor.sizing.purchase import ON_DEMAND
from advisor.sizing.sized import Strategy
from advisor.volumes import Volumes
from advisor.workload import Workload, resolve

SILENT = ("warn", "prefer")  # kinds of rules that exclude nothing


class Spot(NamedTuple):
    """An option at one volume, or that it does not fit: `Spots.why_not` says why."""

    fits: bool
    against: tuple[Checked, ...] = ()  # rules that the answers alone make exclude it
    bill_usd: float = 0.0
    people_usd: float = 0.0
    ranked_usd: float = (
        0.0  # what the ranking reckons with: both, and what stands in for the unknown
    )
    at_least: bool = False
    region: str = ""
    machine: str = ""
    replicas_max: int = 0
    strategy: Strategy = "fleet"
    ready_seconds: float = 0.0
    p95_ms: float | None = None
    finish_h: float | None = None
    points: float = 0.0

    @property
    def total_usd(self) -> float:
        """Cloud bill and people's time a month."""
        return self.bill_usd + self.people_usd


class Spots:
    """Every option at any volume of some requirements; each is reckoned once."""

    def __init__(
        self, at: Callable[[float], Requirements], need: Requirements, rules: RuleSet,
        book: PriceBook, go_on: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`at` gives the requirements at a volume; `go_on` is called on the way and raises where
        nobody waits any more. Raises as `recommend`."""
        self._go_on = go_on
        self._at, self._need, self._rules, self._book = at, need, rules, book
        self._regions, _notes = regions_by_cloud(need, book)
        self._works: dict[float, Workload] = {}
        self._many: dict[tuple[float, ...], Volumes] = {}
        self._spots: dict[str, dict[float, Spot]] = {name: {} for name in load_options()}
        self._fired: dict[str, dict[float, tuple[Checked, ...]]] = {
            name: {} for name in self._spots
        }
        self._said: dict[tuple[Any, ...], str] = {}

    def of(self, option_id: str, volume: float) -> Spot:
        """One option at a volume. Raises KeyError when there is none of that id."""
        found = self._spots[option_id].get(volume)
        if found is None:
            self.look((volume,), (option_id,))
            found = self._spots[option_id][volume]
        return found

    def look(self, volumes: Iterable[float], options: Iterable[str] | None = None) -> None:
        """Reckon options (all) at these volumes, so that `of` has them at hand."""
        asked = tuple(dict.fromkeys(volumes))
        for option_id in options if options is not None else load_options():
            known = self._spots[option_id]
            missing = tuple(volume for volume in asked if volume not in known)
            if missing:
                self._go_on()
                spots = self._reckoned(load_options()[option_id], self._volumes(missing))
                known.update(zip(missing, spots, strict=True))

    def why_not(self, option_id: str, volume: float) -> str | None:
        """Why an option does not fit, in a sentence; None when it does."""
        spot, option = self.of(option_id, volume), load_options()[option_id]
        if spot.fits:
            return None
        # What does not speak of the volume is said once.
        key = (option_id, tuple(one.rule.id for one in spot.against))
        said = self._said.get(key)
        if said is None:
            found = self._alone(option, self._work(volume))
            said = "; ".join(fired.because for fired in found.fired)
            said = said or found.unpriced or "does not fit"
            if spot.against and all(OF_VOLUME.isdisjoint(one.names) for one in spot.against):
                self._said[key] = said
        return said

    @cached_property
    def _calm(self) -> Workload:
        """Stands for what all volumes share."""
        return resolve(self._need)

    def _work(self, volume: float) -> Workload:
        found = self._works.get(volume)
        if found is None:
            found = self._works[volume] = resolve(self._at(volume))
        return found

    def _volumes(self, volumes: tuple[float, ...]) -> Volumes:
        found = self._many.get(volumes)
        if found is None:
            found = self._many[volumes] = Volumes(tuple(self._work(v) for v in volumes))
        return found

    def _reckoned(self, option: Option, volumes: Volumes) -> list[Spot]:
        before = self._before(option, volumes)
        excluding = {id(fired): against(fired) for fired in before}
        refusing = [excluding[id(fired)] for fired in before]
        open_ = [i for i, rules in enumerate(refusing) if not rules]
        fitting, alone = self._cheapest(option, volumes, before, open_)
        for i in alone:
            self._go_on()
            plan = self._alone(option, volumes.works[i]).plan
            fitting.pop(i, None)
            if plan is not None:
                fitting[i] = _spot(plan)
        return [fitting.get(i) or Spot(False, rules) for i, rules in enumerate(refusing)]

    def _before(self, option: Option, volumes: Volumes) -> list[tuple[Checked, ...]]:
        """The rules that fire at each of the volumes before anything is sized."""
        known = self._fired[option.id]
        requests = volumes.requests.tolist()
        if not all(volume in known for volume in requests):
            held = self._rules.holding_each(option, self._calm, _cases(volumes))
            known.update(zip(requests, held, strict=True))
        return [known[volume] for volume in requests]

    def _alone(self, option: Option, work: Workload) -> Considered:
        return consider(option, work, self._regions, self._rules, self._book, ranges=False)

    def _cheapest(
        self, option: Option, volumes: Volumes, before: Sequence[Sequence[Checked]],
        at: Sequence[int],
    ) -> tuple[dict[int, Spot], Iterable[int]]:  # fmt: skip
        """The cheapest plan that the rules allow, of all regions, by number of the volume; and the
        volumes that have to be looked at one by one: what is bought there depends on the plan."""
        need = volumes.need
        best: dict[int, Spot] = {}
        if not at:
            return best, ()
        if terms(option, need) != (ON_DEMAND,):
            return best, at
        alone: set[int] = set()
        among = usable_regions(option, need, self._regions.get(option.cloud.value, ()))
        part = volumes if len(at) == len(volumes) else volumes.part(at)
        for region in sorted(among):
            try:
                groups, singly = plans_at(option, part, region, self._book)
            except UnknownPriceError:
                continue
            alone.update(at[i] for i in singly)
            for plans in groups:
                for i, plan in self._allowed(option, part, before, at, plans):
                    if i not in best or plan.ranked_usd < best[i].ranked_usd:
                        best[i] = plan
        return best, alone

    def _allowed(
        self, option: Option, part: Volumes, before: Sequence[Sequence[Checked]],
        at: Sequence[int], plans: ManyPlans,
    ) -> Iterable[tuple[int, Spot]]:  # fmt: skip
        """(number of the volume, plan) of the plans that no rule forbids."""
        work, sized = part.works[0], plans.sized
        rows = sized.at.tolist()
        why = missing_commitment(option, work.need)
        facts = plan_values(plans.facts(f"{why}: priced on demand" if why else ""))
        each = {name: [values[i] for i in rows] for name, values in _cases(part).each.items()}
        for name, value in facts.items():
            many = isinstance(value, np.ndarray)
            each[name] = value.tolist() if many else [value] * len(rows)
        cases = Cases(each, len(rows))
        after = self._rules.holding_each(option, self._calm, cases, planned=True)
        people_usd = people_time(option, work).monthly_usd.expected
        columns = zip(
            plans.bill_usd.tolist(), plans.ranked_usd.tolist(), plans.at_least.tolist(),
            sized.machines.tolist(), sized.replicas_max.tolist(), sized.ready_seconds.tolist(),
            _figures(sized.p95_ms, rows), _figures(sized.finish_h, rows), strict=True,
        )  # fmt: skip
        for row, fired, (bill, ranked, at_least, machine, most, ready_s, p95, finish) in zip(
            rows, after, columns, strict=True
        ):
            if any(one.rule.kind not in SILENT for one in fired):
                continue
            yield at[row], Spot(
                True, (), bill, people_usd, ranked, at_least, plans.region, machine, most,
                sized.strategy, ready_s, p95, finish, preferred((*before[at[row]], *fired)),
            )  # fmt: skip


def _spot(plan: Plan) -> Spot:
    sized = plan.sized
    return Spot(
        True, (), plan.monthly_usd.expected, plan.people.monthly_usd.expected,
        plan.total_usd.expected, plan.at_least, plan.region, sized.machine, sized.replicas_max,
        sized.strategy, sized.ready_seconds, sized.p95_ms, sized.finish_h, plan.measures.points,
    )  # fmt: skip


def against(fired: Iterable[Checked]) -> tuple[Checked, ...]:
    """Those that exclude."""
    return tuple(one for one in fired if one.rule.kind not in SILENT)


def preferred(fired: Iterable[Checked]) -> float:
    """Points of those that prefer."""
    return float(sum(one.rule.points for one in fired if one.rule.kind == "prefer"))


def _cases(volumes: Volumes) -> Cases:
    """What rules see of each volume."""
    found: Cases | None = volumes.kept.get("cases")
    if found is None:
        found = volumes.kept["cases"] = Cases(each_volume(volumes), len(volumes))
    return found


def _figures(values: np.ndarray[Any, Any] | None, rows: Sequence[int]) -> list[float | None]:
    return [None] * len(rows) if values is None else values.tolist()
