"""How old the prices are, wherever figures are shown."""

from __future__ import annotations

import streamlit as st

from advisor.prices import load_book
from ui import format as fmt

_HOW = "(on the page Prices, or with python -m advisor prices refresh)"


def note(as_of: str) -> None:
    """One quiet line with the age, or the warning once the prices are stale or undated."""
    if not warning(as_of):
        st.markdown(
            f":gray[Prices of {as_of}, {fmt.age_days(as_of)} days old. All figures are computed on "
            "this machine from the price book; lines, sources and dates are under *Cost*.]"
        )


def warning(as_of: str) -> bool:
    """A warning if the prices are stale or undated; whether there was one."""
    said = sentence(fmt.age_days(as_of), as_of, load_book().stale_after_days)
    if said is None:
        return False
    st.warning(said, icon=":material/schedule:")
    return True


def sentence(age_days: int | None, as_of: str, limit_days: int) -> str | None:
    """What to say about prices of that age; None while they are fresh enough."""
    if age_days is None:
        return f"The prices carry no date: treat every figure as unproven and refresh them {_HOW}."
    if age_days > limit_days:
        return (
            f"The prices are {age_days} days old (snapshot of {as_of}), past the {limit_days} days "
            f"after which they are not relied upon: refresh them before you decide {_HOW}."
        )
    return None
