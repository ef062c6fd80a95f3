"""Growth: the advice month by month, while traffic grows as was answered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from advisor.at_volumes import AtVolumes
from advisor.errors import InputError, RequirementsError
from advisor.prices import PriceBook, load_book
from advisor.requirements import Requirements
from advisor.rules import Policy, load_rules
from advisor.whatif.answers import Cancelled, at_volume, go_on
from advisor.whatif.shapes import AdviceChange, Growth, GrowthMonth

MOST_MONTHS = 120


def growth(
    need: Requirements,
    months: int = 36,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    cancelled: Cancelled = None,
) -> Growth:
    """The winner and its cost in months 0 (today) to `months`, and when the advice changes.

    Requests grow by `traffic.growth_percent_per_month`, compounded; with 0 every month is alike.
    Prices and all other answers stay as they are. Months end early, with a note, where the volume
    leaves the bounds of an answer. Raises InputError for a number of months that is none, and
    WhatIfCancelledError.
    """
    if not 1 <= months <= MOST_MONTHS:
        raise InputError(f"months is {months}; give 1 to {MOST_MONTHS}")
    book = book or load_book()
    rules = load_rules(tuple(policies))
    percent = need.traffic.growth_percent_per_month
    grown = [
        need.traffic.requests_per_month * (1 + percent / 100) ** month
        for month in range(months + 1)
    ]
    volumes, note = _answerable(need, grown)
    seen = AtVolumes(lambda volume: _at(need, volume), need, rules, book, lambda: go_on(cancelled))
    seen.find_winners(volumes)
    present = seen.winner(volumes[0])
    if present is not None:
        seen.look(volumes, (present,))
    rows = [_month(month, volume, seen, present) for month, volume in enumerate(volumes)]
    return Growth(
        growth_percent_per_month=percent,
        present=present,
        months=tuple(rows),
        changes=tuple(
            AdviceChange(
                month=after.month,
                requests_per_month=after.requests_per_month,
                before=before.winner,
                after=after.winner,
            )
            for before, after in itertools.pairwise(rows)
            if before.winner != after.winner
        ),
        present_usd=_sum([row.present_total_usd for row in rows[1:]]),
        best_usd=_sum([row.winner_total_usd for row in rows[1:]]),
        note=note,
    )


def _answerable(need: Requirements, grown: Sequence[float]) -> tuple[list[float], str]:
    """The volumes up to the first one that is beyond the bounds of an answer, and a note on it."""
    for month, volume in enumerate(grown):
        try:
            _at(need, volume)
        except RequirementsError:
            return list(grown[:month]), (
                f"Month {month} would bring {volume:.3g} requests, which is beyond what can be "
                "answered; the months end here."
            )
    return list(grown), ""


def _at(need: Requirements, volume: float) -> Requirements:
    return need if volume == need.traffic.requests_per_month else at_volume(need, volume)


def _month(month: int, volume: float, seen: AtVolumes, present: str | None) -> GrowthMonth:
    winner = seen.winner(volume)
    best = seen.of(winner, volume) if winner else None
    stays = seen.of(present, volume) if present else None
    kept = stays if stays and stays.fits else None
    return GrowthMonth(
        month=month,
        requests_per_month=volume,
        winner=winner,
        winner_monthly_usd=best.bill_usd if best else None,
        winner_total_usd=best.total_usd if best else None,
        present_monthly_usd=kept.bill_usd if kept else None,
        present_total_usd=kept.total_usd if kept else None,
        present_because=seen.why_not(present, volume) if present else None,
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return math.fsum(known) if known and len(known) == len(values) else None
