"""The questionnaire: one widget for each question, built from the fields of the requirements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import streamlit as st

from ui import format as fmt
from ui import state
from ui.answers import encode, is_asked
from ui.components import later, measurement, traffic_file
from ui.components.question import SEGMENTS_AT_MOST, Choices, ask
from ui.questions import Question, questions, section_help
from ui.steps import STEPS, within

ALL, STEPWISE = "All at once", "Step by step"
_FORM = "form"
MORE = "more_detail"
_STEP = "_step"
_OPEN = "_more_open"
_LAYOUT = "_form_layout"
_MOST_ROWS = 40  # more than any layout of the form has


def show(choices: Choices) -> None:
    """The questions: all at once for those who know their way, or one topic at a time."""
    chosen = st.segmented_control(
        "Ask me",
        (ALL, STEPWISE),
        default=ALL,
        key=_FORM,
        required=True,
        persist_state="session",
        label_visibility="collapsed",
        width="stretch",
        help="Step by step asks one topic at a time; the answers are the same.",
    )
    layout = st.session_state.get(_STEP, 0) if chosen == STEPWISE else ALL
    if chosen == STEPWISE:
        one_step(choices)
    else:
        essential(choices)
        detail(choices)
    if layout != st.session_state.get(_LAYOUT, layout):
        later.clear_rest(_MOST_ROWS)
    st.session_state[_LAYOUT] = layout


def one_step(choices: Choices) -> None:
    """One topic, with the way on and back; the verdict stands beside it all the while."""
    at = within(st.session_state.get(_STEP, 0))
    step = STEPS[at]
    st.progress((at + 1) / len(STEPS), text=f"Step {at + 1} of {len(STEPS)}: {step.title}")
    st.markdown(step.why)
    held = state.answers()
    short, rest = step.asked(held, essential=True), step.asked(held, essential=False)
    for row in _rows(short or rest):
        _row(row, choices)
    if short and rest:
        title = "More detail (all of it has defaults)"
        _more(f"more in step {at}", title, "", rest, choices)
    last = at == len(STEPS) - 1
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.button(
            "Back", key="step_back", icon=":material/arrow_back:", disabled=at == 0,
            on_click=_go_to, args=(at - 1,),
        )  # fmt: skip
        st.button(
            "Start over" if last else f"Next: {STEPS[at + 1].title}",
            key="step_next",
            type="secondary" if last else "primary",
            icon=":material/replay:" if last else ":material/arrow_forward:",
            icon_position="right",
            on_click=_go_to,
            args=(0 if last else at + 1,),
        )
    if last:
        st.markdown("That was all. The verdict beside the questions holds all your answers.")


def _go_to(step: int) -> None:
    st.session_state[_STEP] = within(step)


def essential(choices: Choices) -> None:
    """The short form: what a verdict needs."""
    section = ""
    for row in _rows(q for q in _asked() if q.ask == "essential"):
        if row[0].section != section:
            section = row[0].section
            st.markdown(f"**{section_help(section).rstrip('.')}**")
            if section == "model":
                measurement.note()
        _row(row, choices)


def detail(choices: Choices) -> None:
    """Everything else, a section at a time; all of it has defaults, so all of it is folded away."""
    given = encode(state.answers())
    rest = [q for q in _asked() if q.ask != "essential"]
    count = sum(q.path in given for q in rest)
    said = f"{count} changed" if count else "all of it has defaults"
    with st.container(key="more-detail", gap="small"):
        if st.toggle(f"More detail ({said})", key=MORE, persist_state="session"):
            _sections(rest, given, choices)


def _sections(rest: list[Question], given: Mapping[str, str], choices: Choices) -> None:
    for section in dict.fromkeys(q.section for q in rest):
        asked = [q for q in rest if q.section == section]
        if not asked:
            continue
        title = _section_title(section, asked, given)
        _more(f"more {section}", title, section_help(section), asked, choices)


def _more(key: str, title: str, said: str, asked: list[Question], choices: Choices) -> None:
    """Questions that are drawn only while they are looked at: most are never touched."""
    kept: set[str] = st.session_state.setdefault(_OPEN, set())
    opened = st.expander(title, key in kept, type="compact", key=key, on_change="rerun")
    if not opened.open:
        kept.discard(key)
        return
    kept.add(key)  # and still open when one comes back from another page
    with opened:
        if said:
            st.markdown(said)
        for row in _rows(asked):
            _row(row, choices)


def _asked() -> list[Question]:
    held = state.answers()
    return [q for q in questions().values() if is_asked(q, held)]


def _section_title(section: str, asked: list[Question], given: Mapping[str, str]) -> str:
    count = sum(q.path in given for q in asked)
    return f"{fmt.name(section)} · {count} changed" if count else fmt.name(section)


def _rows(asked: Iterable[Question]) -> Iterator[list[Question]]:
    """Questions in rows: narrow ones in pairs, wide ones alone."""
    pending: list[Question] = []
    for question in asked:
        if pending and (question.section != pending[0].section or not _narrow(question)):
            yield pending
            pending = []
        if not _narrow(question):
            yield [question]
            continue
        pending.append(question)
        if len(pending) == 2:
            yield pending
            pending = []
    if pending:
        yield pending


def _narrow(question: Question) -> bool:
    if question.kind in ("number", "integer", "week"):
        return True
    return question.kind == "choice" and len(question.options) > SEGMENTS_AT_MOST


def _row(row: list[Question], choices: Choices) -> None:
    if len(row) == 1:
        ask(row[0], choices)
    else:
        with st.grid(2, min_column_width=165):
            for question in row:
                ask(question, choices)
    if any(question.kind == "week" for question in row):
        traffic_file.show()  # below the row: half a column is too narrow for a chart
