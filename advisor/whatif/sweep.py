"""Cost against volume: every option from few to many requests, and where they change places."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from advisor.at_volumes import AtVolumes
from advisor.catalog.loader import load_options
from advisor.errors import InputError
from advisor.prices import PriceBook, load_book
from advisor.requirements import Requirements
from advisor.rules import Policy, load_rules
from advisor.whatif.answers import MOST_REQUESTS, Cancelled, at_volume, go_on
from advisor.whatif.crossings import Pair, Winners, narrow
from advisor.whatif.shapes import BreakEven, Measure, SweptOption, VolumeSweep

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
    seen = _every(need, policies, book, cancelled)
    seen.look((*volumes, need.traffic.requests_per_month))
    options = tuple(_swept(option_id, volumes, seen) for option_id in load_options())
    contenders = _contenders(options, volumes, seen, need.traffic.requests_per_month)
    pairs = [
        Pair(one, other, by, volumes, seen)
        for by in MEASURES
        for one, other in itertools.combinations(contenders, 2)
    ]
    changes = Winners(volumes, seen)
    narrow([*pairs, changes], seen)
    return VolumeSweep(
        requests_per_month=need.traffic.requests_per_month,
        volumes=volumes,
        options=options,
        winners=tuple(seen.winner(volume) for volume in volumes),
        changes=changes.found(),
        break_even=tuple(
            sorted(
                (point for pair in pairs for point in pair.found()),
                key=lambda b: (b.requests_per_month, b.by),
            )
        ),
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
    seen = _every(need, policies, book or load_book(), cancelled)
    seen.look(volumes, (one, other))
    pair = Pair(one, other, by, volumes, seen)
    narrow([pair], seen)
    return pair.found()


def _every(
    need: Requirements, policies: Sequence[Policy], book: PriceBook, cancelled: Cancelled
) -> AtVolumes:
    return AtVolumes(
        lambda volume: at_volume(need, volume), need, load_rules(tuple(policies)), book,
        lambda: go_on(cancelled),
    )  # fmt: skip


def _check(low: float, high: float, points: int) -> None:
    if not 0 < low < high <= MOST_REQUESTS or not 2 <= points <= MOST_POINTS:
        raise InputError(
            f"a sweep from {low:g} to {high:g} requests a month in {points} points cannot be made; "
            f"give 0 < low < high <= {MOST_REQUESTS:g} and 2 to {MOST_POINTS} points"
        )


def _swept(option_id: str, volumes: Sequence[float], seen: AtVolumes) -> SweptOption:
    spots = [seen.of(option_id, volume) for volume in volumes]
    option = load_options()[option_id]
    return SweptOption(
        option=option.id,
        name=option.name,
        kind=option.kind,
        cloud=option.cloud.value,
        fits=tuple(s.fits for s in spots),
        monthly_usd=tuple(s.bill_usd if s.fits else None for s in spots),
        total_usd=tuple(s.total_usd if s.fits else None for s in spots),
        at_least=tuple(s.at_least for s in spots),
        region=tuple(s.region if s.fits else None for s in spots),
        machine=tuple(s.machine if s.fits else None for s in spots),
        replicas_max=tuple(s.replicas_max if s.fits else None for s in spots),
        because=tuple(seen.why_not(option_id, volume) for volume in volumes),
    )


def _contenders(
    options: Sequence[SweptOption], volumes: Sequence[float], seen: AtVolumes, asked: float
) -> list[str]:
    """Options worth comparing: somewhere the cheapest or the winner. In catalogue order."""
    seen.find_winners((*volumes, asked))
    wanted = {seen.winner(volume) for volume in (*volumes, asked)}
    for i in range(len(volumes)):
        for by in MEASURES:
            priced = [(cost, o.option) for o in options if (cost := _swept_cost(o, by, i))]
            if priced:
                wanted.add(min(priced)[1])
    return [o.option for o in options if o.option in wanted]


def _swept_cost(option: SweptOption, by: Measure, i: int) -> float | None:
    if not option.fits[i] or option.at_least[i]:
        return None
    return (option.monthly_usd if by == "bill" else option.total_usd)[i]
