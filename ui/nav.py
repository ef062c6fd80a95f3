"""The pages and their addresses."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

VIEWS = Path(__file__).parent / "views"
ADVISE = "advise"
DEPLOY_VIEW = VIEWS / "deploy.py"
DEPLOYMENTS_VIEW = VIEWS / "deployments.py"
MEASURE_VIEW = VIEWS / "measure.py"
ADVISE_VIEW = VIEWS / "advise.py"
COMPARE_VIEW = VIEWS / "compare.py"
PRICES_VIEW = VIEWS / "prices.py"


def pages() -> list[st.Page]:
    return [
        st.Page(ADVISE_VIEW, title="Advise", icon=":material/balance:", default=True),
        st.Page(COMPARE_VIEW, title="Compare", icon=":material/compare:"),
        st.Page(VIEWS / "options.py", title="Options", icon=":material/table:"),
        st.Page(MEASURE_VIEW, title="Measure", icon=":material/speed:"),
        st.Page(DEPLOY_VIEW, title="Deploy", visibility="hidden"),
        st.Page(DEPLOYMENTS_VIEW, title="Deployments", icon=":material/rocket_launch:"),
        st.Page(PRICES_VIEW, title="Prices", icon=":material/sell:"),
        st.Page(VIEWS / "method.py", title="Method", icon=":material/menu_book:"),
    ]
