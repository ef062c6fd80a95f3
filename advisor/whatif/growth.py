"""Growth: the advice month by month, while traffic grows as was answered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from advisor.errors import InputError, RequirementsError
from advisor.prices import PriceBook, load_book
from advisor.recommend import Standing
from advisor.requirements import Requirements
from advisor.rules import Policy, load_rules
from advisor.whatif.answers import Cancelled, at_volume, go_on
from advisor.whatif.shapes import AdviceChange, Growth, GrowthMonth
from advisor.whatif.sweep import why_not

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
    kept: dict[float, Standing] = {}
    rows: list[GrowthMonth] = []
    present: str | None = None
    note = ""
    for month in range(months + 1):
        volume = need.traffic.requests_per_month * (1 + percent / 100) ** month
        if volume not in kept:
            go_on(cancelled)
            try:
                changed = at_volume(need, volume) if month else need
            except RequirementsError:
                note = (
                    f"Month {month} would bring {volume:.3g} requests, which is beyond what can be "
                    "answered; the months end here."
                )
                break
            kept[volume] = Standing(changed, rules, book, hint=present)
        now = kept[volume]
        present = now.winner if month == 0 else present
        rows.append(_month(month, volume, now, present))
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


def _month(month: int, volume: float, now: Standing, present: str | None) -> GrowthMonth:
    best, kept = _costs(now, now.winner), _costs(now, present)
    stays = now.of(present) if present else None
    return GrowthMonth(
        month=month,
        requests_per_month=volume,
        winner=now.winner,
        winner_monthly_usd=best[0],
        winner_total_usd=best[1],
        present_monthly_usd=kept[0],
        present_total_usd=kept[1],
        present_because=why_not(stays) if stays else None,
    )


def _costs(now: Standing, option_id: str | None) -> tuple[float | None, float | None]:
    plan = now.of(option_id).plan if option_id else None
    if plan is None:
        return None, None
    bill = plan.monthly_usd.expected
    return bill, bill + plan.people.monthly_usd.expected


def _sum(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return math.fsum(known) if known and len(known) == len(values) else None
