"""The record as a row of blocks: headings, paragraphs, lists, tables, code; still without a format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from advisor.catalog.loader import load_options
from advisor.prices.status import dated
from advisor.recommendation import Excluded, Ranked, Recommendation
from advisor.record.content import RecordText
from advisor.record.words import money_range, quantity, unit_price, usd
from advisor.requirements import Requirements, dumps
from advisor.ruled_out import among_the_asked, not_asked_for


@dataclass(frozen=True)
class Heading:
    level: int  # 1 is the title
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Cells of plain text; numbers are set to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()  # columns of numbers
    shares: tuple[int, ...] = ()  # of the width, where a page has one


@dataclass(frozen=True)
class Bar:
    """One bar: its parts' amounts, and the same in words."""

    name: str
    values: tuple[float, ...]
    said: str
    cells: tuple[str, ...]  # where a table is written instead


@dataclass(frozen=True)
class Bars:
    """Amounts side by side: a chart where there is paper, else a table."""

    parts: tuple[str, ...]  # what the values of a bar are
    columns: tuple[str, ...]  # the name and the cells
    rows: tuple[Bar, ...]

    @property
    def table(self) -> Table:
        rows = tuple((row.name, *row.cells) for row in self.rows)
        return Table(self.columns, rows, right=tuple(range(1, len(self.columns))))


@dataclass(frozen=True)
class Code:
    text: str
    language: Literal["yaml"] = "yaml"


Block = Heading | Paragraph | Bullets | Table | Bars | Code


def blocks(need: Requirements, answer: Recommendation, said: RecordText) -> Iterator[Block]:
    """The sections in MADR's order, under its headings."""
    yield Heading(1, said.title)
    yield Heading(2, "Context and Problem Statement")
    yield Paragraph(said.context)
    yield from (Paragraph(line) for line in said.notes.splitlines() if line.strip())
    yield Heading(2, "Decision Drivers")
    yield Bullets(said.drivers)
    yield Heading(2, "Considered Options")
    yield Bullets(said.considered)
    yield Heading(2, "Decision Outcome")
    yield Paragraph(said.outcome)
    if said.conflicts:
        yield Paragraph("These cannot be had together:")
        yield Bullets(said.conflicts)
    if not answer.ranking:
        yield Paragraph("The smallest changes that would help:")
    yield Bullets(said.outcome_figures)
    if answer.ranking:
        yield Heading(3, "Consequences")
        yield Bullets(_for_and_against(said.good, said.bad))
        yield Heading(3, "Confirmation")
        yield Bullets(said.confirmation)
    yield Heading(3, "When to Look Again")
    yield Bullets(said.look_again)
    if answer.ranking:
        yield Heading(2, "Pros and Cons of the Options")
        yield Paragraph("What each costs a month, in the order of the ranking:")
        yield _costs(answer)
        for option, ranked in zip(said.options, answer.ranking, strict=True):
            yield Heading(3, option.name)
            yield Paragraph(option.figures)
            yield Bullets(_for_and_against(option.good, option.bad))
            yield _bill(ranked, said.date)
    if answer.excluded:
        yield Heading(2, "Ruled Out")
        if shown := among_the_asked(answer):
            yield _ruled_out(shown)
        if elsewhere := not_asked_for(answer):
            yield Paragraph(f"{elsewhere}.")
    yield from _more(need, answer, said)


def _for_and_against(good: tuple[str, ...], bad: tuple[str, ...]) -> tuple[str, ...]:
    """MADR's "Good, because …" and "Bad, because …"."""
    return (*(f"Good, because {x}" for x in good), *(f"Bad, because {x}" for x in bad)) or (
        "none that the rules name",
    )


def _costs(answer: Recommendation) -> Bars:
    return Bars(
        parts=("Cloud bill", "People's time"),
        columns=("Option", "Cloud bill", "People's time", "Together"),
        rows=tuple(
            Bar(
                ranked.name,
                (ranked.monthly_usd.expected, ranked.people_monthly_usd),
                f"{_least(ranked)}{usd(ranked.monthly_usd.expected)} + "
                f"{usd(ranked.people_monthly_usd)} = {usd(ranked.total_monthly_usd)}",
                (
                    money_range(ranked),
                    usd(ranked.people_monthly_usd),
                    f"{_least(ranked)}{usd(ranked.total_monthly_usd)}",
                ),
            )
            for ranked in answer.ranking
        ),
    )


def _least(ranked: Ranked) -> str:
    return "at least " if ranked.at_least else ""


def _bill(option: Ranked, today: date) -> Table:
    return Table(
        ("Line", "Quantity", "Unit", "Unit price", "A month", "Price of"),
        tuple(
            (
                line.name,
                quantity(line.quantity),
                line.unit,
                unit_price(line.unit_price_usd),
                "unknown" if line.unit_price_usd is None else usd(line.usd),
                dated(line.as_of, today),
            )
            for line in option.lines
        ),
        right=(1, 3, 4),
        shares=(26, 12, 14, 13, 9, 26),
    )


def _ruled_out(shown: Sequence[Excluded]) -> Table:
    names = {option.id: option.name for option in load_options().values()}
    return Table(
        ("Option", "Because", "Rule", "Source"),
        tuple((names.get(e.option, e.option), e.because, e.rule, e.source) for e in shown),
        shares=(20, 34, 14, 32),
    )


def _more(need: Requirements, answer: Recommendation, said: RecordText) -> Iterator[Block]:
    yield Heading(2, "More Information")
    if said.warnings:
        yield Bullets(said.warnings)
    yield Paragraph(
        f"Prices as of {dated(answer.prices_as_of, said.date)}. Every figure is an estimate, not "
        "a quote."
    )
    yield Heading(3, "Assumptions")
    yield Bullets(said.assumptions)
    if said.sources:
        yield Heading(3, "Sources")
        yield Bullets(said.sources)
    yield Heading(3, "Requirements")
    yield Paragraph("As the advisor reads them back; what is not listed has its default.")
    yield Code(dumps(need))
