"""The account as it is: every deployment of ours there, whoever made it; looked at on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from advisor.errors import AdvisorError
from deploy import in_account
from deploy.expiry import left
from deploy.requests import NOBODY
from ui import account, catalog, guard
from ui import format as fmt

if TYPE_CHECKING:
    from deploy.aws.account import Standing

_REGION, _DRIFT, _ERROR = "account_region", "account_drift", "_account_error"
_UNKNOWN = "–"


def show(next_run: str) -> None:
    """`next_run`: where the session keeps the run that the page is to follow."""
    st.header("In the AWS account", anchor=False)
    st.markdown(
        "What really stands there, also what somebody else or another machine has deployed. "
        "It is asked when you press the button, with this machine's own credentials."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        region = st.selectbox(
            "Region", account.regions(), key=_REGION, accept_new_options=True, width=240
        )
        st.toggle(
            "Look for changes by hand",
            key=_DRIFT,
            help="CloudFormation compares each stack with its template, which takes up to minutes.",
        )
        refused = guard.refusal_to_show()
        st.button(
            "Look into the account" if account.last(region or "") is None else "Look again",
            key="look_into_account",
            icon=":material/cloud_sync:",
            disabled=refused is not None or not region,
            on_click=_look,
        )
    if refused:
        st.markdown(f":orange[{fmt.escape(refused)}]")
    if _ERROR in st.session_state:
        st.error(fmt.escape(st.session_state.pop(_ERROR)), icon=":material/error:")
    seen = account.last(region) if region else None
    if seen is not None:
        _seen(seen, next_run)


def _seen(seen: account.Look, next_run: str) -> None:
    when = f"Looked {fmt.ago(seen.at)}, at {seen.at:%H:%M} UTC"
    if seen.error:
        st.error(fmt.escape(seen.error), icon=":material/error:")
        st.markdown(f":gray[{when}]")
        return
    st.markdown(f":gray[{when}, into account {seen.account}, {fmt.escape(seen.region)}]")
    if not seen.found:
        st.info("Nothing of this tool stands there, and nothing of it costs there.")
        return
    st.table(
        {
            "Deployment": [named(s.scenario or s.name, s.name) for s in seen.found],
            "Service": [fmt.escape(_service(s)) for s in seen.found],
            "State": [fmt.name(s.state) for s in seen.found],
            "Owner": [_owner(s.owner) for s in seen.found],
            "Expires": [left(s.expires_at) if s.expires_at else "never" for s in seen.found],
            "Requests, last hour": [_number(s.requests_last_hour) for s in seen.found],
            "Errors": [_number(s.errors_last_hour) for s in seen.found],
            "p95": [_milliseconds(s.p95_ms_last_hour) for s in seen.found],
            "So far": [fmt.escape(_usd(s.so_far_usd)) for s in seen.found],
            "A month": [fmt.escape(_usd(s.monthly_usd)) for s in seen.found],
            "Kept here": ["yes" if s.recorded_here else "no" for s in seen.found],
        },
        border="horizontal",
        hide_index=True,
        alt="Deployments in the account",
    )
    st.markdown(
        ":gray[So far: by the estimate a month and the hours up. The bill itself is the account's.]"
    )
    _drift(seen.found)
    others = {s.name: _in_words(s) for s in seen.found if not s.recorded_here}
    if others:
        _take_down(others, seen.region, next_run)


def named(title: str, name: str) -> str:
    """What people call it, and small beside it the name that its resources carry."""
    small = "" if title == name else f"  \n:small[:gray[{fmt.escape(name)}]]"
    return f"**{fmt.escape(title)}**{small}"


def _in_words(one: Standing) -> str:
    told = [one.scenario, one.name, _service(one), f"of {one.owner}" * (one.owner != NOBODY)]
    return " · ".join(part for part in told if part)


def _owner(name: str) -> str:
    return _UNKNOWN if name == NOBODY else fmt.escape(name)


def _service(one: Standing) -> str:
    return catalog.names().get(one.option or "", one.option or one.target or _UNKNOWN)


def _drift(found: tuple[Standing, ...]) -> None:
    for one in found:
        for what in one.drift or ():
            said = f"{one.name} differs from its template: {what}"
            st.warning(fmt.escape(said), icon=":material/difference:")
    same = [one.name for one in found if one.drift == []]
    if same:
        st.markdown(f":green[As their templates say:] {fmt.escape(', '.join(same))}")


def _take_down(names: dict[str, str], region: str, next_run: str) -> None:
    """Of what is not kept here only the end can be seen to from here. `names`: in words, by name."""
    refused = guard.refusal()
    st.markdown("**Take down what is not kept here**")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Deployment", list(names), format_func=lambda n: names[n], key="account_name", width=320
        )
        typed = st.text_input(
            f"Type {name} to agree", key="account_typed", disabled=refused is not None, width=240
        )
        st.button(
            "Destroy",
            key="account_destroy",
            icon=":material/delete:",
            disabled=refused is not None or typed != name,
            on_click=_destroy,
            args=(name, region, next_run),
        )


def _look() -> None:
    # Asked now: the click may come before a run has drawn what was chosen just before it.
    region: str = st.session_state.get(_REGION) or ""
    drift = bool(st.session_state.get(_DRIFT))
    if not region:
        return
    try:
        guard.require()
    except AdvisorError as error:
        st.session_state[_ERROR] = str(error)
        return
    with st.spinner("Asking the account"):
        account.look(region, drift=drift)


def _destroy(name: str, region: str, next_run: str) -> None:
    try:
        guard.require()
        st.session_state[next_run] = in_account.start_taking_down(name, region)
    except AdvisorError as error:
        st.session_state[_ERROR] = str(error)
        return
    account.forget()


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,.0f}"


def _milliseconds(value: float | None) -> str:
    return _UNKNOWN if value is None else fmt.milliseconds(value)


def _usd(value: float | None) -> str:
    return _UNKNOWN if value is None else fmt.usd(value)
