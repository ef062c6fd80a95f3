"""The scenarios of this browser tab, and how they meet the address bar.

They belong to the tab, like its answers: two tabs that work on one scenario each have their own copy,
so neither can overwrite the other's. The address carries them, so a refresh, a lost connection and
a second browser find them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from advisor.presets import presets
from ui import state, told
from ui.answers import flatten, same
from ui.scenarios import MOST_KEPT, PREFIX, Kept, from_link, renamed, to_link, unused

_KEPT, _CURRENT = "_scenarios", "_scenario_open"
_NOTES = "_scenario_notes"
_RENAMED = "_scenario_renamed"  # the last one: the name before and the one it has
_WRITTEN, _PUT = "_scenarios_written", "_scenarios_put"


def restore() -> None:
    """At the start of each run: take the scenarios of the address that a session begins with."""
    if _KEPT not in st.session_state:
        _take(_address())


def held() -> list[Kept]:
    """The scenarios of this tab, in the order in which they were kept."""
    restore()
    found: list[Kept] = st.session_state[_KEPT]
    return list(found)


def notes() -> list[str]:
    """What a link said that could not be used."""
    found: list[str] = st.session_state.get(_NOTES, [])
    return found


def current() -> Kept | None:
    """The scenario that was opened or saved last, if it is still kept."""
    name = st.session_state.get(_CURRENT)
    return next((one for one in held() if one.name == name), None)


def is_full() -> bool:
    return len(held()) >= MOST_KEPT


def shown() -> Kept | None:
    """The scenario, or else the example, whose answers are the ones on the page."""
    answers = state.answers()
    examples = (Kept(p.name, flatten(p.requirements)) for p in presets().values())
    return next((one for one in (*held(), *examples) if same(one.answers, answers)), None)


# -- for callbacks ---------------------------------------------------------------------------------


def add(name: str, answers: state.Answers, notes: str = "", *, opened: bool = False) -> None:
    """Keep a copy of the answers; a name that is taken gets a number."""
    one = Kept(unused(name, held()), dict(answers), notes)
    _put([*held(), one][:MOST_KEPT])
    if opened:
        st.session_state[_CURRENT] = one.name


def save_current() -> None:
    """Let the open scenario have the answers that are on the page."""
    name = st.session_state.get(_CURRENT)
    answers = dict(state.answers())
    _put([replace(one, answers=answers) if one.name == name else one for one in held()])


def open_one(name: str) -> None:
    """Put its answers on the page."""
    one = _called(name)
    if one is not None:
        state.put(dict(one.answers))
        st.session_state[_CURRENT] = one.name


def duplicate(name: str) -> None:
    one = _called(name)
    if one is not None:
        add(one.name, one.answers, one.notes)


def rename(old: str, new: str) -> None:
    before = held()
    one = _called(old)
    if one is None:
        return
    drawn, old = old, one.name
    _put(renamed(before, old, new))
    place = [one.name for one in before].index(old)
    st.session_state[_RENAMED] = (drawn, held()[place].name)
    if st.session_state.get(_CURRENT) == old:
        st.session_state[_CURRENT] = held()[place].name


def remove(name: str) -> None:
    gone = _called(name)
    _put([one for one in held() if one is not gone])


def _called(name: str) -> Kept | None:
    """The scenario of this name, or of the one that it had until just before the click.

    None where a second click comes for one that the first has deleted.
    """
    old, new = st.session_state.get(_RENAMED, ("", ""))
    found = {one.name: one for one in held()}
    return found.get(name) or (found.get(new) if name == old else None)


# -- the address -----------------------------------------------------------------------------------


def read_address() -> None:
    """On the page of scenarios: Back and Forward undo and redo what was done to them."""
    given = _address()
    told.take_up()
    ours = st.session_state.pop(_PUT, False) or given == st.session_state.get(_WRITTEN)
    if not ours and state.same_page() and not state.newer_than_address():
        _take(given)


def write_address() -> None:
    """At the end of a page without answers: let the address say the scenarios."""
    link = to_link(held())
    if link != _address():
        st.query_params.from_dict(link)
    st.session_state[_WRITTEN] = link
    state.remember_widgets()
    told.all_told()


def _address() -> dict[str, str]:
    return {k: v for k, v in st.query_params.to_dict().items() if k.startswith(PREFIX)}


def _take(params: dict[str, str]) -> None:
    kept, said = from_link(params)
    st.session_state[_NOTES] = said
    _put(kept)
    st.session_state.pop(_PUT)


def _put(kept: Sequence[Kept]) -> None:
    st.session_state[_KEPT] = list(kept)
    st.session_state[state.BESIDE] = to_link(kept)
    st.session_state[_PUT] = True
