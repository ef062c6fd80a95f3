"""Every page starts here: page config, style, navigation."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui import nav, state, theme

st.set_page_config(
    page_title="Model Deployment Advisor",
    page_icon=Path(__file__).parent / "assets" / "icon.svg",
    layout="wide",
    menu_items={
        "About": "Managed or self-hosted, which service, how big, at what monthly cost, and why."
    },
)
page = st.navigation(nav.pages(), position="top")
state.turn_to(page.url_path or nav.ADVISE)
theme.apply()
page.run()
