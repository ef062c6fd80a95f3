"""Cost against volume: every option from few to many requests, and where they change places."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from advisor.catalog.loader import load_options
from advisor.consider import Considered
from advisor.errors import InputError
from advisor.prices import PriceBook, load_book
from advisor.recommend import Standing
from advisor.requirements import Requirements
from advisor.rules import Policy, load_rules
from advisor.whatif.answers import MOST_REQUESTS, Cancelled, at_volume, go_on
from advisor.whatif.shapes import BreakEven, Measure, SweptOption, VolumeSweep, WinnerChange

# A place where two options change is narrowed until both ends are this near.
NARROW = 1.002
MEASURES: tuple[Measure, ...] = ("bill", "total")
MOST_POINTS = 400


def volume_sweep(
    need: Requirements,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    low: float = 100,
    high: float = 1e9,
    points: int = 29,
    cancelled: Cancelled = None,
) -> VolumeSweep:
    """Every option at `points` volumes from `low` to `high` requests a month, evenly in the log.

    Break-even points are sought between the options that are cheapest or win somewhere on the way,
    and the one that wins at the volume that was answered. Of two changes between neighbouring
    volumes that undo each other nothing is seen; more points see more. Raises InputError for a
    range that is none, and WhatIfCancelledError.
    """
    _check(low, high, points)
    book = book or load_book()
    volumes = tuple(float(v) for v in np.geomspace(low, high, points))
    ask = _asker(need, policies, book, cancelled)
    seen = [ask(volume) for volume in volumes]
    options = tuple(_swept(option_id, seen) for option_id in load_options())
    contenders = _contenders(options, seen, ask(need.traffic.requests_per_month).winner)
    found = [
        point
        for by in MEASURES
        for one, other in itertools.combinations(contenders, 2)
        for point in _crossings(one, other, by, volumes, ask)
    ]
    return VolumeSweep(
        requests_per_month=need.traffic.requests_per_month,
        volumes=volumes,
        options=options,
        winners=tuple(s.winner for s in seen),
        changes=tuple(_changes(volumes, seen, ask)),
        break_even=tuple(sorted(found, key=lambda b: (b.requests_per_month, b.by))),
        prices_as_of=book.as_of,
    )


def break_even(
    need: Requirements,
    one: str,
    other: str,
    *,
    by: Measure = "total",
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    low: float = 100,
    high: float = 1e9,
    points: int = 29,
    cancelled: Cancelled = None,
) -> tuple[BreakEven, ...]:
    """Every volume at which two options change places, rising. Raises as `volume_sweep`, and
    InputError for an option that does not exist."""
    _check(low, high, points)
    for option_id in (one, other):
        if option_id not in load_options():
            raise InputError(
                f"there is no option {option_id!r}; use one of {', '.join(load_options())}"
            )
    volumes = tuple(float(v) for v in np.geomspace(low, high, points))
    ask = _asker(need, policies, book or load_book(), cancelled)
    return tuple(_crossings(one, other, by, volumes, ask))


def _asker(
    need: Requirements, policies: Sequence[Policy], book: PriceBook, cancelled: Cancelled
) -> Callable[[float], Standing]:
    """The standing at a volume; each volume is asked once."""
    kept: dict[float, Standing] = {}
    rules = load_rules(tuple(policies))

    def ask(volume: float) -> Standing:
        if volume not in kept:
            go_on(cancelled)
            kept[volume] = Standing(at_volume(need, volume), rules, book)
        return kept[volume]

    return ask


def _check(low: float, high: float, points: int) -> None:
    if not 0 < low < high <= MOST_REQUESTS or not 2 <= points <= MOST_POINTS:
        raise InputError(
            f"a sweep from {low:g} to {high:g} requests a month in {points} points cannot be made; "
            f"give 0 < low < high <= {MOST_REQUESTS:g} and 2 to {MOST_POINTS} points"
        )


def _swept(option_id: str, seen: Sequence[Standing]) -> SweptOption:
    rows = [s.of(option_id) for s in seen]
    plans = [row.plan for row in rows]
    option = rows[0].option
    return SweptOption(
        option=option.id,
        name=option.name,
        kind=option.kind,
        cloud=option.cloud.value,
        fits=tuple(p is not None for p in plans),
        monthly_usd=tuple(p.monthly_usd.expected if p else None for p in plans),
        total_usd=tuple(
            p.monthly_usd.expected + p.people.monthly_usd.expected if p else None for p in plans
        ),
        at_least=tuple(bool(p and p.at_least) for p in plans),
        region=tuple(p.region if p else None for p in plans),
        machine=tuple(p.sized.machine if p else None for p in plans),
        replicas_max=tuple(p.sized.replicas_max if p else None for p in plans),
        because=tuple(why_not(row) for row in rows),
    )


def why_not(considered: Considered) -> str | None:
    """Why an option does not fit, in a sentence; None when it does."""
    if considered.plan is not None:
        return None
    said = "; ".join(fired.because for fired in considered.fired)
    return said or considered.unpriced or "does not fit"


def _contenders(
    options: Sequence[SweptOption], seen: Sequence[Standing], now_wins: str | None
) -> list[str]:
    """Options worth comparing: somewhere the cheapest or the winner. In catalogue order."""
    wanted = {s.winner for s in seen} | {now_wins}
    for i in range(len(seen)):
        for by in MEASURES:
            priced = [(cost, o.option) for o in options if (cost := _swept_cost(o, by, i))]
            if priced:
                wanted.add(min(priced)[1])
    return [o.option for o in options if o.option in wanted]


def _swept_cost(option: SweptOption, by: Measure, i: int) -> float | None:
    if not option.fits[i] or option.at_least[i]:
        return None
    return (option.monthly_usd if by == "bill" else option.total_usd)[i]


def _cost(standing_: Standing, option_id: str, by: Measure) -> float | None:
    """None where the option does not fit, or where its bill is only "at least"."""
    plan = standing_.of(option_id).plan
    if plan is None or plan.at_least:
        return None
    people = plan.people.monthly_usd.expected if by == "total" else 0.0
    return plan.monthly_usd.expected + people


def _crossings(
    one: str, other: str, by: Measure, volumes: Sequence[float], ask: Callable[[float], Standing]
) -> Iterator[BreakEven]:
    """Where the cheaper of two options changes between neighbouring volumes."""

    def cheaper(volume: float) -> str | None:
        a, b = _cost(ask(volume), one, by), _cost(ask(volume), other, by)
        if a is None or b is None or math.isclose(a, b, rel_tol=1e-12):
            return None
        return one if a < b else other

    before: tuple[float, str] | None = None
    for volume in volumes:
        now = cheaper(volume)
        if now is None:
            # Equal or not both there: a change is sought only across volumes that tell them apart.
            before = before if _both(ask(volume), one, other, by) else None
            continue
        if before is not None and before[1] != now:
            below, above = _narrowed(before[0], volume, before[1], cheaper)
            cost = _cost(ask(below), before[1], by)
            turned = cheaper(above)
            if cost is not None and turned == now:
                yield BreakEven(
                    by=by,
                    requests_per_month=_between(below, above),
                    just_below=below,
                    just_above=above,
                    cheaper_below=before[1],
                    cheaper_above=now,
                    usd=cost,
                )
        before = (volume, now)


def _both(standing_: Standing, one: str, other: str, by: Measure) -> bool:
    return _cost(standing_, one, by) is not None and _cost(standing_, other, by) is not None


def _changes(
    volumes: Sequence[float], seen: Sequence[Standing], ask: Callable[[float], Standing]
) -> Iterator[WinnerChange]:
    """Every place between neighbouring volumes at which another option wins."""

    def wins(volume: float) -> str | None:
        return ask(volume).winner

    for i in range(len(volumes) - 1):
        below, last = volumes[i], volumes[i + 1]
        while wins(below) != wins(last):
            before = wins(below)
            below, above = _narrowed(below, last, before, wins)
            yield WinnerChange(
                requests_per_month=_between(below, above),
                just_below=below,
                just_above=above,
                before=before,
                after=wins(above),
            )
            below = above


def _narrowed(
    below: float, above: float, same: str | None, asked: Callable[[float], str | None]
) -> tuple[float, float]:
    """Two near volumes with the answer `same` at the lower one and another at the upper one."""
    while above / below > NARROW:
        middle = math.sqrt(below * above)
        if asked(middle) == same:
            below = middle
        else:
            above = middle
    return below, above


def _between(below: float, above: float) -> float:
    """The roundest number between two: three digits where those lie between them."""
    for digits in (3, 4, 5):
        middle = float(f"{math.sqrt(below * above):.{digits}g}")
        if below <= middle <= above:
            return middle
    return math.sqrt(below * above)
