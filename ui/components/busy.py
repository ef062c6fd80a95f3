"""That work is going on, said at once: Streamlit's own spinner comes half a second late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


@contextmanager
def busy(text: str, place: DeltaGenerator | None = None) -> Iterator[None]:
    """Show what is being done as long as the block lasts.

    `place` is one that each run of the page keeps for it: where fields stand below, one that comes
    and goes would have them drawn anew, without what is half typed.
    """
    place = place or st.empty()
    place.status(text, state="running", type="step")
    try:
        yield
    finally:
        place.empty()
