"""One question of the form: the widget that suits its kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache, partial
from typing import Any

import streamlit as st

from advisor.requirements import HOURS_IN_WEEK
from ui import format as fmt
from ui import state
from ui.answers import starting_answers
from ui.questions import Question, questions
from ui.told import begin
from ui.turns import TURNS

Choices = Mapping[str, Callable[[], Mapping[str, str]]]  # options that are data, with labels

SEGMENTS_AT_MOST = 4
_IN_WORDS = 100_000  # from here on a number is also said in words


def ask(question: Question, choices: Choices) -> None:
    """Draw the widget for a question, and keep what it gives."""
    TURNS.give_way()
    answer = state.answers().get(question.path, question.default)
    if question.kind == "hours":
        _hours(question, answer, choices)
        return
    if question.path in choices and question.kind == "text":
        _one_of_data(question, answer, choices[question.path]())
        return
    if question.path in choices:
        _several(question, answer, tuple(choices[question.path]()))
        return
    _WIDGETS[question.kind](question, answer)


def _number(question: Question, answer: Any) -> None:
    if question.low == 0 and question.high == 5:
        begin(question.path, float(answer))
        value: Any = st.slider(
            question.label, 0.0, 5.0, step=0.5, key=question.path, help=question.help, format="%g"
        )
        state.saw(question.path, value)
        return
    whole = question.kind == "integer"
    convert: Any = int if whole else float
    step: Any = 1 if whole else _step(question.path)
    start: Any = None if question.optional else "min"
    begin(question.path, None if answer is None else convert(answer))
    # Only what is said in words below needs a place for both: each element is a message to send.
    place = nullcontext() if whole or (answer or 0) < _IN_WORDS else st.container(gap="small")
    with place:
        _number_box(question, convert, step, start)


def _number_box(question: Question, convert: Any, step: Any, start: Any) -> None:
    value = st.number_input(
        question.label,
        min_value=None if question.low is None else convert(question.low),
        max_value=None if question.high is None else convert(question.high),
        value=start,
        step=step,
        format="%d" if convert is int else "%g",
        key=question.path,
        help=question.help,
        placeholder="not given" if question.optional else None,
    )
    if isinstance(value, float) and value >= _IN_WORDS:
        st.markdown(f":gray[= {fmt.count(value)}]")
    state.saw(question.path, value)


def _switch(question: Question, answer: Any) -> None:
    begin(question.path, bool(answer))
    value = st.toggle(question.label, key=question.path, help=question.help)
    state.saw(question.path, value)


def _choice(question: Question, answer: Any) -> None:
    begin(question.path, answer)
    if len(question.options) <= SEGMENTS_AT_MOST:
        value = st.segmented_control(
            question.label,
            question.options,
            format_func=fmt.name,
            key=question.path,
            help=question.help,
            required=True,
            width="stretch",
        )
    else:
        value = st.selectbox(
            question.label,
            question.options,
            format_func=fmt.name,
            key=question.path,
            help=question.help,
        )
    state.saw(question.path, value)


def _week(question: Question, answer: Any) -> None:
    """A named pattern, or the 168 numbers that a file or a link brought."""
    if isinstance(answer, list):
        st.session_state[state.WEEK] = answer
    options = list(question.options)
    if state.WEEK in st.session_state:
        options.append(state.OWN_WEEK)
    begin(question.path, state.OWN_WEEK if isinstance(answer, list) else answer)
    value = st.selectbox(
        question.label,
        options,
        format_func=lambda v: (
            f"Your {HOURS_IN_WEEK} numbers" if v == state.OWN_WEEK else fmt.name(v)
        ),
        key=question.path,
        help=question.help + " The numbers come in with a file of answers or of measured traffic.",
    )
    state.saw(question.path, value)


def _text(question: Question, answer: Any) -> None:
    begin(question.path, answer or "")
    value = st.text_input(
        question.label, key=question.path, help=question.help, placeholder="not given"
    )
    state.saw(question.path, value)


def _one_of_data(question: Question, answer: Any, options: Mapping[str, str]) -> None:
    known = list(options) if answer in (None, *options) else [*options, answer]
    begin(question.path, answer)
    value = st.selectbox(
        question.label,
        known,
        index=None,
        format_func=lambda value: options.get(value, value),
        key=question.path,
        help=question.help,
        placeholder="not given",
    )
    state.saw(question.path, value)


def _several(question: Question, answer: Any, options: tuple[str, ...]) -> None:
    known = [*options, *(a for a in answer or [] if a not in options)]
    begin(question.path, list(answer or []))
    value = st.multiselect(
        question.label,
        known,
        format_func=fmt.name if question.kind == "choices" else str,
        key=question.path,
        help=question.help,
    )
    state.saw(question.path, value)


def _hours(question: Question, answer: Any, choices: Choices) -> None:
    """Own hours for one option at a time: few teams change more than one or two."""
    st.markdown(f"**{question.title}**", help=question.help)
    held: dict[str, Any] = dict(answer or {})
    for option, hours in held.items():
        left, right = st.columns([4, 1], vertical_alignment="center")
        monthly, setup = hours.get("monthly_hours"), hours.get("setup_hours")
        said = [f"{monthly:g} h a month"] if monthly is not None else []
        said += [f"{setup:g} h to set up"] if setup is not None else []
        left.markdown(f"{fmt.escape(option)}: {', '.join(said) or 'as assumed'}")
        right.button(
            ":material/delete:",
            key=f"drop {option}",
            help=f"Go back to the product's own hours for {option}",
            on_click=partial(_set_hours, question.path, option, None),
        )
    options = choices[question.path]()
    chosen = st.selectbox(
        "Give hours for",
        list(options),
        index=None,
        format_func=lambda value: options.get(value, value),
        key="hours_option",
        placeholder="choose an option",
    )
    if chosen is None:
        return
    left, right = st.columns(2)
    monthly = left.number_input(
        "Hours a month", 0.0, 1000.0, value=None, step=1.0, format="%g", key="hours_monthly"
    )
    setup = right.number_input(
        "Hours to set up", 0.0, 10_000.0, value=None, step=1.0, format="%g", key="hours_setup"
    )
    st.button(
        "Use these hours",
        disabled=monthly is None and setup is None,
        on_click=partial(_use_hours, question.path),
    )


def _use_hours(path: str) -> None:
    # Asked now: the click may come before a run has drawn what was typed just before it.
    chosen = st.session_state.get("hours_option")
    monthly, setup = (st.session_state.get(key) for key in ("hours_monthly", "hours_setup"))
    if chosen is not None and (monthly, setup) != (None, None):
        _set_hours(path, chosen, {"monthly_hours": monthly, "setup_hours": setup})


def _set_hours(path: str, option: str, hours: dict[str, Any] | None) -> None:
    held = dict(state.answers().get(path) or {})
    held.pop(option, None)
    if hours is not None:
        held[option] = hours
    state.put_changes([(path, held)])
    for key in ("hours_option", "hours_monthly", "hours_setup"):
        st.session_state.pop(key, None)


@cache
def _step(path: str) -> float:
    """A step that suits the size of the number; constant, or the widget would start anew."""
    question = questions()[path]
    typical = question.default if question.default is not None else starting_answers().get(path)
    if not typical:
        return 1.0
    if question.unit == "%":
        return 0.1
    power = math.floor(math.log10(abs(float(typical))))
    finer = 2 if power >= 5 else 1 if power >= 1 else 0
    return float(10.0 ** (power - finer))


_WIDGETS: dict[str, Callable[[Question, Any], None]] = {
    "number": _number,
    "integer": _number,
    "switch": _switch,
    "choice": _choice,
    "choices": lambda question, answer: _several(question, answer, question.options),
    "texts": lambda question, answer: _several(question, answer, ()),
    "week": _week,
    "text": _text,
}
