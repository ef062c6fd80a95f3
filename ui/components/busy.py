"""That work is going on, said at once: Streamlit's own spinner comes half a second late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def busy(text: str) -> Iterator[None]:
    """Show what is being done as long as the block lasts."""
    place = st.empty()
    place.status(text, state="running", type="step")
    try:
        yield
    finally:
        place.empty()
