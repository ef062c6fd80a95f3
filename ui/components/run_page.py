"""A run and what came of it; its address survives a refresh and can be shared."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from advisor.errors import AdvisorError, DeploymentNotFoundError
from deploy import runs
from deploy.expiry import left
from deploy.registry import target
from deploy.run_models import Deployment
from deploy.target import Status
from ui import format as fmt
from ui import nav
from ui.components import back, endpoint, load_test, move, progress

NEXT_RUN = "_next_run"
_VERBS = {
    "apply": "Deploying", "destroy": "Destroying", "move": "Moving", "rollback": "Rolling back",
}  # fmt: skip


def show(run_id: str) -> None:
    started = st.session_state.pop(NEXT_RUN, None)
    if started:
        st.query_params.from_dict({"run": started})
        run_id = started
    st.page_link(nav.DEPLOYMENTS_VIEW, label="All deployments", icon=":material/arrow_back:")
    try:
        run = runs.run(run_id)
        deployment = runs.deployment(run.name)
    except DeploymentNotFoundError as error:
        st.title("Deployment", anchor=False)
        st.error(fmt.escape(str(error)), icon=":material/error:")
        return
    verb = _VERBS[run.kind]
    st.title(f"{verb if run.is_active else ''} {fmt.escape(run.name)}".strip(), anchor=False)
    followed, shown = st.columns([4, 8], gap="large")
    with followed:
        st.header("Progress", anchor=False)
        run = progress.follow(run_id)
    with shown:
        if run.is_active:
            st.info(
                "This page can be closed or refreshed; the run goes on.", icon=":material/info:"
            )
            if run.kind != "destroy":
                endpoint.cancel(run)
            return
        if run.kind == "destroy":
            _gone(run.result.get("removed", []), failed=run.state != "succeeded")
            return
        endpoint.proof(run)
        manage(deployment)


def manage(deployment: Deployment, *, counts_down: bool = True) -> None:
    """The truth about a deployment now, and what can be done with it."""
    try:
        status = target(deployment.target).status(deployment.plan)
    except AdvisorError as error:
        st.error(fmt.escape(str(error)), icon=":material/error:")
        return
    st.markdown(_state(status))
    if counts_down and status.expires_at is not None:
        countdown(status.expires_at)
    if status.state == "running":
        endpoint.snippets(status)
        endpoint.call(deployment)
        load_test.show(deployment)
        move.show(deployment, next_run=NEXT_RUN)
    if status.state != "destroyed":
        back.show(deployment, next_run=NEXT_RUN)
    if deployment.state != "destroyed":
        endpoint.destroy(deployment, show_run=NEXT_RUN)


@st.fragment(run_every=20.0)
def countdown(at: datetime) -> None:
    """The time that is left to a trial; it goes on while somebody looks."""
    said = f"{left(at)}, at {at:%Y-%m-%d %H:%M} UTC, by itself"
    st.markdown(f":orange[:material/timer:] {fmt.escape(said[:1].upper() + said[1:])}")


def _state(status: Status) -> str:
    color = {"running": "green", "failed": "red", "destroyed": "gray"}.get(status.state, "orange")
    return f":{color}[**{fmt.name(status.state)}**] · {fmt.escape(status.message)}"


def _gone(removed: list[str], *, failed: bool) -> None:
    if failed:
        st.error("Not everything is gone yet. The steps on this page say what is left.")
        return
    st.success("Gone: nothing of it runs or costs any more.", icon=":material/check:")
    if removed:
        st.markdown("**Removed**\n" + "\n".join(f"- {fmt.escape(item)}" for item in removed))
