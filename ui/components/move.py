"""Moving a deployment from its page: where to, what changes, and the run that does it."""

from __future__ import annotations

import streamlit as st

from advisor.catalog.loader import load_options
from advisor.errors import AdvisorError, InputError
from deploy import moving, runs
from deploy.registry import target, target_for
from deploy.run_models import Deployment
from deploy.target import Plan
from ui import catalog, guard
from ui import format as fmt

_PLANNED, _ERROR = "_move_planned", "_move_error"


def show(deployment: Deployment, *, next_run: str) -> None:
    """`next_run`: where the session keeps the run that the page is to follow."""
    name = deployment.name
    if not st.toggle("Move it to another target", key=f"move_open {name}"):
        return
    with st.container(border=True):
        st.markdown(
            "The same model is deployed a second time. When that one gives the same answer it takes "
            f"over the name {fmt.escape(name)}, and only then the old one is removed."
        )
        refused = guard.refusal()
        names = catalog.names()
        with st.container(horizontal=True, vertical_alignment="bottom"):
            to = st.selectbox(
                "Move to", _places(), key=f"move_to {name}", width=360,
                format_func=lambda option: names.get(option, option),
            )  # fmt: skip
            st.button(
                "Say what would change",
                key=f"move_plan {name}",
                disabled=refused is not None,
                on_click=_plan,
                args=(deployment,),
            )
        if _ERROR in st.session_state:
            said, where = st.session_state[_ERROR]
            if where == name:
                st.error(fmt.escape(said), icon=":material/error:")
        planned, sample, of, option = st.session_state.get(_PLANNED, (None, b"", "", ""))
        if planned is not None and (of, option) == (name, to):
            _confirm(deployment, planned, sample, next_run, refused=refused is not None)


def _confirm(
    deployment: Deployment, planned: Plan, sample: bytes, next_run: str, *, refused: bool
) -> None:
    name = deployment.name
    lines = moving.in_words(deployment.plan, planned)
    st.markdown("\n".join(f"- {fmt.escape(line)}" for line in lines))
    st.checkbox("Leave the old one standing (it bills)", key=f"move_keep {name}")
    typed = st.text_input(
        f"Type {name} to move it", key=f"move_typed {name}", disabled=refused, width=240
    )
    with st.container(horizontal=True):
        st.button(
            "Move",
            key=f"move_go {name}",
            type="primary",
            icon=":material/move_up:",
            disabled=refused or typed != name,
            on_click=_go,
            args=(name, planned, sample, next_run),
        )
        st.button("Discard this plan", key=f"move_discard {name}", on_click=_discard)


def _places() -> list[str]:
    return [option for option in load_options() if _is_deployed(option)]


def _is_deployed(option: str) -> bool:
    try:
        target_for(option)
    except InputError:
        return False
    return True


def _plan(deployment: Deployment) -> None:
    # Asked now: the click may come before a run has drawn what was chosen just before it.
    to: str = st.session_state[f"move_to {deployment.name}"]
    _discard()
    try:
        guard.require()
        with st.spinner("Checking and planning; nothing is started yet"):
            sample = moving.sample_of(deployment.plan)
            planned = moving.plan_move(deployment, moving.taken(runs.deployments()), to)
    except AdvisorError as error:
        st.session_state[_ERROR] = (str(error), deployment.name)
        return
    st.session_state[_PLANNED] = (planned, sample, deployment.name, to)


def _go(name: str, planned: Plan, sample: bytes, next_run: str) -> None:
    keep = bool(st.session_state.get(f"move_keep {name}"))
    try:
        guard.require()
        st.session_state[next_run] = runs.start_move(name, planned, sample, keep_old=keep)
    except AdvisorError as error:
        st.session_state[_ERROR] = (str(error), name)
        return
    st.session_state.pop(_PLANNED, None)


def _discard() -> None:
    """Forget the plan, and take away what planning wrote."""
    st.session_state.pop(_ERROR, None)
    planned, _, name, _ = st.session_state.pop(_PLANNED, (None, b"", "", ""))
    if planned is None or not planned.writes_at_plan_time:
        return
    try:
        guard.require()
        target(planned.target).discard(planned)
    except AdvisorError as error:
        st.session_state[_ERROR] = (str(error), name)
