"""What would change the answer: relaxations when nothing fits, flips when something does.

Both ask `recommend` again, so what they say is what the advisor would really answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from advisor.catalog.loader import load_options
from advisor.consider import consider, regions_by_cloud
from advisor.errors import RequirementsError
from advisor.prices import PriceBook, load_book
from advisor.recommend import winner
from advisor.recommendation import Change, Flip, Recommendation, Relaxation
from advisor.requirements import (
    ControlLevel,
    Mode,
    Requirements,
    Skill,
    parse,
)  # fmt: skip
from advisor.rules import load_rules
from advisor.workload import resolve

MAX_ROUNDS = 4
MAX_RELAXATIONS = 3
# A relaxed number is rounded up this little, so that it clears the limit it was made for.
CLEARANCE = 1.02
# Giving up a principle (a cloud, a private network) weighs as much as stretching a number
# eightfold; giving up real-time answers, which makes it another product, much more.
CATEGORY_COST = 3.0
COST_OF = {"traffic.mode": 8.0}

FLIP_STEPS = (1.3, 2, 3, 5, 9, 20, 50, 150, 1000)
FLIP_PRECISION = 1.05


@dataclass(frozen=True)
class Numeric:
    """An answer that can be scaled up and down within its bounds."""

    field: str
    most: float
    least: float


NUMERIC_FLIPS = (
    Numeric("traffic.requests_per_month", 1e12, 1),
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


def complete(
    need: Requirements,
    answer: Recommendation,
    *,
    policies: Sequence[Path | str] = (),
    book: PriceBook | None = None,
) -> Recommendation:
    """The recommendation with its flips, or with the smallest relaxations when nothing fits."""
    book = book or load_book()
    if answer.winner is None:
        return answer.model_copy(
            update={"relaxations": tuple(relaxations(need, policies=policies, book=book))}
        )
    return answer.model_copy(
        update={"flips": tuple(flips(need, answer, policies=policies, book=book))}
    )


def relaxations(
    need: Requirements, *, policies: Sequence[Path | str] = (), book: PriceBook | None = None
) -> list[Relaxation]:
    """The smallest sets of changed answers with which some option fits; smallest first.

    For each option the changes that its exclusions ask for are made, again and again, until it
    fits or no change helps. Fewest and smallest changes win: a number stretched by a factor f
    counts log2(f), a principle given up counts 3, real-time answers 8.
    """
    book = book or load_book()
    rules = load_rules(tuple(policies))
    found: list[tuple[float, Relaxation]] = []
    for option in load_options().values():
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


def flips(
    need: Requirements,
    answer: Recommendation,
    *,
    policies: Sequence[Path | str] = (),
    book: PriceBook | None = None,
) -> list[Flip]:
    """For each answer that matters, the nearest change that changes the winner.

    Numbers are searched outwards on a coarse scale in both directions and then narrowed to 5 %.
    """
    book = book or load_book()

    def wins(field: str, value: Any) -> str | None:
        try:
            changed = with_answer(need, field, value)
        except RequirementsError:
            return answer.winner
        return winner(changed, policies=policies, book=book)

    out = [
        flip
        for numeric in NUMERIC_FLIPS
        for flip in _numeric_flips(need, answer.winner, numeric, wins)
    ]
    for field, values in CATEGORY_FLIPS:
        now = value_of(need, field)
        for value in _nearest_first(values, now):
            to = wins(field, value)
            if to != answer.winner:
                out.append(Flip(**{"from": _plain(now)}, field=field, to=_plain(value), winner=to))
                break
    return out


def with_answer(need: Requirements, field: str, value: Any) -> Requirements:
    """The requirements with one answer changed. Raises RequirementsError when it is refused."""
    data = need.model_dump(mode="json")
    section, name = field.split(".")
    data[section][name] = _plain(value)
    return parse(data)


def value_of(need: Requirements, field: str) -> Any:
    """The answer at a dotted path."""
    section, name = field.split(".")
    return getattr(getattr(need, section), name)


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
                yield Flip(**{"from": now}, field=numeric.field, to=_round(value, up), winner=to)
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


def _applied(need: Requirements, wanted: Sequence[tuple[str, Any]]) -> Requirements:
    """All wanted changes at once; of two for the same number the more generous one counts."""
    data = need.model_dump(mode="json")
    for field, value in wanted:
        section, name = field.split(".")
        now = data[section][name]
        if isinstance(value, float) and isinstance(now, (int, float)) and value > now:
            value = _round(value * CLEARANCE, up=True)
        elif isinstance(value, float) and isinstance(now, (int, float)):
            value = _round(value, up=False)
        if isinstance(now, list) and not isinstance(value, list):
            value = [*now, value] if value not in now else now
        data[section][name] = _plain(value)
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


def _nearest_first(values: Sequence[Any], now: Any) -> list[Any]:
    if now not in values:
        return list(values)
    at = values.index(now)
    order = sorted(range(len(values)), key=lambda i: (abs(i - at), i))
    return [values[i] for i in order if i != at]


def _round(value: float, up: bool) -> float:
    """Three significant digits, rounded away from what it has to clear."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    steps = math.ceil(value / unit - 1e-9) if up else math.floor(value / unit + 1e-9)
    return float(f"{steps * unit:.6g}")


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
