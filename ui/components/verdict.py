"""The answer: one card with the verdict, its figures, why, and what speaks against it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Literal

import streamlit as st

from advisor import explain
from advisor.arguments import reasons_for, strongest_against
from advisor.certainty import certainty, headline
from advisor.recommendation import Ranked, Recommendation, Relaxation
from advisor.requirements import Mode, Requirements
from advisor.rule_text import spoken
from advisor.whatif import Changes
from ui import format as fmt
from ui import state
from ui.components import figures as opened
from ui.questions import describe, unit

KIND_LABEL = {"managed": "MANAGED", "self-hosted": "SELF-HOSTED"}
_KIND_COLOR: dict[str, Literal["blue", "green"]] = {"managed": "blue", "self-hosted": "green"}
_KIND_HELP = {
    "managed": "The provider runs the servers that your model is on: hosts, patching, scaling.",
    "self-hosted": "Your image and your server: scaling, monitoring and patching are yours, even "
    "where a provider runs the hosts.",
}
_REASONS = 3
_VALUE = re.compile(r" is ([a-z0-9-]+)")
_PATH = re.compile(r"\b[a-z]+\.[a-z0-9_]+\b")  # of a question: control.hosting


def card(need: Requirements, answer: Recommendation) -> None:
    """The verdict for the winner. For a recommendation without one, see `nothing_fits`."""
    winner = answer.ranking[0]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(
            KIND_LABEL[winner.kind], color=_KIND_COLOR[winner.kind], help=_KIND_HELP[winner.kind]
        )
        confidence(answer)
    if answer.close_call and len(answer.ranking) > 1:
        st.markdown(close_call(answer))
    st.header(fmt.escape(winner.name), anchor=False)
    st.markdown(f"{fmt.escape(fmt.machine(winner))}")
    figures(need, winner)
    reasons(need, answer)


def confidence(answer: Recommendation) -> None:
    """How sure the ranking is, as a badge."""
    share = fmt.percent(answer.confidence)
    draws = (
        "Uncertain inputs (service time, volume, hours of people's time) and your priorities were "
        f"redrawn a few thousand times; this option came out first in {share} of the draws."
    )
    said = headline(answer)
    label = said[0].upper() + said[1:]
    if answer.close_call:
        st.badge(label, color="orange", icon=":material/balance:", help=draws)
        return
    st.badge(label, color="gray", help=draws)


def close_call(answer: Recommendation) -> str:
    """Between which two it is close, and by how much: for st.markdown."""
    return fmt.escape(f"{certainty(answer)}. Read both before you decide.")


def figures(need: Requirements, ranked: Ranked) -> None:
    """Bill, people's time, total and speed; each opens."""
    speed, value, note, why = _speed(need, ranked)
    bill, people = ranked.monthly_usd.expected, ranked.people_monthly_usd
    cards = (
        (
            "bill", "Cloud bill a month", fmt.usd(bill),
            _at_least(ranked) + fmt.usd_range(ranked.monthly_usd),
            "Expected, and from low to high. Every line of it is under *Cost*.",
        ),
        (
            "people", "People's time a month", fmt.usd(people),
            fmt.hours(ranked.people.monthly_hours),
            "Assumed hours to run it and a twelfth of the set-up hours, at your hourly cost. Not "
            "part of the bill; open it to change the hours.",
        ),
        (
            "total", "Total a month", fmt.usd(ranked.total_monthly_usd),
            _at_least(ranked) + "bill and people",
            "Cloud bill and people's time.",
        ),
        (explain.speed_id(need, ranked), speed, value, note, why),
    )  # fmt: skip
    grid = st.grid(4, min_column_width=140)
    for figure_id, label, shown, delta, help_text in cards:
        with grid.container(key=f"figure-{figure_id}", gap="xsmall"):
            st.metric(
                label, fmt.escape(shown), delta=fmt.escape(delta), delta_color="off",
                delta_arrow="off", help=help_text,
            )  # fmt: skip
            opened.opener(need, ranked, figure_id, "How it comes about")


