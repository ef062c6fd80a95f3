"""The best managed option beside the best self-hosted one."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from advisor.catalog.loader import option as catalog_option
from advisor.recommendation import Ranked, Recommendation
from advisor.requirements import Mode, Requirements
from ui import format as fmt
from ui.components.verdict import KIND_LABEL


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
    rows = [(label, [cell(r) for r in found]) for label, cell in _cells(need)]
    st.table(
        {
            "Compared": [label for label, _ in rows],
            **{name: [cells[i] for _, cells in rows] for i, name in enumerate(names)},
        },
        border="horizontal",
        hide_index=True,
        alt="Best managed option against best self-hosted option",
    )


def _cells(need: Requirements) -> list[tuple[str, Callable[[Ranked], str]]]:
    waits = need.traffic.mode is Mode.realtime
    speed = f"p{need.service.percentile:g} response" if waits else "Finished after"
    return [
        ("Cloud bill a month", _bill),
        ("People's time a month", _people),
        ("Total a month", lambda r: f"**{fmt.escape(_together(r))}**"),
        (speed, (lambda r: fmt.milliseconds(r.p95_ms)) if waits else _finish),
        ("Control", lambda r: _level(r, "control")),
        ("The provider takes care of", lambda r: _list(catalog_option(r.option).operates.provider)),
        ("You take care of", lambda r: _list(catalog_option(r.option).operates.you)),
        ("Who patches", lambda r: fmt.escape(catalog_option(r.option).text("patching"))),
        ("Hours to set up", lambda r: fmt.escape(fmt.hours(r.people.setup_hours))),
        ("Until it runs", _launch),
        ("Lock-in", _lock_in),
    ]


def _bill(ranked: Ranked) -> str:
    expected = fmt.usd(ranked.monthly_usd.expected, at_least=ranked.at_least)
    return fmt.escape(f"{expected} ({fmt.usd_range(ranked.monthly_usd)})")


def _people(ranked: Ranked) -> str:
    people = ranked.people
    return fmt.escape(f"{fmt.usd(ranked.people_monthly_usd)}, {fmt.hours(people.monthly_hours)}")


def _together(ranked: Ranked) -> str:
    return fmt.usd(ranked.total_monthly_usd, at_least=ranked.at_least)


def _finish(ranked: Ranked) -> str:
    return "–" if ranked.finish_h is None else fmt.duration_s(ranked.finish_h * 3600)


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
