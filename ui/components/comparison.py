"""The best managed option beside the best self-hosted one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import streamlit as st

from advisor.catalog.loader import option as catalog_option
from advisor.catalog.schema import Operates
from advisor.recommendation import Ranked, Recommendation
from advisor.requirements import Mode, Requirements
from ui import format as fmt
from ui.components.verdict import KIND_LABEL


@dataclass(frozen=True)
class Row:
    """One line of the table; `size` says which of two is better (the smaller), None: no say."""

    label: str
    cell: Callable[[Ranked], str]
    size: Callable[[Ranked], float | None] | None = None


def side_by_side(need: Requirements, answer: Recommendation) -> None:
    """Money, people, speed and duties of the two, as a table; says so when one kind is missing."""
    st.subheader("Best managed against best self-hosted", anchor=False)
    found = [ranked for ranked in (answer.best("managed"), answer.best("self-hosted")) if ranked]
    if len(found) < 2:
        missing = "self-hosted" if found[0].kind == "managed" else "managed"
        st.markdown(
            f":gray[No {missing} option meets these answers, so there is only one column; see "
            "*Ruled out* for the reasons.]"
        )
    names = [f"{KIND_LABEL[r.kind].capitalize()}: {fmt.escape(r.name)}" for r in found]
    table = [(row.label, _cells(row, found)) for row in rows(need)]
    st.table(
        pa.table(
            [
                [label for label, _ in table],
                *([cells[i] for _, cells in table] for i in range(len(names))),
            ],
            names=["Compared", *names],
        ),
        border="horizontal",
        hide_index=True,
        alt="Best managed option against best self-hosted option",
    )


def rows(need: Requirements) -> list[Row]:
    """What is compared, in this order."""
    waits = need.traffic.mode is Mode.realtime
    speed = (
        f"p{need.service.percentile:g} response" if waits else fmt.finish_label(need.traffic.mode)
    )
    return [
        Row("Cloud bill a month", _bill, lambda r: r.monthly_usd.expected),
        Row("People's time a month", _people, lambda r: r.people_monthly_usd),
        Row("Total a month", _together, lambda r: r.total_monthly_usd),
        Row(
            speed,
            (lambda r: fmt.milliseconds(r.p95_ms)) if waits else (lambda r: fmt.finish(r.finish_h)),
            (lambda r: r.p95_ms) if waits else (lambda r: r.finish_h),
        ),
        Row("Control", lambda r: _level(r, "control"), lambda r: -_value(r, "control")),
        Row("The provider takes care of", lambda r: _list(_operates(r).provider)),
        Row("You take care of", lambda r: _list(_operates(r).you)),
        Row("Who patches", lambda r: fmt.escape(catalog_option(r.option).text("patching"))),
        Row("Who is paged", lambda r: fmt.escape(_operates(r).paged)),
        Row(
            "Hours to set up",
            lambda r: fmt.escape(fmt.hours(r.people.setup_hours)),
            lambda r: r.people.setup_hours.expected,
        ),
        Row("Until it runs", _launch, lambda r: _value(r, "launch_weeks")),
        Row("Lock-in", _lock_in, lambda r: catalog_option(r.option).number("lock_in")),
        Row("Best in draws", lambda r: fmt.percent(r.best_in_draws), lambda r: -r.best_in_draws),
    ]


def _cells(row: Row, found: list[Ranked]) -> list[str]:
    """The cells of a line; the better of two carries a tick and is bold."""
    cells = [row.cell(ranked) for ranked in found]
    sizes = [row.size(ranked) if row.size else None for ranked in found]
    if len(found) < 2 or any(size is None for size in sizes) or sizes[0] == sizes[1]:
        return cells
    if any(ranked.at_least for ranked in found) and row.label in (
        "Cloud bill a month",
        "Total a month",
    ):
        return cells  # a total of "at least" is better than nothing
    best = 0 if (sizes[0] or 0.0) < (sizes[1] or 0.0) else 1
    cells[best] = f"**{cells[best]}** ✓"
    return cells


def _operates(ranked: Ranked) -> Operates:
    return catalog_option(ranked.option).operates


def _bill(ranked: Ranked) -> str:
    expected = fmt.usd(ranked.monthly_usd.expected, at_least=ranked.at_least)
    return fmt.escape(f"{expected} ({fmt.usd_range(ranked.monthly_usd)})")


def _people(ranked: Ranked) -> str:
    people = ranked.people
    return fmt.escape(f"{fmt.usd(ranked.people_monthly_usd)}, {fmt.hours(people.monthly_hours)}")


def _together(ranked: Ranked) -> str:
    return fmt.escape(fmt.usd(ranked.total_monthly_usd, at_least=ranked.at_least))


def _value(ranked: Ranked, name: str) -> float:
    return catalog_option(ranked.option).level(name)


def _level(ranked: Ranked, name: str) -> str:
    return fmt.escape(catalog_option(ranked.option).levels[name].rationale)


def _launch(ranked: Ranked) -> str:
    level = catalog_option(ranked.option).levels["launch_weeks"]
    weeks = "week" if level.value == 1 else "weeks"
    return fmt.escape(f"about {level.value:g} {weeks}: {level.rationale}")


def _lock_in(ranked: Ranked) -> str:
    fact = catalog_option(ranked.option).fact("lock_in")
    note = f": {fact.note}" if fact.note else ""
    return fmt.escape(f"{fact.shown()} of 5{note}")


def _list(items: tuple[str, ...]) -> str:
    return fmt.escape("; ".join(items)) if items else "nothing"
