"""The answer: one card with the verdict, its figures, why, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import streamlit as st

from advisor.recommendation import Ranked, Recommendation, Relaxation
from advisor.requirements import Mode, Requirements
from ui import format as fmt
from ui import state
from ui.answers import describe, unit

KIND_LABEL = {"managed": "MANAGED", "self-hosted": "SELF-HOSTED"}
_KIND_COLOR: dict[str, Literal["blue", "green"]] = {"managed": "blue", "self-hosted": "green"}
_KIND_HELP = {
    "managed": "The provider runs the servers that your model is on: hosts, patching, scaling.",
    "self-hosted": "Your image and your server: scaling, monitoring and patching are yours, even "
    "where a provider runs the hosts.",
}
_REASONS = 3


def card(need: Requirements, answer: Recommendation) -> None:
    """The verdict for the winner. For a recommendation without one, see `nothing_fits`."""
    winner = answer.ranking[0]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(
            KIND_LABEL[winner.kind], color=_KIND_COLOR[winner.kind], help=_KIND_HELP[winner.kind]
        )
        confidence(answer)
    st.header(fmt.escape(winner.name), anchor=False)
    st.markdown(f"{fmt.escape(fmt.machine(winner))}")
    figures(need, winner)
    reasons(winner)


def confidence(answer: Recommendation) -> None:
    """How sure the ranking is, as a badge."""
    share = fmt.percent(answer.confidence)
    draws = (
        "Uncertain inputs (service time, volume, hours of people's time) and your priorities were "
        f"redrawn a few thousand times; this option came out first in {share} of the draws."
    )
    if answer.close_call:
        runner = answer.ranking[1].name if len(answer.ranking) > 1 else "another"
        st.badge(
            f"Close call · best in {share} of draws",
            color="orange",
            help=f"{draws} {fmt.escape(runner)} is nearly as good: read both before you decide.",
        )
        return
    st.badge(f"Best in {share} of draws", color="gray", help=draws)


def figures(need: Requirements, ranked: Ranked) -> None:
    """Bill, people's time, total and speed."""
    grid = st.grid(4, min_column_width=140)
    grid.metric(
        "Cloud bill a month",
        fmt.escape(fmt.usd(ranked.monthly_usd.expected)),
        delta=_at_least(ranked) + fmt.escape(fmt.usd_range(ranked.monthly_usd)),
        delta_color="off",
        delta_arrow="off",
        help="Expected, and from low to high. Every line of it is under *Cost*.",
    )
    grid.metric(
        "People's time a month",
        fmt.escape(fmt.usd(ranked.people_monthly_usd)),
        delta=fmt.escape(fmt.hours(ranked.people.monthly_hours)),
        delta_color="off",
        delta_arrow="off",
        help="Assumed hours to run it and a twelfth of the set-up hours, at your hourly cost. Not "
        "part of the bill; the hours can be changed under *Team*.",
    )
    grid.metric(
        "Total a month",
        fmt.escape(fmt.usd(ranked.total_monthly_usd)),
        delta=_at_least(ranked) + "bill and people",
        delta_color="off",
        delta_arrow="off",
        help="Cloud bill and people's time.",
    )
    label, value, note, why = _speed(need, ranked)
    grid.metric(label, value, delta=note, delta_color="off", delta_arrow="off", help=why)


def reasons(ranked: Ranked) -> None:
    """The strongest reasons for, and the strongest warning."""
    lines = [f"- {fmt.escape(reason.because)}" for reason in ranked.reasons[:_REASONS]]
    if lines:
        st.markdown("**Because**\n" + "\n".join(lines))
    if ranked.warnings:
        st.markdown(f":orange[**But**] {fmt.escape(ranked.warnings[0].because)}")


def nothing_fits(answer: Recommendation, names: Mapping[str, str]) -> None:
    """The state in which no option meets the answers: say so, and what would help."""
    st.badge("NOTHING FITS", color="red")
    st.header("No option meets these answers", anchor=False)
    st.markdown(
        f"All {answer.considered} options were looked at. Each is ruled out below with the rule, "
        "its numbers and where the limit comes from."
    )
    ways: dict[str, list[Relaxation]] = {}
    for relaxation in answer.relaxations:
        ways.setdefault("\n".join(_changes(relaxation)), []).append(relaxation)
    if ways:
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
    return fmt.escape(fmt.plain(value) + (unit(path) if number else ""))


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
    finish = "–" if ranked.finish_h is None else fmt.duration_s(ranked.finish_h * 3600)
    return (
        "Finished after",
        finish,
        f"of {fmt.duration_s(need.service.deadline_h * 3600)} allowed",
        "From the request to the answer, or from the start to the end of the run.",
    )
