"""Values that the page gives its widgets, until the browser has surely heard of them.

Streamlit tells the browser a widget's value in the run that sets it, and once. A run that somebody
interrupts is never sent to the end: the next one would take the value for known, the browser would
show the widget empty, and with the next click report that as what was answered. Nor does it arrive
when the connection breaks. So a value is said again until a run got through; and what the browser
reports until then is compared with what it had before, because it may not know better.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st

from ui import doorbell

_UNTOLD = "_untold"  # by the widget's key: what the browser may still report of the time before
_LAST = "_told_last"  # the same of the last run that got through, and the connection it used
_NEVER = object()


def take_up() -> None:
    """At the start of a run: what went into a connection that broke since counts as not told."""
    if is_new_connection():
        untold = _untold()
        for key, former in st.session_state[_LAST][1].items():
            untold[key] = [*former, *untold.get(key, ())]


def begin(key: str, value: Any) -> None:
    """Give a widget its value, unless the browser has it; to be called just before it is drawn."""
    untold = _untold()
    if key not in st.session_state:
        st.session_state[key] = value
        untold.setdefault(key, [])
    elif key in untold:
        st.session_state[key] = st.session_state[key]  # said again


def forget(keys: Iterable[str]) -> None:
    """Let widgets begin anew. What the browser has of them now counts no more."""
    untold = _untold()
    for key in keys:
        if key in st.session_state:
            untold.setdefault(key, []).append(st.session_state.pop(key))


def is_late(key: str) -> bool:
    """Whether the browser reports what this widget said before it was given its value."""
    return st.session_state.get(key, _NEVER) in _untold().get(key, ())


def is_new_connection() -> bool:
    """Whether the page was last told on another connection: what it sent there may be lost."""
    return _LAST in st.session_state and st.session_state[_LAST][0] != _connection()


def all_told() -> None:
    """At the end of a run, when all of the page is on its way."""
    st.session_state[_LAST] = (_connection(), _untold())
    st.session_state[_UNTOLD] = {}


def _connection() -> str | None:
    return st.context.headers.get(doorbell.KEY)


def _untold() -> dict[str, list[Any]]:
    held: dict[str, list[Any]] = st.session_state.setdefault(_UNTOLD, {})
    return held
