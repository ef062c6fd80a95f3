"""From the verdict to a deployment: the two buttons on the card."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from advisor.errors import InputError
from advisor.recommendation import Recommendation
from advisor.requirements import Requirements
from deploy.registry import target_for
from ui import format as fmt
from ui import guard, nav
from ui.answers import encode, flatten

LOCAL = "local"


def buttons(need: Requirements, answer: Recommendation) -> None:
    winner = answer.ranking[0]
    reason = _cannot_deploy(winner.option)
    is_local = winner.deploy_target == LOCAL
    with st.container(horizontal=True):
        if st.button(
            "Deploy it on this machine" if is_local else "Try it on this machine",
            type="primary",
            icon=":material/play_arrow:",
            key="try_here",
        ):
            _go(need, winner.option, LOCAL)
        if not is_local and st.button(
            "Plan the deployment",
            disabled=reason is not None,
            icon=":material/checklist:",
            key="plan_deployment",
        ):
            _go(need, winner.option, winner.deploy_target)
    if reason is not None and not is_local:
        st.markdown(f":gray[{fmt.escape(reason)}]")
    refused = guard.refusal_to_show()
    if refused:
        st.markdown(f":orange[{fmt.escape(refused)}]")


def _go(need: Requirements, option: str, target: str) -> None:
    answers = urlencode(encode(flatten(need)))
    st.switch_page(
        nav.DEPLOY_VIEW, query_params={"option": option, "to": target, "answers": answers}
    )


def _cannot_deploy(option: str) -> str | None:
    """Why no plan can be made for the option, or None."""
    try:
        target_for(option)
    except InputError as error:
        return f"Planning is not possible: {error}."
    return None
