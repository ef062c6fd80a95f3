"""Where two options change places, or another one wins: narrowed down in all places at once.

Between two neighbouring volumes that disagree the place is bisected. The bisections ask together:
what the next steps of all of them may look at is reckoned in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence

from advisor.at_volumes import AtVolumes
from advisor.whatif.answers import Cancelled, go_on
from advisor.whatif.shapes import BreakEven, Measure, WinnerChange

# A place where two options change is narrowed until both ends are this near.
NARROW = 1.002
AHEAD = 3  # steps of a bisection that are reckoned in one pass

Asked = tuple[tuple[float, ...], tuple[str, ...]]  # volumes to look at, and options
Steps = Generator[Asked, None, None]


class Pair:
    """Every volume at which the cheaper of two options changes."""

    def __init__(
        self, one: str, other: str, by: Measure, volumes: Sequence[float], seen: AtVolumes
    ) -> None:
        """`volumes`: rising, looked at already."""
        self._one, self._other, self._by, self._seen = one, other, by, seen
        self._found: dict[float, BreakEven] = {}
        self._volumes = volumes

    def found(self) -> tuple[BreakEven, ...]:
        """By rising volume, once they are narrowed."""
        return tuple(self._found[volume] for volume in sorted(self._found))

    def places(self) -> Iterator[Steps]:
        """A bisection for each pair of neighbouring volumes that disagree."""
        before: tuple[float, str] | None = None
        for volume in self._volumes:
            now = self._cheaper(volume)
            if now is None:
                # Equal or not both there: a change is sought only across volumes that tell them
                # apart.
                before = before if self._both(volume) else None
                continue
            if before is not None and before[1] != now:
                yield self._narrowed(before[0], volume, before[1], now)
            before = (volume, now)

    def _narrowed(self, below: float, above: float, cheaper: str, then: str) -> Steps:
        first, options = below, (self._one, self._other)
        while above / below > NARROW:
            yield _ahead(below, above), options
            for _ in range(AHEAD):
                if above / below > NARROW:
                    middle = math.sqrt(below * above)
                    same = self._cheaper(middle) == cheaper
                    below, above = (middle, above) if same else (below, middle)
        cost = self._cost(cheaper, below)
        if cost is not None and self._cheaper(above) == then:
            self._found[first] = BreakEven(
                by=self._by,
                requests_per_month=between(below, above),
                just_below=below,
                just_above=above,
                cheaper_below=cheaper,
                cheaper_above=then,
                usd=cost,
            )

    def _cheaper(self, volume: float) -> str | None:
        a, b = self._cost(self._one, volume), self._cost(self._other, volume)
        if a is None or b is None or math.isclose(a, b, rel_tol=1e-12):
            return None
        return self._one if a < b else self._other

    def _both(self, volume: float) -> bool:
        return all(self._cost(each, volume) is not None for each in (self._one, self._other))

    def _cost(self, option_id: str, volume: float) -> float | None:
        """None where the option does not fit, or where its bill is only "at least"."""
        spot = self._seen.of(option_id, volume)
        if not spot.fits or spot.at_least:
            return None
        return spot.total_usd if self._by == "total" else spot.bill_usd


class Winners:
    """Every place between neighbouring volumes at which another option wins."""

    def __init__(self, volumes: Sequence[float], seen: AtVolumes) -> None:
        self._volumes, self._seen = volumes, seen
        self._found: dict[float, WinnerChange] = {}

    def found(self) -> tuple[WinnerChange, ...]:
        """By rising volume, once they are narrowed."""
        return tuple(self._found[volume] for volume in sorted(self._found))

    def places(self) -> Iterator[Steps]:
        for below, above in zip(self._volumes, self._volumes[1:], strict=False):
            if self._seen.winner(below) != self._seen.winner(above):
                yield self._narrowed(below, above)

    def _narrowed(self, below: float, last: float) -> Steps:
        wins, options = self._seen.winner, self._seen.contending
        while wins(below) != wins(last):
            first, before, above = below, wins(below), last
            while above / below > NARROW:
                yield _ahead(below, above), options
                for _ in range(AHEAD):
                    if above / below > NARROW:
                        middle = math.sqrt(below * above)
                        same = wins(middle) == before
                        below, above = (middle, above) if same else (below, middle)
            self._found[first] = WinnerChange(
                requests_per_month=between(below, above),
                just_below=below,
                just_above=above,
                before=before,
                after=wins(above),
            )
            below = above


def narrow(sought: Iterable[Pair | Winners], seen: AtVolumes, cancelled: Cancelled) -> None:
    """Narrow all places, in step. Raises WhatIfCancelledError."""
    under_way = [steps for each in sought for steps in each.places()]
    while under_way:
        go_on(cancelled)
        wanted: dict[str, dict[float, None]] = {}
        left = []
        for steps in under_way:
            asked = next(steps, None)
            if asked is not None:
                left.append(steps)
                for option_id in asked[1]:
                    wanted.setdefault(option_id, {}).update(dict.fromkeys(asked[0]))
        for option_id, volumes in wanted.items():
            seen.look(volumes, (option_id,))
        under_way = left


def between(below: float, above: float) -> float:
    """The roundest number between two: three digits where those lie between them."""
    for digits in (3, 4, 5):
        middle = float(f"{math.sqrt(below * above):.{digits}g}")
        if below <= middle <= above:
            return middle
    return math.sqrt(below * above)


def _ahead(below: float, above: float, steps: int = AHEAD) -> tuple[float, ...]:
    """Every volume that the next steps of a bisection may look at."""
    if steps == 0 or above / below <= NARROW:
        return ()
    middle = math.sqrt(below * above)
    return (middle, *_ahead(below, middle, steps - 1), *_ahead(middle, above, steps - 1))
