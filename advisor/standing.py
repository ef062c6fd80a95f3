"""Who wins under some requirements, told with as few options looked at as it takes."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from advisor.catalog.loader import load_options
from advisor.consider import Considered, Look, promise, regions_by_cloud
from advisor.prices import PriceBook, load_book
from advisor.ranking import Measures, score
from advisor.recommendation import Range
from advisor.requirements import Requirements
from advisor.rules import Outcome, Policy, RuleSet, load_rules
from advisor.workload import resolve

# Scores this near are told apart by their ids, so neither is left out for the other.
WHISKER = 1e-9


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
            first = self._rules.evaluate(load_options()[option_id], self.work, said=False)
            look = self._look(option_id, first)
        return look.found

    @cached_property
    def winner(self) -> str | None:
        """The option that `recommend` ranks first.

        Always the one that could still score the most is looked at more closely: what it promises,
        then with what its machines cost, then its whole plan. What could not reach the best plan
        found is left where it is, which changes nothing.
        """
        best: tuple[float, str] | None = None
        promised = self._promised()
        # (minus the most that it could score, option, whether it is sized)
        waiting = [(-score(most, self.work), each, False) for each, most in promised.items()]
        heapq.heapify(waiting)
        while waiting and (best is None or waiting[0][0] <= best[0] + WHISKER):
            _most, option_id, sized = heapq.heappop(waiting)
            look = self._looks[option_id]
            if not sized:
                if look.least_usd < math.inf:
                    most = _costing(promised[option_id], look.least_usd)
                    heapq.heappush(waiting, (-score(most, self.work), option_id, True))
                continue
            plan = look.found.plan
            if plan is not None:
                mine = (-score(plan.measures, self.work), option_id)
                best = mine if best is None else min(best, mine)
        return best[1] if best else None

    def _promised(self) -> dict[str, Measures]:
        """The most that each option could measure, of those that the answers do not rule out."""
        out = {}
        for option_id, option in load_options().items():
            first = self._rules.open_to(option, self.work)
            if first is not None:
                self._look(option_id, first)
                out[option_id] = promise(option, self.work, self._rules, first)
        return out

    def _look(self, option_id: str, first: Outcome) -> Look:
        return self._looks.setdefault(
            option_id,
            Look(
                load_options()[option_id], self.work, self._regions, self._rules, self._book, first,
                ranges=False,
            ),
        )  # fmt: skip


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
