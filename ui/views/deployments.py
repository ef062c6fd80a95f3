"""Deployments: what is out there, how it is, and its end."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from deploy import runs
from deploy.moving import scenario_of
from deploy.requests import NOBODY
from deploy.run_models import Deployment
from ui import catalog, nav, state
from ui import format as fmt
from ui.components import in_account, run_page
from ui.components.launch import LOCAL
from ui.components.opened import unfolded

_COLORS: dict[str, Literal["green", "blue", "red", "gray"]] = {
    "running": "green",
    "applying": "blue",
    "destroying": "blue",
    "failed": "red",
    "destroyed": "gray",
}


def show() -> None:
    _say_address()
    run_id = st.query_params.get("run")
    if run_id or run_page.NEXT_RUN in st.session_state:
        run_page.show(run_id or "")
        return
    st.title("Deployments", anchor=False)
    found = runs.deployments(destroyed=True)
    there = [d for d in found if d.state != "destroyed"]
    gone = [d for d in found if d.state == "destroyed"]
    if not there:
        _nothing_yet()
    for deployment in there:
        _card(deployment)
    if gone:
        with st.expander(f"{len(gone)} destroyed"):
            for deployment in gone:
                _line(deployment)
    in_account.show(run_page.NEXT_RUN)


def _say_address() -> None:
    """Let the browser's address follow a link from this page to itself.

    Streamlit shows what such a link leads to and leaves the address as it was: the next click then
    led back, and a refresh too. The same address said again does nothing.
    """
    if state.same_page() and not state.went_back():
        st.query_params.from_dict(st.query_params.to_dict())


def _nothing_yet() -> None:
    with st.container(border=True):
        st.header("Nothing is deployed from here", anchor=False)
        st.markdown(
            "Get advice first, then press *Try it on this machine*: within a minute a real "
            "endpoint answers, without an account and without Docker."
        )
        st.page_link(nav.ADVISE_VIEW, label="Get advice", icon=":material/balance:")


def _card(deployment: Deployment) -> None:
    scenario = scenario_of(deployment.plan)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(fmt.escape(scenario or deployment.name), anchor=False, width="content")
            if scenario:
                st.markdown(f":small[:gray[{fmt.escape(deployment.name)}]]", width="content")
            st.badge(fmt.name(deployment.state), color=_COLORS.get(deployment.state, "orange"))
            st.markdown(f":gray[{fmt.ago(deployment.updated_at)}]", width="content")
        _line(deployment, with_name=False)
        if deployment.active_run:
            return
        if deployment.plan.expires_at is not None:
            run_page.countdown(deployment.plan.expires_at)
        # Each is asked when somebody opens it: with many, an account would be asked for a minute.
        with unfolded("Status, predict, destroy", f"manage {deployment.name}") as is_open:
            if is_open:
                run_page.manage(deployment, counts_down=False)


def _line(deployment: Deployment, *, with_name: bool = True) -> None:
    plan = deployment.plan
    name = f"**{fmt.escape(deployment.name)}** · " if with_name else ""
    option = catalog.names().get(deployment.option, deployment.option)
    if deployment.target == LOCAL:
        what = f"On this machine, for the advice {option}"
    else:
        owner = str(plan.parameters.get("stack", {}).get("Owner", ""))
        whose = f", of {owner}" if owner not in ("", NOBODY) else ""
        what = f"{option}, in {plan.account}, {plan.region}{whose}"
    st.markdown(
        f"{name}{fmt.escape(what)} · cloud bill {fmt.escape(fmt.usd(plan.monthly_usd))} a month"
    )
    st.page_link(
        nav.DEPLOYMENTS_VIEW,
        label="Progress and result",
        icon=":material/timeline:",
        query_params={"run": deployment.active_run or deployment.last_run.run_id},
    )


show()
