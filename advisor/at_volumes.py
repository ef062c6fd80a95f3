"""Who wins at many volumes, told with as few options reckoned as it takes."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from advisor.catalog.loader import load_options
from advisor.catalog.schema import Option
from advisor.consider import WHISKER, promise
from advisor.costs.people import people_time
from advisor.plans import measured
from advisor.prices import PriceBook
from advisor.ranking import highest_scores, score, scored
from advisor.recommendation import Range
from advisor.requirements import Requirements
from advisor.rules import RuleSet
from advisor.spots import Spot, Spots, against, preferred

Best = dict[float, tuple[float, str]]  # minus the best score found, and its option, by volume


class AtVolumes(Spots):
    """Every option at any volume of some requirements, and which one is ranked first."""

    def __init__(
        self, at: Callable[[float], Requirements], need: Requirements, rules: RuleSet,
        book: PriceBook, go_on: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """As `Spots`."""
        super().__init__(at, need, rules, book, go_on)
        self._winners: dict[float, str | None] = {}

    @cached_property
    def contending(self) -> tuple[str, ...]:
        """The options that may fit at some volume: no rule excludes them whatever it is."""
        return tuple(
            option_id
            for option_id, option in load_options().items()
            if not self._rules.rules_out(option, self._calm)
        )

    def winner(self, volume: float) -> str | None:
        """The option that `recommend` ranks first at the volume."""
        if volume not in self._winners:
            self.find_winners((volume,))
        return self._winners[volume]

    def find_winners(self, volumes: Iterable[float]) -> None:
        """Find out who wins at these volumes, so that `winner` has it at hand.

        What was reckoned already comes first, then what could score the most. An option that could
        not reach the best score found at a volume is left out there, which changes nothing.
        """
        asked = tuple(v for v in dict.fromkeys(volumes) if v not in self._winners)
        if not asked:
            return
        best: Best = {}
        promises = self._promises(asked)
        for most, option_id in promises:
            known = self._spots[option_id]
            self._race(best, option_id, [v for v in asked if v in known and _near(best, v, most)])
        for most, option_id in promises:
            known = self._spots[option_id]
            open_ = [v for v in asked if v not in known and _near(best, v, most)]
            short = self._falls_short(option_id, open_)
            near = [v for v, by in zip(open_, short, strict=True) if _near(best, v, most - by)]
            self.look(near, (option_id,))
            self._race(best, option_id, near)
        self._winners.update({v: best[v][1] if v in best else None for v in asked})

    def _race(self, best: Best, option_id: str, volumes: Iterable[float]) -> None:
        """Put the option where it is the best so far."""
        option = load_options()[option_id]
        for volume in volumes:
            spot = self._spots[option_id][volume]
            if spot.fits:
                mine = (-self._score(option, volume, spot), option_id)
                best[volume] = min(best.get(volume, mine), mine)

    def _promises(self, volumes: Sequence[float]) -> list[tuple[float, str]]:
        """(the most that it could score at any of the volumes, option), the highest first."""
        names, promised, most = [], [], []
        for option_id in self.contending:
            option = load_options()[option_id]
            points = self._rules.most_points_before(option, self._calm)
            if points is not None:
                names.append(option_id)
                most.append(scored(points + self._rules.most_points(option)))
                promised.append(promise(option, self._calm))
        highest = highest_scores(promised, [self._work(volume) for volume in volumes])
        scores = map(operator.add, highest, most)
        return sorted(zip(scores, names, strict=True), reverse=True)

    def _falls_short(self, option_id: str, volumes: Sequence[float]) -> list[float]:
        """How far at each volume the option's score stays below what `_promises` says, told by the
        rules that look at the volume; infinite where one of them excludes it."""
        if not volumes:
            return []
        option = load_options()[option_id]
        most = self._rules.most_points_before(option, self._calm) or 0.0
        return [
            math.inf if against(rules) else scored(most - preferred(rules))
            for rules in self._before(option, self._volumes(tuple(volumes)))
        ]

    def _score(self, option: Option, volume: float, spot: Spot) -> float:
        work, usd = self._work(volume), spot.ranked_usd
        total = Range.model_construct(low=usd, expected=usd, high=usd)
        bare = measured(option, work, people_time(option, work), total, spot, spot.points)
        return score(bare, work)


def _near(best: Best, volume: float, most: float) -> bool:
    """Whether an option that scores at most so much could be the best at the volume."""
    if volume not in best:
        return most > -math.inf
    return most + WHISKER >= -best[volume][0]
