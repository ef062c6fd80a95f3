"""What is computed aside: each thing has its place on the page, filled in once it is there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from advisor.errors import AdvisorError
from ui import advice
from ui import format as fmt

_WHO = "_who"
_FIRST_TURN_S, _LONGEST_TURN_S = 0.1, 1.0


@dataclass(frozen=True)
class Later:
    """A result that is on its way: where it goes and how it is drawn."""

    future: Future[Any]
    places: tuple[DeltaGenerator, ...]
    draw: Callable[[Any], None]  # fills the places
    said: str  # what stands in the places meanwhile


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
    turn = _FIRST_TURN_S
    while pending:
        for thing in [t for t in pending if t.future.done()]:
            _draw(thing)
            pending.remove(thing)
        if not pending:
            return
        for thing in pending:
            thing.places[0].markdown(f":material/hourglass_top: :gray[{thing.said}]")
        wait([thing.future for thing in pending], timeout=turn, return_when=FIRST_COMPLETED)
        turn = min(turn * 1.5, _LONGEST_TURN_S)


def _draw(thing: Later) -> None:
    if thing.future.cancelled():
        thing.places[0].markdown(":gray[This was given up; change an answer to ask again.]")
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
