"""When nothing fits: the smallest changes of answers with which some option would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from advisor.catalog.loader import load_options
from advisor.consider import consider, regions_by_cloud
from advisor.errors import RequirementsError
from advisor.prices import PriceBook, load_book
from advisor.recommendation import Change, Relaxation
from advisor.requirements import Requirements, parse
from advisor.rules import Policy, load_rules
from advisor.whatif.answers import Cancelled, go_on, plain, rounded
from advisor.workload import resolve

MAX_ROUNDS = 4
MAX_RELAXATIONS = 3
# A relaxed number is rounded up this little, so that it clears the limit it was made for.
CLEARANCE = 1.02
# Giving up a principle (a cloud, a private network) weighs as much as stretching a number
# eightfold; giving up real-time answers, which makes it another product, much more.
CATEGORY_COST = 3.0
COST_OF = {"traffic.mode": 8.0}


def relaxations(
    need: Requirements,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    cancelled: Cancelled = None,
) -> list[Relaxation]:
    """The smallest sets of changed answers with which some option fits; smallest first.

    For each option the changes that its exclusions ask for are made, again and again, until it
    fits or no change helps. Fewest and smallest changes win: a number stretched by a factor f
    counts log2(f), a principle given up counts 3, real-time answers 8. Raises
    WhatIfCancelledError.
    """
    book = book or load_book()
    rules = load_rules(tuple(policies))
    found: list[tuple[float, Relaxation]] = []
    for option in load_options().values():
        go_on(cancelled)
        changed = need
        for _ in range(MAX_ROUNDS):
            try:
                regions, _notes = regions_by_cloud(changed, book)
                seen = consider(option, resolve(changed), regions, rules, book)
            except RequirementsError:
                break
            if seen.plan is not None:
                changes = _changes(need, changed)
                found.append((_size(changes), _relaxation(option.id, option.name, changes)))
                break
            wanted = [change for fired in seen.fired for change in fired.relaxations]
            if not wanted or any(not fired.relaxations for fired in seen.fired):
                break
            try:
                changed = _applied(changed, wanted)
            except RequirementsError:
                break
    found.sort(key=lambda pair: (pair[0], pair[1].option))
    best = found[0][0] if found else 0.0
    return [r for size, r in found if size <= best + CATEGORY_COST][:MAX_RELAXATIONS]


def _applied(need: Requirements, wanted: Sequence[tuple[str, Any]]) -> Requirements:
    """All wanted changes at once; of two for the same number the more generous one counts."""
    data = need.model_dump(mode="json")
    for field, value in wanted:
        section, name = field.split(".")
        now = data[section][name]
        if isinstance(value, float) and isinstance(now, (int, float)) and value > now:
            value = rounded(value * CLEARANCE, up=True)
        elif isinstance(value, float) and isinstance(now, (int, float)):
            value = rounded(value, up=False)
        if isinstance(now, list) and not isinstance(value, list):
            value = [*now, value] if value not in now else now
        data[section][name] = plain(value)
    return parse(data)


def _changes(before: Requirements, after: Requirements) -> tuple[Change, ...]:
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return tuple(
        Change(**{"from": old[section][name]}, field=f"{section}.{name}", to=value)
        for section, answers in new.items()
        for name, value in answers.items()
        if old[section][name] != value
    )


def _size(changes: Sequence[Change]) -> float:
    size = 0.0
    for change in changes:
        a, b = change.from_, change.to
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (a, b))
        size += (
            abs(math.log2(b / a)) + 0.25
            if numbers and a and b
            else COST_OF.get(change.field, CATEGORY_COST)
        )
    return size


def _relaxation(option: str, name: str, changes: tuple[Change, ...]) -> Relaxation:
    parts = [f"{c.field} from {_say(c.from_)} to {_say(c.to)}" for c in changes]
    return Relaxation(
        option=option, changes=changes, because=f"{name} fits with {' and '.join(parts)}"
    )


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not given" if value is None else str(value)
