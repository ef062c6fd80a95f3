"""What stands in a text box, for a download that is written when it is clicked.

Somebody types and clicks at once: the words leave the box with the click or a few milliseconds after
it, and a run that takes them over comes later still. The box lives in a fragment of its own, so that
the button stays the one that was clicked, and the words are asked of the connection that brought them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from ui import doorbell, state

_TYPED = "_typed"  # as the last run saw it, by the widget's key
_LATE_S = 0.1  # a box sends its words with its blur, a button at once


def keep(key: str) -> None:
    """At the end of the box's fragment: what it says."""
    _held()[key] = st.session_state.get(key) or ""
    state.remember_widget(key)


def newest(key: str) -> Callable[[], str]:
    """Asks, outside of a run too, for the newest words in the box with this key."""
    held, connection = _held(), st.context.headers.get(doorbell.KEY)

    def words() -> str:
        time.sleep(_LATE_S)
        said = doorbell.said(connection, key)
        return held.get(key, "") if said is None else said

    return words


def _held() -> dict[str, str]:
    held: dict[str, str] = st.session_state.setdefault(_TYPED, {})
    return held
