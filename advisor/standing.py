"""Who wins under some requirements, told with as few options looked at as it takes."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from advisor.catalog.loader import load_options
from advisor.catalog.schema import Option
from advisor.consider import WHISKER, Considered, Look, promise, regions_by_cloud
from advisor.prices import PriceBook, load_book
from advisor.ranking import Measures, score, scored
from advisor.recommendation import Range
from advisor.requirements import Requirements
from advisor.rules import Outcome, Policy, RuleSet, load_rules
from advisor.workload import resolve


class Standing:
    """Every option under some requirements, each looked at when it is first asked for; the bill's
    range is left at its expected value. What `recommend` says, without redraws and sentences."""

    def __init__(self, need: Requirements, rules: RuleSet, book: PriceBook) -> None:
        """Raises as `recommend`."""
        self.work = resolve(need)
        self._rules, self._book = rules, book
        self._regions, _notes = regions_by_cloud(need, book)
        self._looks: dict[str, Look] = {}

    @property
    def considered(self) -> tuple[Considered, ...]:
        """All options, in catalogue order."""
        return tuple(self.of(option_id) for option_id in load_options())

    def of(self, option_id: str) -> Considered:
        """One option. Raises KeyError when there is none of that id."""
        look = self._looks.get(option_id)
        if look is None:
            option = load_options()[option_id]
            look = self._look(option, self._rules.evaluate(option, self.work, said=False))
        return look.found

    @cached_property
    def winner(self) -> str | None:
        """The option that `recommend` ranks first.

        Always the one that could still score the most is looked at more closely. What could not
        reach the best score found is left where it is, which changes nothing.
        """
        best: tuple[float, str] | None = None
        # (minus the most that it could score, option, closer looks at it)
        waiting: list[tuple[float, str, Iterator[tuple[float, bool]]]] = []
        for option in load_options().values():
            looks = self._closer(option)
            for most, _is_score in looks:
                waiting.append((-most, option.id, looks))
                break
        heapq.heapify(waiting)
        while waiting and (best is None or waiting[0][0] <= best[0] + WHISKER):
            _most, option_id, looks = heapq.heappop(waiting)
            for most, is_score in looks:
                if is_score:
                    mine = (-most, option_id)
                    best = mine if best is None else min(best, mine)
                else:
                    heapq.heappush(waiting, (-most, option_id, looks))
                break
        return best[1] if best else None

    def _closer(self, option: Option) -> Iterator[tuple[float, bool]]:
        """(the most that it could score, whether that is its score), closer and closer; ends when it
        is ruled out. First whatever the volume is, then at this one, then with what its machines
        cost, then with the whole bill."""
        work, rules = self.work, self._rules
        later = rules.most_points(option)
        points = rules.most_points_before(option, work)
        if points is None:
            return
        promised = promise(option, work)
        most = score(promised, work)
        yield most + scored(points + later), False
        first = rules.open_to(option, work)
        if first is None:
            return
        points = scored(sum(f.points for f in first.preferred) + later)
        yield most + points, False
        look = self._look(option, first)
        if look.least_usd == math.inf:
            return
        yield score(_costing(promised, look.least_usd), work) + points, False
        plan = look.found.plan
        if plan is not None:
            yield score(plan.measures, work), True

    def _look(self, option: Option, first: Outcome) -> Look:
        look = Look(option, self.work, self._regions, self._rules, self._book, first, ranges=False)
        return self._looks.setdefault(option.id, look)


def winner(
    need: Requirements, *, policies: Sequence[Policy] = (), book: PriceBook | None = None
) -> str | None:
    """The id of the option that `recommend` ranks first; what-ifs ask this many times over.

    Raises InputError and RuleError.
    """
    return Standing(need, load_rules(tuple(policies)), book or load_book()).winner


def _costing(promised: Measures, least_usd: float) -> Measures:
    usd = max(promised.total_usd.expected, least_usd)
    return replace(promised, total_usd=Range.model_construct(low=usd, expected=usd, high=usd))