def reasons(need: Requirements, answer: Recommendation) -> None:
    """Three reasons for the winner, and the strongest against it."""
    winner = answer.ranking[0]
    lines = [f"- {fmt.escape(r.because)}" for r in reasons_for(need, winner, _REASONS)]
    if lines:
        st.markdown("**Because**\n" + "\n".join(lines))
    against = strongest_against(need, winner, answer)
    if against:
        st.markdown(f":orange[**But**] {fmt.escape(against.because)}")


def nothing_fits(answer: Recommendation) -> None:
    """The state in which no option meets the answers: say so."""
    st.badge("NOTHING FITS", color="red", icon=":material/block:")
    st.header("No option meets these answers", anchor=False)
    st.markdown(
        f"All {answer.considered} options were looked at. Each is ruled out below with the rule, "
        "its numbers and where the limit comes from. Your answers are kept."
    )
    if answer.conflicts:
        lines = "\n".join(f"- {fmt.escape(_sentence(c.because))}" for c in answer.conflicts)
        st.error(f"**These answers cannot be had together**\n{lines}", icon=":material/join_left:")


def _sentence(text: str) -> str:
    """With the questions as the page asks them, in place of their names in the file."""
    said = _VALUE.sub(lambda found: f" is {spoken(found[1])}", text)
    asked = _PATH.sub(lambda found: f"“{describe(found[0])}”", said)
    return f"{asked[:1].upper()}{asked[1:].rstrip('.')}."


def ways_out(found: Changes, names: Mapping[str, str]) -> None:
    """The smallest changes that would make something fit, each as a button that makes it."""
    ways: dict[str, list[Relaxation]] = {}
    for relaxation in found.relaxations:
        ways.setdefault("\n".join(_changes(relaxation)), []).append(relaxation)
    if not ways:
        st.info(
            "No small set of changes was found that would make something fit. The rules below say "
            "what each option would need.",
            icon=":material/search_off:",
        )
        return
    st.markdown("**The smallest changes that would make something fit**")
    for number, (changes, same) in enumerate(ways.items()):
        _way_out(number, changes, same, names)


def _way_out(number: int, changes: str, same: list[Relaxation], names: Mapping[str, str]) -> None:
    """One set of changes, with the options that would fit then."""
    options = " or ".join(fmt.escape(names.get(r.option, r.option)) for r in same)
    several = len(same[0].changes) > 1
    with st.container(border=True):
        st.markdown(f"**{options}** would fit with\n{changes}")
        st.button(
            "Change these answers" if several else "Change this answer",
            key=f"relax {number}",
            type="primary" if number == 0 else "secondary",
            on_click=partial(state.put_changes, [(c.field, c.to) for c in same[0].changes]),
        )


def _changes(relaxation: Relaxation) -> list[str]:
    return [
        f"- *{fmt.escape(describe(change.field))}* {_value(change.field, change.from_)} → "
        f"**{_value(change.field, change.to)}**"
        for change in relaxation.changes
    ]


def _value(path: str, value: object) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    said = fmt.of_one(unit(path)) if value == 1 else unit(path)
    return fmt.escape(fmt.plain(value) + (said if number else ""))


def _at_least(ranked: Ranked) -> str:
    return "at least; " if ranked.at_least else ""


def _speed(need: Requirements, ranked: Ranked) -> tuple[str, str, str, str]:
    if need.traffic.mode is Mode.realtime:
        return (
            f"p{need.service.percentile:g} response",
            fmt.milliseconds(ranked.p95_ms),
            f"of {fmt.milliseconds(need.service.p95_ms)} allowed",
            f"{need.service.percentile:g} % of answers come within this time in the busiest hour, "
            "queueing and cold starts included.",
        )
    collected_h = ranked.sizing.collected_h
    return (
        fmt.finish_label(need.traffic.mode),
        fmt.finish(ranked.finish_h),
        f"of {fmt.finish(need.service.deadline_h)} allowed",
        "From the start to the end of the run, the start of machines included."
        if need.traffic.mode is Mode.batch
        else f"Requests are collected for {fmt.finish(collected_h)}, then a run begins; this is from "
        "the request to the end of its run."
        if collected_h
        else f"{need.service.percentile:g} % of answers come within this time in the slowest hour, "
        "waking and waiting included. What the queue and the storage take to hand over is not.",
    )
