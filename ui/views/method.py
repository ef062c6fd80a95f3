"""Method: how the answer comes about, first in plain words, then with the formulas."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
import yaml

from ui import format as fmt

_SHORT = Path(__file__).resolve().parents[1] / "data" / "method.yaml"
_METHOD = Path(__file__).resolve().parents[2] / "docs" / "method.md"


def show() -> None:
    st.title("Method", anchor=False)
    said = yaml.safe_load(_SHORT.read_text(encoding="utf-8"))
    with st.container(key="prose"):
        st.header("In plain words", anchor=False)
        st.markdown(
            "\n".join(
                f"{i}. **{fmt.escape(step['title'])}.** {fmt.escape(step['text'])}"
                for i, step in enumerate(said["steps"], start=1)
            )
        )
        st.header("Terms", anchor=False)
        st.table(
            {
                "Term": [fmt.escape(row["term"]) for row in said["terms"]],
                "Means": [fmt.escape(row["means"]) for row in said["terms"]],
            },
            border="horizontal",
            hide_index=True,
            alt="Terms that the pages use",
        )
        _formulas()


def _formulas() -> None:
    """The document with formulas, assumptions and how far each was tried."""
    try:
        text = _METHOD.read_text(encoding="utf-8")
    except OSError as error:
        st.error(
            f"The description of the method cannot be read ({error.strerror}: {_METHOD.name}); it "
            "is docs/method.md of this product."
        )
        return
    # The page has its title; the document's own becomes a heading under it.
    st.markdown(text.replace("# The method", "## With formulas", 1))


show()
