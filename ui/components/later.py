"""What is computed aside: each thing has its place on the page, filled in once it is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from advisor.errors import AdvisorError
from advisor.requirements import Requirements
from ui import advice, doorbell, state
from ui import format as fmt
from ui.workers import BusyError

_WHO, _STOPPED, _SHAPES = "_who", "_stopped", "_shapes"
_IDLE_S = 0.4  # who answers on sooner than that looks at the verdict, not at what would change it
# A new answer rings and so does a result; where nothing rings (as in a test) a wait looks this often.
_LOOK_WITHOUT_BELL_S = 0.1
_LONG_S = 3  # from here on the wait has a clock and a way to stop it
_TICK_S = 5  # of that clock: each of its texts is sent to the browser
_AFTER_S = 0.02  # a clock is looked at after its second, not before


@dataclass(frozen=True)
class Later:
    """A result that is on its way: where it goes and how it is drawn."""

    what: advice.What
    need: Requirements
    future: Future[Any] | None  # None: not begun
    places: tuple[DeltaGenerator, ...]
    draw: Callable[[Any], None]  # fills the places
    said: str  # what stands in the first place meanwhile

    @property
    def asked(self) -> str:
        """The question itself."""
        return _question(self.what, self.need)


def ask(
    what: advice.What,
    need: Requirements,
    places: tuple[DeltaGenerator, ...],
    draw: Callable[[Any], None],
    said: str,
) -> Later | None:
    """A what-if for these places, to be begun by `fill_in`; None when somebody stopped it."""
    asked = _question(what, need)
    if asked in _stopped():
        _not_computed(what, asked, places[0])
        return None
    known = advice.known(what, need, state.policies(), who=who())
    return Later(what, need, known, places, draw, said)


def clear_rest(elements: int) -> None:
    """Take away what the run before drew further down in this container.

    Streamlit itself does so only at the end of a run, and a run that waits ends late.
    """
    for _ in range(elements):
        st.empty()


def begin_shape(place: str, shape: object) -> None:
    """Before a part of the page is drawn: which of its layouts it has this time."""
    st.session_state.setdefault(f"{_SHAPES} {place}", set()).add(shape)


def clear_other_shapes(place: str, shape: object, elements: int) -> None:
    """After it was drawn: as `clear_rest`, where another layout stood there before.

    Also one whose run was interrupted. Most runs draw what was there, and clear nothing.
    """
    drawn: set[object] = st.session_state.setdefault(f"{_SHAPES} {place}", set())
    if drawn != {shape}:
        clear_rest(elements)
        st.session_state[f"{_SHAPES} {place}"] = {shape}


def who() -> str:
    """A name for this session, so that what it no longer needs can be given up."""
    name: str = st.session_state.setdefault(_WHO, uuid4().hex)
    return name


def fill_in(things: list[Later]) -> None:
    """Draw each thing once it is there. To be called last: it waits, with the page in place.

    What nobody asked before begins once the page was idle for a moment. A new answer interrupts the
    wait. (A part of the page that renews itself by a timer would report an old address now and
    then, and so undo an answer.)
    """
    advice.keep_only(who(), [thing.future for thing in things if thing.future])
    began, said = time.monotonic(), -1
    pending = _drawn(things)
    texts = {thing.what: thing.places[0] for thing in pending}
    for thing in pending:
        texts[thing.what].markdown(_waiting(thing))
    key = st.context.headers.get(doorbell.KEY)
    bell = doorbell.bell(key) or threading.Event()
    _ring_when_done(pending, bell)
    while pending:
        bell.clear()  # before the looks: what happens after them rings again
        _let_in()
        pending = _drawn(pending)
        waited = time.monotonic() - began
        if waited >= _IDLE_S:
            pending = _begun(pending, bell)
        if waited > _LONG_S and int(waited) // _TICK_S > said:
            if said < 0:
                texts = {thing.what: _stoppable(thing) for thing in pending}
            said = int(waited) // _TICK_S
            for thing in pending:
                texts[thing.what].markdown(f"{_waiting(thing)} :gray[{int(waited)} s]")
        if pending:
            rings = doorbell.bell(key) is bell  # no more once the connection was cut and made anew
            soon = _until_next(time.monotonic() - began)
            bell.wait(soon if rings else min(soon, _LOOK_WITHOUT_BELL_S))


def _until_next(waited: float) -> float:
    """Seconds until something is to be done that nothing rings for: to begin, to go on with the clock.

    A hundred sessions that wait would otherwise take a good part of the interpreter by looking.
    """
    if waited < _IDLE_S:
        return _IDLE_S - waited
    if waited < _LONG_S:
        return _LONG_S - waited + _AFTER_S
    return _TICK_S - waited % _TICK_S + _AFTER_S


def _ring_when_done(things: list[Later], bell: threading.Event) -> None:
    for thing in things:
        if thing.future is not None:
            thing.future.add_done_callback(lambda _: bell.set())


def _drawn(things: list[Later]) -> list[Later]:
    """Draw what is there; the rest."""
    rest = []
    for thing in things:
        if thing.future is not None and thing.future.done():
            _draw(thing, thing.future)
        else:
            rest.append(thing)
    return rest


def _begun(things: list[Later], bell: threading.Event) -> list[Later]:
    """All of them under way; without those that the workers do not take."""
    out = []
    for thing in things:
        if thing.future is None:
            try:
                future = advice.start(thing.what, thing.need, state.policies(), who=who())
            except BusyError as error:
                thing.places[0].warning(
                    fmt.escape(str(error)), icon=":material/hourglass_disabled:"
                )
                continue
            thing = replace(thing, future=future)
            _ring_when_done([thing], bell)
        out.append(thing)
    return out


def _let_in() -> None:
    """Let an answer that was given meanwhile interrupt the wait: Streamlit looks when this is read."""
    st.session_state.get(_WHO)


def _question(what: advice.What, need: Requirements) -> str:
    return f"{what} {need.model_dump_json()}"


def _waiting(thing: Later) -> str:
    return f":material/hourglass_top: :gray[{thing.said}]"


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


def _draw(thing: Later, future: Future[Any]) -> None:
    if future.cancelled():
        _not_computed(thing.what, thing.asked, thing.places[0])
        return
    error = future.exception()
    if error is None:
        thing.draw(future.result())
    elif isinstance(error, AdvisorError):
        for place in thing.places:
            place.empty()
        thing.places[0].warning(
            f"This could not be computed: {fmt.escape(str(error))}. The verdict stands.",
            icon=":material/sync_problem:",
        )
    else:
        raise error
