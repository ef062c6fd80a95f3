"""Every page starts here: page config, style, navigation."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import streamlit as st

from ui import kept, nav, state, theme

ICON = Path(__file__).parent / "assets" / "icon.svg"


@st.fragment(run_every=timedelta(days=7))
def ask_again() -> None:
    """Nothing; but where the page has a part with a clock, the browser asks for a run after a broken
    connection whatever broke with it. Without one it may take the rest of a run that was cut short
    for the whole page, and blank it."""


st.set_page_config(
    page_title="Model Deployment Advisor",
    page_icon=ICON,
    layout="wide",
    menu_items={
        "About": "Managed or self-hosted, which service, how big, at what monthly cost, and why."
    },
)
st.logo(ICON, size="large")
page = st.navigation(nav.pages(), position="top")
state.turn_to(page.url_path or nav.ADVISE)
kept.restore()
theme.apply()
ask_again()
page.run()
