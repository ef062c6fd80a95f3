"""What a decision record says, in plain words and before any format: the parts that MADR names.

The three formats are written from this one content, so that none says less than another. Nothing
in it is escaped: each format does that for itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TypedDict, Unpack

from pydantic import Field

from advisor.catalog.loader import load_options
from advisor.plain_text import one_line
from advisor.prices.book import PriceBook
from advisor.recommendation import Ranked, Recommendation, Result
from advisor.record.words import (
    answer_value,
    as_clause,
    expected_response,
    how_sure,
    money_range,
    problem,
    size_of,
    usd,
)
from advisor.requirements import Mode, Requirements
from advisor.ruled_out import among_the_asked, not_asked_for

REVIEW_AFTER_DAYS = 180
DEFAULT_TITLE = "How to run the model in production"


class Labels(TypedDict, total=False):
    """What people write on a record; all of it may be left out."""

    name: str  # of the scenario
    title: str  # instead of one made from the name and the chosen option
    on: date  # the date of the decision; today when left out
    deciders: str
    notes: str


class OptionText(Result):
    """An option that fits, with what speaks for and against it."""

    option: str
    name: str
    figures: str
    good: tuple[str, ...]
    bad: tuple[str, ...]


class RecordText(Result):
    """The decision in words. `status` follows MADR: proposed until people accept it."""

    title: str
    name: str = Field("", description="What the scenario is called.")
    status: str = "proposed"
    date: date
    deciders: str = Field("", description="Who decides; empty: to be named.")
    notes: str = Field("", description="What the team wrote beside the requirements.")
    context: str
    drivers: tuple[str, ...]
    considered: tuple[str, ...]
    outcome: str
    outcome_figures: tuple[str, ...]
    conflicts: tuple[str, ...] = Field((), description="Answers that cannot be had together.")
    good: tuple[str, ...]
    bad: tuple[str, ...]
    confirmation: tuple[str, ...]
    look_again: tuple[str, ...]
    options: tuple[OptionText, ...]
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]
    sources: tuple[str, ...]


def compose(need: Requirements, answer: Recommendation, **labels: Unpack[Labels]) -> RecordText:
    """The content of the record."""
    on = labels.get("on") or date.today()
    name, notes = one_line(labels.get("name", "")), labels.get("notes", "")
    best = answer.ranking[0] if answer.ranking else None
    return RecordText(
        title=one_line(labels.get("title", "")) or _title(name, best),
        name=name,
        date=on,
        deciders=one_line(labels.get("deciders", "")),
        notes="\n".join(line for line in map(one_line, notes.splitlines()) if line),
        context=problem(need),
        drivers=tuple(_drivers(need)),
        considered=tuple(_considered(answer)),
        outcome=_outcome(answer, best),
        outcome_figures=tuple(_figures(need, best) if best else _ways_out(answer)),
        conflicts=tuple(conflict.because for conflict in answer.conflicts),
        good=_option(best).good if best else (),
        bad=_option(best).bad if best else (),
        confirmation=tuple(_confirmation(need, best, on)) if best else (),
        look_again=tuple(_look_again(need, answer, on)),
        options=tuple(_option(r) for r in answer.ranking),
        warnings=answer.warnings,
        assumptions=tuple(_assumptions(need, answer, best)),
        sources=tuple(_sources(answer)),
    )


def _title(name: str, best: Ranked | None) -> str:
    said = f"Run the model on {best.name}" if best else DEFAULT_TITLE
    return f"{name}: {said[0].lower()}{said[1:]}" if name else said


def _drivers(need: Requirements) -> Iterator[str]:
    weights = sorted(need.priorities.model_dump().items(), key=lambda item: -item[1])
    yield from (f"{name}: weight {weight:g} of 5" for name, weight in weights if weight)
    yield f"DevOps skill in the team: {need.team.devops_skill.value}"
    yield f"control asked for: {need.control.level.value}"
    yield f"to run in production within {need.team.weeks_to_launch:g} weeks"
    if need.budget.monthly_usd is not None:
        yield f"budget: {usd(need.budget.monthly_usd)} a month for the cloud bill"
    if need.control.private_network:
        yield "reachable from the private network only"
    if need.control.data_residency:
        yield f"data stays in {need.control.data_residency}"
    clouds = ", ".join(cloud.value for cloud in need.placement.clouds)
    yield f"may run in: {clouds} ({', '.join(need.placement.regions) or 'default region'})"


def _considered(answer: Recommendation) -> Iterator[str]:
    names = {option.id: option.name for option in load_options().values()}
    for r in answer.ranking:
        at_least = "at least " if r.at_least else ""
        yield f"{r.name} ({r.kind}): {at_least}{usd(r.total_monthly_usd)} a month in all"
    ruled_out = dict.fromkeys(names.get(e.option, e.option) for e in among_the_asked(answer))
    if ruled_out:
        yield f"ruled out: {', '.join(ruled_out)} (reasons below)"
    if elsewhere := not_asked_for(answer):
        yield elsewhere
    for u in answer.unpriced:
        yield f"without a price: {names.get(u.option, u.option)} ({u.because})"


def _outcome(answer: Recommendation, best: Ranked | None) -> str:
    if best is None:
        return "No option fits the requirements."
    because = "; ".join(r.because for r in best.speaks_for) or _strongest(best)
    return f"Chosen option: “{best.name}” ({best.kind}), because {because}. {how_sure(answer)}"


def _strongest(best: Ranked) -> str:
    criteria = {k: v for k, v in best.contributions.items() if k != "rules"}
    top = sorted(criteria, key=lambda name: -criteria[name])[:3]
    return f"it scores highest on {', '.join(top)} under the stated priorities"


def _figures(need: Requirements, best: Ranked) -> Iterator[str]:
    people = best.people
    bought = "" if best.purchase == "on-demand" else f", bought as {best.purchase}"
    yield f"size: {size_of(best)} in {best.region}{bought}"
    yield f"cloud bill: {money_range(best)} a month"
    yield (
        f"people's time: {usd(best.people_monthly_usd)} a month "
        f"({people.monthly_hours.expected:.1f} h a month and {people.setup_hours.expected:.0f} h of "
        f"set-up spread over the first year, at {usd(people.hourly_usd)} an hour)"
    )
    at_least = "at least " if best.at_least else ""
    yield f"together: {at_least}{usd(best.total_monthly_usd)} a month"
    yield expected_response(need, best)


def _ways_out(answer: Recommendation) -> list[str]:
    found = [r.because for r in answer.relaxations]
    return found or ["none was found: the requirements contradict each other"]


def _good(ranked: Ranked) -> list[str]:
    return _unique([r.because for r in ranked.speaks_for])


def _bad(ranked: Ranked) -> list[str]:
    return _unique([r.because for r in ranked.speaks_against])


def _unique(sentences: list[str]) -> list[str]:
    return list(dict.fromkeys(sentences))


def _option(ranked: Ranked) -> OptionText:
    known = load_options().get(ranked.option)
    return OptionText(
        option=ranked.option,
        name=ranked.name,
        figures=(
            f"{ranked.kind}, {size_of(ranked)}, {ranked.region}; cloud bill "
            f"{money_range(ranked)}, people's time {usd(ranked.people_monthly_usd)} a month, "
            f"score {ranked.score:.2f}."
        ),
        good=tuple(_unique([*_good(ranked), *map(as_clause, known.strengths if known else ())])),
        bad=tuple(_unique([*_bad(ranked), *map(as_clause, known.weaknesses if known else ())])),
    )


def _confirmation(need: Requirements, best: Ranked, on: date) -> Iterator[str]:
    live = on + timedelta(weeks=need.team.weeks_to_launch)
    if need.traffic.mode is Mode.realtime:
        service = need.service
        yield (
            f"By {live.isoformat()}, a load test of the deployed endpoint at "
            f"{best.sizing.arrival_peak_per_s:,.3g} requests a second, the busiest hour's rate, "
            f"answers {service.percentile:g} % within {service.p95_ms:g} ms "
            f"({best.p95_ms or 0:,.0f} ms are expected)."
        )
    else:
        what = (
            "a run with all records is"
            if need.traffic.mode is Mode.batch
            else "a queued request is"
        )
        yield f"By {live.isoformat()}, {what} {expected_response(need, best)}."
    low, high = usd(best.monthly_usd.low), usd(best.monthly_usd.high)
    limit = "; lines without a price come on top" if best.at_least else ""
    lies = f"comes to about {low}" if low == high else f"lies between {low} and {high}"
    yield (
        f"By {(live + timedelta(days=35)).isoformat()}, the bill of the first full month {lies}"
        f"{limit}."
    )
    yield (
        f"After three months, the hours that people really spent on it are compared with the "
        f"{best.people.monthly_hours.expected:.1f} h a month assumed here."
    )


def _look_again(need: Requirements, answer: Recommendation, on: date) -> Iterator[str]:
    names = {option.id: option.name for option in load_options().values()}
    for f in answer.flips:
        then = names.get(f.winner, f.winner) if f.winner else "nothing fits"
        grown = _reached(need, f.field, f.from_, f.to)
        yield f"{f.field} at {answer_value(f.to)} instead of {answer_value(f.from_)}: then {then}{grown}"
    if answer.ranking and not answer.flips:
        yield "no single answer, changed within a wide range, changes the winner"
    growth = need.traffic.growth_percent_per_month
    if growth > 0:
        months = math.log(2) / math.log1p(growth / 100)
        yield (
            f"traffic has doubled, which {growth:g} % a month brings in about {months:.0f} months"
        )
    yield _price_age(answer.prices_as_of, on)
    yield f"{(on + timedelta(days=REVIEW_AFTER_DAYS)).isoformat()}, whatever else has happened"


def _reached(need: Requirements, path: str, now: object, then: object) -> str:
    """When growth alone brings a volume about; growth compounds monthly."""
    growth = need.traffic.growth_percent_per_month
    if path != "traffic.requests_per_month" or growth <= 0:
        return ""
    if not isinstance(now, (int, float)) or not isinstance(then, (int, float)) or then <= now:
        return ""
    months = math.log(then / now) / math.log1p(growth / 100)
    return f" (in about {months:.0f} months at {growth:g} % growth a month)"


def _price_age(as_of: str, on: date) -> str:
    limit = PriceBook.stale_after_days
    try:
        end = date.fromisoformat(as_of[:10]) + timedelta(days=limit)
    except ValueError:
        return f"the prices ({as_of}) carry no date; renew them before the decision is accepted"
    if end < on:
        return (
            f"now: the prices of {as_of} are older than {limit} days; renew them before the decision "
            "is accepted"
        )
    return f"after {end.isoformat()} the prices of {as_of} are older than {limit} days; renew them"


def _assumptions(need: Requirements, answer: Recommendation, best: Ranked | None) -> Iterator[str]:
    if best is not None:
        people, whose = best.people, "given by the team"
        if not people.changed_by_user:
            whose = "an estimate of this product, not a published figure"
        yield (
            f"people's time: {people.monthly_hours.low:g} to {people.monthly_hours.high:g} h a month "
            f"and {people.setup_hours.low:g} to {people.setup_hours.high:g} h of set-up ({whose})"
        )
        yield from best.sizing.notes
        yield f"sized with: {best.sizing.model}"
    if need.model.service_time_ms is None:
        yield f"service time: taken from the class {need.model.model_class}, not measured"
    yield "a month has 730 hours; free allowances and taxes are left out"
    yield "answers that the requirements below do not list have their defaults"
    if answer.policy_names:
        yield f"team policies applied: {', '.join(answer.policy_names)}"


def _sources(answer: Recommendation) -> list[str]:
    """Every source once: of prices, of reasons, of what ruled options out."""
    found: dict[str, None] = {}
    for line in (line for ranked in answer.ranking for line in ranked.lines):
        dated = f"price of {line.as_of}" if line.as_of[:1].isdigit() else "price without a date"
        found[f"{line.source} ({dated})" if line.source else ""] = None
    for ranked in answer.ranking:
        found.update(dict.fromkeys(r.source for r in (*ranked.reasons, *ranked.warnings)))
    found.update(dict.fromkeys(e.source for e in among_the_asked(answer)))
    return [source for source in found if source]
