"""Every page starts here: page config, style, navigation."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui import kept, nav, state, theme

ICON = Path(__file__).parent / "assets" / "icon.svg"

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
page.run()
