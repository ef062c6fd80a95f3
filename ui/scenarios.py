"""Scenarios on the page: named answers, their link, and how they differ.

Nothing in this file knows Streamlit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from advisor.certainty import headline
from advisor.plain_text import one_line
from advisor.prices.status import STALE_AFTER_DAYS, stale_count
from advisor.recommendation import Ranked, Recommendation
from advisor.requirements import Mode, Requirements
from advisor.scenario import MAX_NAME
from ui import format as fmt
from ui.answers import Answers, decode, encode
from ui.questions import describe, questions, unit

PREFIX = "scenario."  # of the link's parameters: scenario.1, scenario.2 …
MOST_KEPT = 12
MOST_COMPARED = 4
UNNAMED = "Scenario"
COLUMN = "Compared"
_NAME = "name"


@dataclass(frozen=True)
class Kept:
    """Answers under a name. Notes come with a file; a link does not carry them."""

    name: str
    answers: Answers
    notes: str = ""


@dataclass(frozen=True)
class Advised:
    """A scenario with its answer, or with why there is none."""

    name: str
    answers: Answers
    need: Requirements | None = None
    answer: Recommendation | None = None
    problem: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a comparison: a cell for each scenario."""

    label: str
    cells: tuple[str, ...]
    differs: bool
    lowest: tuple[int, ...] = ()  # the scenarios with the least money, where they differ


def to_link(kept: Sequence[Kept]) -> dict[str, str]:
    """The link's parameters: each scenario's own link, under its number."""
    return {
        f"{PREFIX}{i}": urlencode({_NAME: one.name, **encode(one.answers)})
        for i, one in enumerate(kept, start=1)
    }


def from_link(params: Mapping[str, str]) -> tuple[list[Kept], list[str]]:
    """Scenarios of a link, and a sentence for each thing that was dropped."""
    kept: list[Kept] = []
    said: list[str] = []
    given = sorted((k for k in params if k.startswith(PREFIX)), key=lambda k: (len(k), k))
    for key in given[:MOST_KEPT]:
        try:
            pairs = parse_qsl(params[key], True, strict_parsing=True, max_num_fields=200)
        except ValueError:
            pairs = []
        if not pairs:
            said.append(f"{key} is not a scenario; it was left out.")
            continue
        inner = dict(pairs)
        name = unused(inner.pop(_NAME, ""), kept)
        link = decode(inner)
        said += [f"{name}: {sentence}; it was left out." for sentence in link.dropped]
        if link.filled:
            asked = ", ".join(f"“{describe(path)}”" for path in link.filled)
            said.append(f"{name} does not answer {asked}: taken from the first example.")
        kept.append(Kept(name, link.answers))
    if len(given) > MOST_KEPT:
        said.append(f"The link has {len(given)} scenarios; the first {MOST_KEPT} were taken.")
    return kept, said


def unused(name: str, kept: Sequence[Kept]) -> str:
    """The name on one line, numbered if another scenario has it: "Ours", "Ours (2)"."""
    plain = one_line(name)[:MAX_NAME] or UNNAMED
    if plain == COLUMN:
        plain = f"{plain} (scenario)"  # it would be taken for the column of the labels
    taken, tried, number = {one.name for one in kept}, plain, 2
    while tried in taken:
        tail = f" ({number})"
        tried, number = plain[: MAX_NAME - len(tail)] + tail, number + 1
    return tried


def renamed(kept: Sequence[Kept], old: str, new: str) -> list[Kept]:
    """The scenarios with one of them called otherwise; an empty name changes nothing."""
    if not one_line(new):
        return list(kept)
    others = [one for one in kept if one.name != old]
    return [replace(o, name=unused(new, others)) if o.name == old else o for o in kept]


def results(advised: Sequence[Advised]) -> list[Row]:
    """What each scenario is advised, a line for each figure."""
    rows = [_row(label, [_said(one, say) for one in advised]) for label, say in _RESULTS]
    money = [
        _row(label, [_said(one, say) for one in advised], [_amount(one, of) for one in advised])
        for label, say, of in _MONEY
    ]
    return [*rows[:3], *money, *rows[3:]]


