"""What would change the winner: for each answer that matters, the nearest change that does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from advisor.at_volumes import AtVolumes
from advisor.errors import RequirementsError
from advisor.prices import PriceBook, load_book
from advisor.recommendation import Flip, Recommendation
from advisor.requirements import Commitment, ControlLevel, Mode, Requirements, Skill
from advisor.rules import Policy, RuleSet, load_rules
from advisor.standing import Standing
from advisor.whatif.answers import (
    Cancelled,
    at_volume,
    go_on,
    plain,
    rounded,
    value_of,
    with_answer,
)

FLIP_STEPS = (1.3, 2, 3, 5, 9, 20, 50, 150, 1000)
FLIP_PRECISION = 1.05
VOLUME = "traffic.requests_per_month"


@dataclass(frozen=True)
class Numeric:
    """An answer that can be scaled up and down within its bounds."""

    field: str
    most: float
    least: float


NUMERIC_FLIPS = (
    Numeric(VOLUME, 1e12, 1),
    Numeric("service.p95_ms", 600_000, 1),
    Numeric("model.service_time_ms", 3_600_000, 0.01),
    Numeric("model.memory_mb", 2_000_000, 1),
    Numeric("traffic.request_mb", 10_000, 1e-6),
)
CATEGORY_FLIPS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("team.devops_skill", tuple(Skill)),
    ("control.level", tuple(ControlLevel)),
    ("control.private_network", (False, True)),
    ("service.cold_starts_ok", (False, True)),
    ("service.availability_percent", (99.0, 99.5, 99.9, 99.95, 99.99)),
)


def flips(
    need: Requirements,
    answer: Recommendation,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    cancelled: Cancelled = None,
) -> list[Flip]:
    """For each answer that matters, the nearest change that changes the winner.

    Numbers are searched outwards on a coarse scale in both directions and then narrowed to 5 %.
    Raises WhatIfCancelledError.
    """
    return flips_from(need, answer.winner, policies=policies, book=book, cancelled=cancelled)


def flips_from(
    need: Requirements,
    now_wins: str | None,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    cancelled: Cancelled = None,
) -> list[Flip]:
    """`flips`, when only the winner's id is at hand."""
    book = book or load_book()
    rules = load_rules(tuple(policies))

    many = _many_volumes(need, rules, book, cancelled)

    def wins(field: str, value: Any) -> str | None:
        go_on(cancelled)
        if field == VOLUME and many is not None and value in many.volumes:
            return many.winner(value)
        try:
            changed = with_answer(need, field, value)
        except RequirementsError:
            return now_wins
        return Standing(changed, rules, book).winner

    out = [
        flip for numeric in NUMERIC_FLIPS for flip in _numeric_flips(need, now_wins, numeric, wins)
    ]
    for field, values in CATEGORY_FLIPS:
        now = value_of(need, field)
        for value in _nearest_first(values, now):
            to = wins(field, value)
            if to != now_wins:
                out.append(Flip(**{"from": plain(now)}, field=field, to=plain(value), winner=to))
                break
    return out


class _Ahead:
    """The winner at the volumes of the coarse scale, which are reckoned in one pass."""

    def __init__(
        self, need: Requirements, rules: RuleSet, book: PriceBook, cancelled: Cancelled
    ) -> None:
        now, bounds = need.traffic.requests_per_month, NUMERIC_FLIPS[0]
        each = [now * step for step in FLIP_STEPS] + [now / step for step in FLIP_STEPS]
        self.volumes = frozenset(v for v in each if bounds.least <= v <= bounds.most)
        self._seen = AtVolumes(
            lambda volume: at_volume(need, volume), need, rules, book, lambda: go_on(cancelled)
        )

    def winner(self, volume: float) -> str | None:
        self._seen.find_winners(self.volumes)  # the first time alone
        return self._seen.winner(volume)


def _many_volumes(
    need: Requirements, rules: RuleSet, book: PriceBook, cancelled: Cancelled
) -> _Ahead | None:
    """None where one volume after the other is as quick, or where the week changes its shape."""
    traffic, place = need.traffic, need.placement
    bought = place.spot or place.commitment is not Commitment.none
    if traffic.mode is not Mode.realtime or bought or traffic.peak_requests_per_second is not None:
        return None
    return _Ahead(need, rules, book, cancelled)


def _numeric_flips(
    need: Requirements,
    now_wins: str | None,
    numeric: Numeric,
    wins: Callable[[str, Any], str | None],
) -> Iterator[Flip]:
    now = value_of(need, numeric.field)
    if not now:
        return
    if numeric.field == "service.p95_ms" and need.traffic.mode is not Mode.realtime:
        return
    for up in (True, False):
        same = float(now)
        for step in FLIP_STEPS:
            value = now * step if up else now / step
            if not numeric.least <= value <= numeric.most:
                break
            to = wins(numeric.field, value)
            if to != now_wins:
                value, to = _narrow(same, value, to, now_wins, numeric.field, wins)
                yield Flip(**{"from": now}, field=numeric.field, to=rounded(value, up), winner=to)
                break
            same = value


def _narrow(
    same: float,
    other: float,
    to: str | None,
    now_wins: str | None,
    field: str,
    wins: Callable[[str, Any], str | None],
) -> tuple[float, str | None]:
    while max(same, other) / min(same, other) > FLIP_PRECISION:
        middle = math.sqrt(same * other)
        then = wins(field, middle)
        if then == now_wins:
            same = middle
        else:
            other, to = middle, then
    return other, to


def _nearest_first(values: Sequence[Any], now: Any) -> list[Any]:
    if now not in values:
        return list(values)
    at = values.index(now)
    order = sorted(range(len(values)), key=lambda i: (abs(i - at), i))
    return [values[i] for i in order if i != at]
