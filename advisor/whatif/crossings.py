"""Where two options change places, or another one wins: narrowed down in all places at once.

The way between two neighbouring volumes that disagree is cut into parts, again and again. All places
ask together: what they look at next is reckoned in one pass.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from advisor.at_volumes import AtVolumes
from advisor.whatif.shapes import BreakEven, Measure, WinnerChange

# A place where two options change is narrowed until both ends are this near.
NARROW = 1.002
# Parts of each cut: seven are narrow enough after three passes, seventeen after two. A pass has its
# price, and so has each volume in it.
PARTS, PARTS_OF_FEW, FEW = 7, 17, 3


class Asked(NamedTuple):
    """What to look at next: between two volumes these options, and who wins there."""

    below: float
    above: float
    options: tuple[str, ...]
    winners: bool = False


Volumes = tuple[float, ...]  # rising, with the upper of the two
Steps = Generator[Asked, Volumes, None]


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
            cut = yield Asked(below, above, options)
            below, above = _tighter(below, cut, lambda v: self._cheaper(v) == cheaper)
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
        wins = self._seen.winner
        while wins(below) != wins(last):
            first, before, above = below, wins(below), last
            while above / below > NARROW:
                ends = tuple(dict.fromkeys(filter(None, (before, wins(above)))))
                cut = yield Asked(below, above, ends, winners=True)
                below, above = _tighter(below, cut, partial(self._won, before))
            self._found[first] = WinnerChange(
                requests_per_month=between(below, above),
                just_below=below,
                just_above=above,
                before=before,
                after=wins(above),
            )
            below = above

    def _won(self, option_id: str | None, volume: float) -> bool:
        return self._seen.winner(volume) == option_id


def narrow(sought: Iterable[Pair | Winners], seen: AtVolumes) -> None:
    """Narrow all places, in step. Raises WhatIfCancelledError where `seen` does."""
    places = [
        (steps, asked) for each in sought for steps in each.places() if (asked := next(steps, None))
    ]
    while places:
        parts = PARTS_OF_FEW if len(places) <= FEW else PARTS
        cuts = [_cut(asked.below, asked.above, parts) for _, asked in places]
        wanted: dict[str, dict[float, None]] = {}
        contested: list[float] = []
        for cut, (_, asked) in zip(cuts, places, strict=True):
            for option_id in asked.options:
                wanted.setdefault(option_id, {}).update(dict.fromkeys(cut))
            contested += cut if asked.winners else ()
        for option_id, volumes in wanted.items():
            seen.look(volumes, (option_id,))
        seen.find_winners(contested)
        left = []
        for (steps, _), cut in zip(places, cuts, strict=True):
            with contextlib.suppress(StopIteration):
                left.append((steps, steps.send(cut)))
        places = left


def between(below: float, above: float) -> float:
    """The roundest number between two: three digits where those lie between them."""
    for digits in (3, 4, 5):
        middle = float(f"{math.sqrt(below * above):.{digits}g}")
        if below <= middle <= above:
            return middle
    return math.sqrt(below * above)


def _cut(below: float, above: float, parts: int) -> Volumes:
    """Between the two in equal steps of the logarithm, with the upper one."""
    step = (above / below) ** (1 / parts)
    return (*(below * step**i for i in range(1, parts)), above)


def _tighter(below: float, cut: Volumes, same: Callable[[float], bool]) -> tuple[float, float]:
    """The first two neighbours of which only the lower one is as `below` is; the last one is not."""
    for volume in cut[:-1]:
        if not same(volume):
            return below, volume
        below = volume
    return below, cut[-1]