def answers(advised: Sequence[Advised]) -> list[Row]:
    """All questions, a line for each; in one that differs the scenarios gave different answers."""
    rows = []
    for path, question in questions().items():
        cells = [_answer(path, one.answers.get(path, question.default)) for one in advised]
        about = "Priority: " if question.section == "priorities" else ""
        rows.append(_row(f"{about}{question.title}", cells))
    return rows


def _row(label: str, cells: Sequence[str], amounts: Sequence[float | None] = ()) -> Row:
    known = [amount for amount in amounts if amount is not None]
    least = tuple(i for i, amount in enumerate(amounts) if known and amount == min(known))
    differs = len(set(cells)) > 1
    return Row(label, tuple(cells), differs, least if differs and len(known) > 1 else ())


def _answer(path: str, value: object) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, dict):
        return f"{len(value)} of your own" if value else "as assumed"
    counted = unit(path)
    if value == 1 and len(counted) > 4:  # "1 week", but "1 ms"
        counted = counted.removesuffix("s")
    return fmt.plain(value) + (counted if number else "")


Say = Callable[[Requirements, Recommendation, Ranked], str]


def _said(one: Advised, say: Say) -> str:
    if one.need is None or one.answer is None:
        return "–"
    if not one.answer.ranking:
        return "nothing fits" if say is _verdict else "–"
    return say(one.need, one.answer, one.answer.ranking[0])


def _amount(one: Advised, of: Callable[[Ranked], float]) -> float | None:
    return of(one.answer.ranking[0]) if one.answer and one.answer.ranking else None


def _verdict(need: Requirements, answer: Recommendation, best: Ranked) -> str:
    return fmt.name(best.kind)


def _speed(need: Requirements, answer: Recommendation, best: Ranked) -> str:
    if need.traffic.mode is Mode.realtime and best.p95_ms is not None:
        took = fmt.milliseconds(best.p95_ms)
        return f"p{need.service.percentile:g} {took} of {fmt.milliseconds(need.service.p95_ms)}"
    done = "after" if need.traffic.mode is Mode.batch else "within"
    return "–" if best.finish_h is None else f"{done} {fmt.finish(best.finish_h)}"


def _sure(need: Requirements, answer: Recommendation, best: Ranked) -> str:
    return headline(answer)


def _runner_up(need: Requirements, answer: Recommendation, best: Ranked) -> str:
    if len(answer.ranking) < 2:
        return "none fits"
    second = answer.ranking[1]
    return f"{second.name}, {fmt.usd(second.total_monthly_usd, at_least=second.at_least)}"


def _price_ages(need: Requirements, answer: Recommendation, best: Ranked) -> str:
    stale, prices = stale_count(line.as_of for line in best.lines)
    if not stale:
        return "in date"
    return f"{stale} of {prices} older than {STALE_AFTER_DAYS} days or undated"


_RESULTS: tuple[tuple[str, Say], ...] = (
    ("Managed or self-hosted", _verdict),
    ("Service", lambda need, answer, best: best.name),
    ("Size", lambda need, answer, best: fmt.machine(best)),
    ("Expected speed", _speed),
    ("How sure", _sure),
    ("Runner-up", _runner_up),
    ("Unit prices of the bill", _price_ages),
    ("Options that fit", lambda need, answer, best: str(len(answer.ranking))),
)
_MONEY: tuple[tuple[str, Say, Callable[[Ranked], float]], ...] = (
    (
        "Cloud bill a month",
        lambda need, answer, best: (
            fmt.usd(best.monthly_usd.expected, at_least=best.at_least)
            + f" ({fmt.usd_range(best.monthly_usd)})"
        ),
        lambda best: best.monthly_usd.expected,
    ),
    (
        "People's time a month",
        lambda need, answer, best: fmt.usd(best.people_monthly_usd),
        lambda best: best.people_monthly_usd,
    ),
    (
        "Total a month",
        lambda need, answer, best: fmt.usd(best.total_monthly_usd, at_least=best.at_least),
        lambda best: best.total_monthly_usd,
    ),
)
