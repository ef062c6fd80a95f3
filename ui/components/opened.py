"""What is drawn only while somebody looks at it: it costs nothing until it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def opened(label: str, icon: str, key: str) -> Iterator[bool]:
    """A popover that runs the page again when it opens; inside it, whether it is open."""
    place = st.popover(label, icon=icon, key=_popover(key), on_change="rerun")
    with place:
        yield bool(place.open)


def keep_open(key: str) -> None:
    """For callbacks that change a popover's label: without this it would close for being another."""
    st.session_state[_popover(key)] = True


def close(key: str) -> None:
    """For callbacks that end what a popover was opened for."""
    st.session_state[_popover(key)] = False


def _popover(key: str) -> str:
    return f"popover {key}"


@contextmanager
def unfolded(label: str, key: str) -> Iterator[bool]:
    """The same for an expander."""
    place = st.expander(label, key=f"expander {key}", on_change="rerun")
    with place:
        yield bool(place.open)
