"""What is computed aside: each thing has its place on the page, filled in once it is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from advisor.errors import AdvisorError
from advisor.requirements import Requirements
from ui import advice, state
from ui import format as fmt

_WHO, _STOPPED = "_who", "_stopped"
_FIRST_TURN_S, _LONGEST_TURN_S = 0.1, 1.0
_LONG_S = 3.0  # from here on the wait has a clock and a way to stop it


@dataclass(frozen=True)
class Later:
    """A result that is on its way: where it goes and how it is drawn."""

    what: advice.What
    asked: str  # the question itself
    future: Future[Any]
    places: tuple[DeltaGenerator, ...]
    draw: Callable[[Any], None]  # fills the places
    said: str  # what stands in the first place meanwhile


def ask(
    what: advice.What,
    need: Requirements,
    places: tuple[DeltaGenerator, ...],
    draw: Callable[[Any], None],
    said: str,
) -> Later | None:
    """Start a what-if for these places; None when somebody stopped it. Raises BusyError."""
    asked = f"{what} {need.model_dump_json()}"
    if asked in _stopped():
        _not_computed(what, asked, places[0])
        return None
    future = advice.start(what, need, state.policies(), who=who())
    return Later(what, asked, future, places, draw, said)


def clear_rest(elements: int) -> None:
    """Take away what the run before drew further down in this container.

    Streamlit itself does so only at the end of a run, and a run that waits ends late.
    """
    for _ in range(elements):
        st.empty()


def who() -> str:
    """A name for this session, so that what it no longer needs can be given up."""
    name: str = st.session_state.setdefault(_WHO, uuid4().hex)
    return name


def fill_in(things: list[Later]) -> None:
    """Draw each thing once it is there. To be called last: it waits, with the page in place.

    Each turn of the wait lets a new answer interrupt it. (A part of the page that renews itself by
    a timer would report an old address now and then, and so undo an answer.)
    """
    advice.keep_only(who(), [thing.future for thing in things])
    pending = list(things)
    texts = {thing.what: thing.places[0] for thing in things}
    began, turn, long = time.monotonic(), _FIRST_TURN_S, False
    while pending:
        for thing in [t for t in pending if t.future.done()]:
            _draw(thing)
            pending.remove(thing)
        if not pending:
            return
        waited = time.monotonic() - began
        if waited > _LONG_S and not long:
            texts, long = {thing.what: _stoppable(thing) for thing in pending}, True
        clock = f" {waited:.0f} s" if long else ""
        for thing in pending:
            texts[thing.what].markdown(f":material/hourglass_top: :gray[{thing.said}{clock}]")
        wait([thing.future for thing in pending], timeout=turn, return_when=FIRST_COMPLETED)
        turn = min(turn * 1.5, _LONGEST_TURN_S)


def _stoppable(thing: Later) -> DeltaGenerator:
    """The place of a long wait: a text that goes on, and a button that ends it."""
    with thing.places[0].container(horizontal=True, vertical_alignment="center"):
        text = st.empty()
        st.button(
            "Stop", key=f"stop {thing.what}", icon=":material/stop_circle:", type="tertiary",
            on_click=_stopped().add, args=(thing.asked,),
        )  # fmt: skip
    return text


def _not_computed(what: str, asked: str, place: DeltaGenerator) -> None:
    with place.container(horizontal=True, vertical_alignment="center"):
        st.markdown(":gray[Stopped: this was not computed.]", width="content")
        st.button("Compute it", key=f"go on {what}", on_click=_stopped().discard, args=(asked,))


def _stopped() -> set[str]:
    """Questions whose computation somebody stopped in this session."""
    held: set[str] = st.session_state.setdefault(_STOPPED, set())
    return held


def _draw(thing: Later) -> None:
    if thing.future.cancelled():
        _not_computed(thing.what, thing.asked, thing.places[0])
        return
    error = thing.future.exception()
    if error is None:
        thing.draw(thing.future.result())
    elif isinstance(error, AdvisorError):
        for place in thing.places:
            place.empty()
        thing.places[0].warning(
            f"This could not be computed: {fmt.escape(str(error))}. The verdict stands.",
            icon=":material/sync_problem:",
        )
    else:
        raise error
