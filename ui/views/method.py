"""Method: how the answer comes about, in plain words, from docs/method.md."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_METHOD = Path(__file__).resolve().parents[2] / "docs" / "method.md"


def show() -> None:
    try:
        text = _METHOD.read_text(encoding="utf-8")
    except OSError as error:
        st.title("Method", anchor=False)
        st.error(
            f"The description of the method cannot be read ({error.strerror}: {_METHOD.name}); it "
            "is docs/method.md of this product."
        )
        return
    with st.container(key="prose"):
        st.markdown(text)


show()
