"""What the winner changes against what runs today."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from advisor.recommendation import Recommendation
from advisor.requirements import Requirements
from advisor.whatif import AgainstToday, against_today
from ui import format as fmt


def show(need: Requirements, answer: Recommendation) -> None:
    """What the winner changes against what runs today; nothing where that was not answered."""
    found = against_today(need, answer)
    if found is None:
        return
    st.markdown(f"**Against today** ({fmt.escape(found.name)})")
    st.markdown("\n".join(f"- {line}" for line in _gains(found)))
    for note in found.notes:
        st.markdown(f":gray[{fmt.escape(note)}]")


def _gains(found: AgainstToday) -> list[str]:
    out = []
    if found.saves_monthly_usd is not None:
        out.append(f"Cloud bill: {_less(found.saves_monthly_usd, fmt.usd)} a month")
    if found.saves_total_usd is not None:
        out.append(f"With people's time: {_less(found.saves_total_usd, fmt.usd)} a month")
    if found.saves_people_hours is not None:
        out.append(f"People: {_less(found.saves_people_hours, lambda h: f'{h:.1f} h')} a month")
    if found.saves_p95_ms is not None:
        out.append(f"Response: {_less(found.saves_p95_ms, fmt.milliseconds)}")
    if found.because:
        out.append(fmt.escape(f"{found.name}: {found.because}"))
    return out


def _less(difference: float, said: Callable[[float], str]) -> str:
    if abs(difference) < 0.005:
        return "the same"
    return fmt.escape(f"{said(abs(difference))} {'less' if difference > 0 else 'more'}")
