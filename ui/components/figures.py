"""Every number opens: its formula, what was put in, source, date, certainty; and it can be changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from advisor.explain import HOURS, Figure, Input, explain
from advisor.prices.status import dated
from advisor.recommendation import Ranked
from advisor.requirements import Requirements
from ui import format as fmt
from ui import state, told
from ui.components.opened import unfolded
from ui.questions import Question, questions

_CERTAINTY = {
    "your answer": ":blue-badge[your answer]",
    "default": ":gray-badge[default]",
    "assumed": ":orange-badge[assumed]",
    "published": ":green-badge[published]",
    "computed": ":gray-badge[computed]",
    "unknown": ":red-badge[unknown]",
}


def opener(need: Requirements, ranked: Ranked, figure_id: str, label: str) -> None:
    """A button that opens one figure of an option beside it."""
    opened = st.popover(
        label, type="tertiary", icon=":material/info:", key=f"open {figure_id}", on_change="rerun"
    )
    if opened.open:
        with opened:
            found = next(f for f in explain(need, ranked) if f.id == figure_id)
            body(found, ranked, f"card {figure_id}")


def browser(need: Requirements, ranked: Ranked) -> None:
    """Every figure of an option: choose one and it opens."""
    found = {figure.id: figure for figure in explain(need, ranked)}
    if st.session_state.get("figure") not in found:
        st.session_state.pop("figure", None)
    told.begin("figure", "bill")
    chosen = st.selectbox(
        "Open a figure",
        list(found),
        format_func=lambda key: (
            f"{found[key].name}: {fmt.quantity(found[key].value, found[key].unit)}"
        ),
        key="figure",
        width=520,
    )
    with st.container(border=True):
        body(found[chosen], ranked, "browser")
    with unfolded("All figures as a table", "figures") as is_open:
        if is_open:
            _table(list(found.values()))


def body(figure: Figure, ranked: Ranked, key: str) -> None:
    """One figure, opened."""
    st.markdown(
        f"**{fmt.escape(figure.name)}: {fmt.escape(fmt.quantity(figure.value, figure.unit))}** "
        f"{_CERTAINTY[figure.certainty]}"
    )
    st.markdown(f"= {fmt.escape(figure.formula)}")
    if figure.worked:
        st.markdown(f"= {fmt.escape(figure.worked)}")
    if figure.inputs:
        st.table(
            {
                "What goes in": [fmt.escape(i.name) for i in figure.inputs],
                "Value": [fmt.escape(_shown(i)) for i in figure.inputs],
                "How sure": [_sure(i) for i in figure.inputs],
            },
            border="horizontal",
            hide_index=True,
            alt=f"What goes into {figure.name}",
        )
    when = f" · as of {_when(figure)}" if figure.as_of else ""
    st.markdown(f":gray[Source: {fmt.escape(figure.source)}{fmt.escape(when)}]")
    if figure.note:
        st.markdown(f":gray[{fmt.escape(figure.note)}]")
    for item in figure.inputs:
        if item.field == HOURS:
            _edit_hours(item, ranked.option, key)
        elif item.field is not None and (question := _editable(item.field)) is not None:
            _edit(question, key)


def _editable(path: str) -> Question | None:
    """Assumptions are changed in place; what the short form asks is changed there."""
    question = questions().get(path)
    if question is None or question.kind not in ("number", "integer"):
        return None
    return None if question.ask == "essential" or question.default is None else question


def _edit(question: Question, key: str) -> None:
    held = state.answers().get(question.path)
    is_changed = held != question.default
    widget = f"edit {key} {question.path}"
    told.follow(widget, None if held is None else float(held))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            question.label + (" :blue-badge[changed]" if is_changed else ""),
            min_value=None if question.low is None else float(question.low),
            max_value=None if question.high is None else float(question.high),
            step=_step(float(question.default)),
            format="%g",
            key=widget,
            help=question.help,
            on_change=_take,
            args=(question.path, widget, question.kind == "integer"),
        )
        if is_changed:
            st.button(
                f"Reset to {question.default:g}",
                key=f"reset {key} {question.path}",
                icon=":material/undo:",
                on_click=partial(state.put_changes, [(question.path, question.default)]),
            )


def _edit_hours(item: Input, option: str, key: str) -> None:
    name = "setup_hours" if "set it up" in item.name else "monthly_hours"
    own: dict[str, Any] = (state.answers().get(HOURS) or {}).get(option) or {}
    is_changed = own.get(name) is not None
    widget = f"edit {key} {option} {name}"
    told.follow(widget, float(item.value) if isinstance(item.value, float) else None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            item.name.partition(" (")[0] + (" :blue-badge[changed]" if is_changed else ""),
            min_value=0.0,
            max_value=1000.0 if name == "monthly_hours" else 10_000.0,
            step=1.0,
            format="%g",
            key=widget,
            help="Assumed by the product; your own figure counts as given.",
            on_change=_take_hours,
            args=(option, name, widget),
        )
        if is_changed:
            st.button(
                "Reset",
                key=f"reset {key} {option} {name}",
                icon=":material/undo:",
                on_click=_put_hours,
                args=(option, name, None),
            )


def _take(path: str, widget: str, whole: bool) -> None:
    value = st.session_state.get(widget)
    if value is not None and told.is_click(widget):
        state.put_changes([(path, int(value) if whole else value)])


def _take_hours(option: str, name: str, widget: str) -> None:
    value = st.session_state.get(widget)
    if value is not None and told.is_click(widget):
        _put_hours(option, name, value)


def _put_hours(option: str, name: str, value: float | None) -> None:
    """The team's own hours for an option; without any of its own the product's count again."""
    held: dict[str, Any] = dict(state.answers().get(HOURS) or {})
    hours: dict[str, Any] = {"monthly_hours": None, "setup_hours": None}
    hours |= held.pop(option, None) or {}
    hours[name] = value
    if any(v is not None for v in hours.values()):
        held[option] = hours
    state.put_changes([(HOURS, held)])


def _table(figures: Sequence[Figure]) -> None:
    st.table(
        {
            "Figure": [fmt.escape(f.name) for f in figures],
            "Value": [fmt.escape(fmt.quantity(f.value, f.unit)) for f in figures],
            "How": [fmt.escape(f.worked or f.formula) for f in figures],
            "Source": [fmt.linked(f.source) for f in figures],
            "As of": [_when(f) for f in figures],
        },
        border="horizontal",
        hide_index=True,
        alt="Every figure of this option",
    )


def _shown(item: Input) -> str:
    if isinstance(item.value, str):
        return fmt.name(item.value)
    if item.value is None:
        return "unknown" if item.certainty == "unknown" else "not given"
    return fmt.quantity(item.value, item.unit)


def _sure(item: Input) -> str:
    where = f" {fmt.linked(item.source)}" if item.source else ""
    said = _when(item)
    when = f" ({said})" if said and said not in item.source else ""
    return f"{_CERTAINTY[item.certainty]}{where}{when}"


def _when(figure: Figure | Input) -> str:
    """The date, with its mark where it is that of a stale price."""
    is_price = figure.unit.startswith("USD") and figure.certainty != "assumed"
    return dated(figure.as_of) if is_price else figure.as_of


def _step(typical: float) -> float:
    return 0.05 if typical < 1 else 0.5 if typical <= 5 else 5.0
