"""The answer as text for a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from advisor.arguments import reasons_for
from advisor.catalog.schema import Option
from advisor.certainty import certainty
from advisor.durations import duration
from advisor.prices import shelf
from advisor.prices.status import PriceStatus, dated
from advisor.recommendation import PurchaseChoice, Ranked, Recommendation
from advisor.record import (
    answer_value,
    as_clause,
    expected_response,
    money_range,
    quantity,
    size_of,
    unit_price,
    usd,
)
from advisor.requirements import Requirements
from advisor.ruled_out import among_the_asked, not_asked_for

if TYPE_CHECKING:  # the refresh brings an HTTP client, which only it needs
    from advisor.costs.coverage import RegionCoverage
    from advisor.prices.refresh import Outcome, Step


def text(need: Requirements, answer: Recommendation) -> str:
    """The verdict, the ranking, what was ruled out, and what would change the answer."""
    out: list[str] = []
    if answer.ranking:
        out += _verdict(need, answer)
        out += ["", "Ranked", *_rows(answer.ranking)]
        out += ["", f"Cost lines of {answer.ranking[0].name}", *_lines(answer.ranking[0])]
    else:
        out += ["NOTHING FITS these requirements.", ""]
        if answer.conflicts:
            out += ["These cannot be had together:"]
            out += [*(f"  - {c.because}" for c in answer.conflicts), ""]
        out += ["The smallest changes that would help:"]
        out += [f"  - {r.because}" for r in answer.relaxations] or ["  - none was found"]
    if answer.purchase_choices:
        out += ["", f"Would you commit, or run {answer.ranking[0].name} on spot?"]
        out += [_purchase(choice) for choice in answer.purchase_choices]
    if answer.excluded:
        out += ["", "Ruled out"]
        shown, elsewhere = among_the_asked(answer), not_asked_for(answer)
        out += [f"  {e.option}: {e.because}  [{e.rule}; {e.source}]" for e in shown]
        out += [f"  {elsewhere}"] if elsewhere else []
    if answer.unpriced:
        out += ["", "Without a price"]
        out += [f"  {u.option}: {u.because}" for u in answer.unpriced]
    if answer.flips:
        out += ["", "What would change the answer"]
        out += [
            f"  {f.field}: {answer_value(f.from_)} -> {answer_value(f.to)}: "
            f"{f.winner or 'nothing fits'}"
            for f in answer.flips
        ]
    if answer.warnings:
        out += ["", *(f"Note: {w}" for w in answer.warnings)]
    if answer.policy_names:
        out += ["", f"Team policies in force: {', '.join(answer.policy_names)}"]
    out += [
        "",
        f"Prices as of {dated(answer.prices_as_of)}. Every figure is an estimate, not a quote.",
    ]
    return "\n".join(out)


def options(chosen: Sequence[Option]) -> str:
    """One line for each option."""
    width = max(len(o.id) for o in chosen)
    return "\n".join(
        f"{o.id:<{width}}  {o.kind:<11}  {o.cloud.value:<12}  {', '.join(m.value for m in o.modes):<22}"
        f"  {o.name}"
        for o in chosen
    )


def option(chosen: Option) -> str:
    """All facts of an option, each with its source, date and confidence."""
    out = [
        f"{chosen.name} ({chosen.id})",
        f"{chosen.kind}, {chosen.cloud.value}; {', '.join(m.value for m in chosen.modes)}",
        chosen.summary,
        "",
        *(f"+ {s}" for s in chosen.strengths),
        *(f"- {w}" for w in chosen.weaknesses),
        "",
    ]
    for name, fact in chosen.facts.items():
        out.append(f"{name}: {fact.said()}  [{fact.confidence}; {fact.source}; {fact.checked}]")
        if fact.note:
            out.append(f"    {fact.note}")
    return "\n".join(out)


def prices(status: PriceStatus) -> str:
    """Age, source and coverage of the price book."""
    age = f"{status.age_days} days old"
    head = f"Prices of {status.as_of}, {age}{', STALE' if status.stale else ''}"
    out = [head, f"  from {status.directory}"]
    passed_over = shelf.passed_over()
    if passed_over:
        out.append(f"  {passed_over}")
    for cloud in status.providers:
        how = f"refreshed {cloud.refreshed}" if cloud.refreshed else "snapshot"
        newest = "undated" if cloud.age_days is None else f"newest {cloud.age_days} days old"
        out.append(
            f"  {cloud.cloud:<6} {cloud.rows:>7,} prices  {how}, {newest}, "
            f"{cloud.stale_rows:,} stale; mostly {cloud.source}"
        )
    out.append("")
    out += [
        f"  {row.cloud:<6} {row.service:<22} {row.rows:>7,} prices  {row.regions:>3} regions  "
        f"{row.oldest} .. {row.newest}{f'  {row.stale_rows:,} stale' if row.stale else ''}"
        for row in status.services
    ]
    return "\n".join(out)


def refreshed(outcome: Outcome) -> str:
    """What a refresh has done, and what it has left as it was."""
    out = [
        f"Refreshed {outcome.provider}: {outcome.machines:,} machine prices and "
        f"{outcome.rates:,} rates of {outcome.as_of}",
        f"  now in {outcome.directory}",
        f"  kept as they were: {outcome.kept_machines:,} machine prices of regions that were not "
        f"read, {len(outcome.kept):,} rates that the lists do not hold{_some(outcome.kept)}",
    ]
    out += [f"  accepted: {sentence}" for sentence in outcome.accepted]
    if outcome.notes:
        out += [f"  {len(outcome.notes):,} notes{_some(outcome.notes)}"]
    return "\n".join(out)


class Progress:
    """Shows the steps of a refresh: in place on a terminal, else at most a line a second."""

    def __init__(self, stream: TextIO, every_s: float = 1.0) -> None:
        self._stream = stream
        self._every_s = every_s
        self._said_at = 0.0

    def __call__(self, step: Step) -> None:
        text = f"[{step.done}/{step.total}] {step.what}"
        if self._stream.isatty():
            end = "\n" if step.done == step.total else ""
            print(f"\r{text:<78.78}", end=end, file=self._stream, flush=True)
        elif step.done == step.total or time.monotonic() - self._said_at >= self._every_s:
            self._said_at = time.monotonic()
            print(text, file=self._stream, flush=True)


def _some(names: Sequence[str], shown: int = 3) -> str:
    if not names:
        return ""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return f" ({'; '.join(names[:shown])}{more})"


def coverage(rows: Sequence[RegionCoverage]) -> str:
    """Lines of the bills that have no price, by cloud and region, and the most frequent ones."""
    out: list[str] = []
    for cloud in dict.fromkeys(row.cloud for row in rows):
        mine = [row for row in rows if row.cloud == cloud]
        missing: Counter[str] = Counter()
        for row in mine:
            missing.update(row.unknown)
        lines, unknown = sum(r.lines for r in mine), sum(r.unknown_lines for r in mine)
        whole = sum(1 for r in mine if r.bills and not r.unknown)
        out.append(
            f"{cloud}: {unknown:,} of {lines:,} lines without a price; nothing missing in {whole} "
            f"of {len(mine)} regions"
        )
        out += [f"  {count:>5} x {name}" for name, count in missing.most_common()]
        for row in mine:
            left = f"; without machines or rates: {', '.join(row.unpriced)}" if row.unpriced else ""
            if row.unknown or left:
                out.append(f"    {row.region:<24} {row.unknown_lines:>3} of {row.lines:>3}{left}")
    return "\n".join(out)


def _verdict(need: Requirements, answer: Recommendation) -> list[str]:
    best = answer.ranking[0]
    out = [
        f"{best.kind.upper()}: {best.name}",
        f"  {size_of(best)} in {best.region}, {best.purchase}",
        f"  {certainty(answer)}",
        f"  cloud bill {money_range(best)} a month + people's time "
        f"{usd(best.people_monthly_usd)} ({best.people.monthly_hours.expected:.1f} h a month, "
        f"{'your figure' if best.people.changed_by_user else 'assumed'})",
        f"  {expected_response(need, best)}",
    ]
    # A rule's own sentence, else what the ranking says: nothing is chosen without a reason.
    speaks_for = [r.because for r in best.speaks_for[:4]]
    speaks_for = speaks_for or [as_clause(r.because) for r in reasons_for(need, best)]
    out += [f"  because {because}" for because in speaks_for]
    out += [f"  but {r.because}" for r in best.speaks_against[:4]]
    return out


def _rows(ranking: Sequence[Ranked]) -> list[str]:
    money = [
        f"{'>= ' if r.at_least else ''}{usd(r.monthly_usd.expected)} + "
        f"{usd(r.people_monthly_usd)} people"
        for r in ranking
    ]
    width = max(map(len, money))
    return [
        f"  {rank:>2}. {r.option:<21} {r.kind:<11} score {r.score:.3f}  {said:<{width}}  "
        f"{_response(r):>9}  {size_of(r)}"
        for rank, (r, said) in enumerate(zip(ranking, money, strict=True), start=1)
    ]


def _response(r: Ranked) -> str:
    return f"{r.p95_ms:,.0f} ms" if r.p95_ms is not None else duration(r.finish_h or 0.0)


def _purchase(choice: PurchaseChoice) -> str:
    if choice.monthly_usd is None:
        return f"  {choice.choice:<10} {'-':>10}  {choice.because}"
    saves = f"saves {choice.saving_percent:.1f} %" if choice.saving_percent else ""
    pays = (
        f", pays from {choice.break_even_months:.1f} months of use on"
        if choice.break_even_months is not None
        else ""
    )
    least = ">= " if choice.at_least else ""
    bill = f"{least + usd(choice.monthly_usd):>10}"
    return f"  {choice.choice:<10} {bill}  {choice.purchase}  {saves}{pays}".rstrip()


def _lines(r: Ranked) -> list[str]:
    out = []
    width = max((len(line.name) for line in r.lines), default=0)
    for line in r.lines:
        known = line.unit_price_usd is not None
        price = unit_price(line.unit_price_usd)
        out.append(
            f"  {line.name:<{width}} {quantity(line.quantity):>14} {line.unit:<14} x {price:<14} = "
            f"{usd(line.usd) if known else 'unknown':>9}  "
            f"[{dated(line.as_of) or line.source.removeprefix('unit price unknown: ')}]"
        )
    return out
