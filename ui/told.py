"""Values that the page gives its widgets, until the browser has surely heard of them.

Streamlit tells the browser a widget's value in the run that sets it, and once. A run that somebody
interrupts is never sent to the end: the next one would take the value for known, the browser would
show the widget empty, and with the next click report that as what was answered. Nor does it arrive
when the connection breaks, or before the next click of somebody quick. So a value is said again until
it was heard; and what the browser reports until then is compared with what it had before, because it
may not know better.

What was heard is told by a box that nobody sees: each run that gives values ends with a new number
in it, and the browser reports the box like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from ui import doorbell

HEARD = "_heard"  # the box's key
_UNTOLD = "_untold"  # by the widget's key: what the browser may still report of the time before
_LAST = "_told_last"
_NEVER = object()


@dataclass(frozen=True)
class _Told:
    """What the last run that got through has told, on which connection."""

    number: int
    connection: str | None
    former: dict[str, list[Any]] = field(default_factory=dict)  # by key, of values first told then


def take_up() -> None:
    """At the start of a run, and of what a click begins: what the browser has not heard, or what went
    into a connection that broke since, counts as not told."""
    last: _Told | None = st.session_state.get(_LAST)
    if last is None:
        return
    if is_new_connection() or not _heard(last.number):
        untold = _untold()
        for key, former in last.former.items():
            untold[key] = [*former, *untold.get(key, ())]
    st.session_state[_LAST] = _Told(last.number, last.connection)


def begin(key: str, value: Any) -> None:
    """Give a widget its value, unless the browser has it; to be called just before it is drawn."""
    untold = _untold()
    if key not in st.session_state:
        st.session_state[key] = value
        untold.setdefault(key, [])
    elif key in untold:
        st.session_state[key] = st.session_state[key]  # said again


def follow(key: str, value: Any) -> None:
    """Let a widget show what the answers say, whatever it showed before; to be called just before it
    is drawn. In its callback, ask `is_click`."""
    if st.session_state.get(key, value) != value:
        forget([key])
    begin(key, value)


def forget(keys: Iterable[str]) -> None:
    """Let widgets begin anew. What the browser has of them now counts no more."""
    untold = _untold()
    for key in keys:
        if key in st.session_state:
            untold.setdefault(key, []).append(st.session_state.pop(key))


def is_late(key: str) -> bool:
    """Whether the browser reports what this widget said before it was given its value."""
    return st.session_state.get(key, _NEVER) in _untold().get(key, ())


def is_click(key: str) -> bool:
    """In a widget's callback: whether somebody used it, and it is not a late report."""
    take_up()
    return not is_late(key)


def is_new_connection() -> bool:
    """Whether the page was last told on another connection: what it sent there may be lost."""
    last: _Told | None = st.session_state.get(_LAST)
    return last is not None and last.connection != _connection()


def all_told() -> None:
    """At the end of a run, when all of the page is on its way; draws the box."""
    last: _Told | None = st.session_state.get(_LAST)
    number, untold = last.number if last else 0, _untold()
    if untold or HEARD not in st.session_state:
        number += 1
        st.session_state[HEARD] = str(number)
    st.text_input("Heard", key=HEARD, label_visibility="collapsed")
    st.session_state[_LAST] = _Told(number, _connection(), untold)
    st.session_state[_UNTOLD] = {}


def _heard(number: int) -> bool:
    said = doorbell.said(_connection(), HEARD) if doorbell.bell(_connection()) else str(number)
    return said is not None and st.session_state.get(HEARD) == str(number)


def _connection() -> str | None:
    return st.context.headers.get(doorbell.KEY)


def _untold() -> dict[str, list[Any]]:
    held: dict[str, list[Any]] = st.session_state.setdefault(_UNTOLD, {})
    return held
