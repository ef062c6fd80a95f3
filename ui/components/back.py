"""Going back to the model version before, from the deployment's page."""

from __future__ import annotations

import streamlit as st

from advisor.errors import AdvisorError
from deploy import rollback, runs
from deploy.registry import target
from deploy.run_models import Deployment
from deploy.target import Plan
from ui import format as fmt
from ui import guard

_PLANNED, _ERROR = "_back_planned", "_back_error"


def show(deployment: Deployment, *, next_run: str) -> None:
    """Nothing where the deployment was never updated with another model. `next_run`: where the
    session keeps the run that the page is to follow."""
    name = deployment.name
    if not rollback.earlier(deployment):
        return
    refused = guard.refusal() is not None
    st.button(
        "Go back to the version before",
        key=f"back_plan {name}",
        icon=":material/undo:",
        disabled=refused,
        help="Says first what would change. The model that serves now is kept.",
        on_click=_plan,
        args=(name,),
    )
    said, where = st.session_state.get(_ERROR, ("", ""))
    if where == name:
        st.error(fmt.escape(said), icon=":material/error:")
    planned, of = st.session_state.get(_PLANNED, (None, ""))
    if planned is None or of != name:
        return
    with st.container(border=True):
        lines = rollback.in_words(deployment.plan, planned)
        st.markdown("\n".join(f"- {fmt.escape(line)}" for line in lines))
        with st.container(horizontal=True):
            st.button(
                "Roll back",
                key=f"back_go {name}",
                type="primary",
                icon=":material/undo:",
                disabled=refused,
                on_click=_go,
                args=(name, planned, next_run),
            )
            st.button("Leave it as it is", key=f"back_discard {name}", on_click=_discard)


def _plan(name: str) -> None:
    _discard()
    try:
        guard.require()
        with st.spinner("Looking what is kept; nothing is changed yet"):
            st.session_state[_PLANNED] = (rollback.plan_rollback(name), name)
    except AdvisorError as error:
        st.session_state[_ERROR] = (str(error), name)


def _go(name: str, planned: Plan, next_run: str) -> None:
    try:
        guard.require()
        st.session_state[next_run] = runs.start_rollback(name, planned)
    except AdvisorError as error:
        st.session_state[_ERROR] = (str(error), name)
        return
    st.session_state.pop(_PLANNED, None)


def _discard() -> None:
    """Forget the plan, and take away what planning wrote."""
    st.session_state.pop(_ERROR, None)
    planned, name = st.session_state.pop(_PLANNED, (None, ""))
    if planned is None or not planned.writes_at_plan_time:
        return
    try:
        guard.require()
        target(planned.target).discard(planned)
    except AdvisorError as error:
        st.session_state[_ERROR] = (str(error), name)
