"""Deploy: model, plan, confirmation, progress, a real prediction, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import streamlit as st

from advisor.errors import AdvisorError
from advisor.recommendation import Ranked, Recommendation
from advisor.requirements import Requirements
from deploy import planning, runs
from deploy.artifact import Artifact
from deploy.asking import user
from deploy.registry import target
from deploy.requests import PlanRequest, suggest_name, tag_text
from deploy.target import Plan, Target
from ui import advice, guard, kept, nav, state
from ui import format as fmt
from ui.answers import decode, to_requirements
from ui.components import model_file, price_age, run_page
from ui.components import plan as plan_card
from ui.components.busy import busy
from ui.components.launch import LOCAL

_PLAN, _PLANNED_FOR, _TAKEN = "_plan", "_plan_for", "_answers_taken"
_DISCARDED = "_plan_discarded"
_LASTS = {
    "when I destroy it": None,
    "in 4 hours": timedelta(hours=4),
    "in a day": timedelta(days=1),
    "in a week": timedelta(days=7),
}


def show() -> None:
    run_id = st.query_params.get("run")
    if run_id:
        run_page.show(run_id)
        return
    _take_over_answers()
    st.page_link(nav.ADVISE_VIEW, label="Back to the advice", icon=":material/arrow_back:")
    try:
        need = to_requirements(state.answers())
        answer = advice.verdict(need, state.policies())
        ranked = _ranked(answer)
    except AdvisorError as error:
        st.title("Deploy", anchor=False)
        st.error(f"There is nothing to deploy: {fmt.escape(str(error))}")
        return
    if ranked is None:
        st.title("Deploy", anchor=False)
        st.info("No option fits these answers, so there is nothing to deploy yet.")
        return
    to = st.query_params.get("to", LOCAL)
    here = to == LOCAL
    st.title(
        "Try it on this machine" if here else f"Deploy to {fmt.escape(ranked.name)}", anchor=False
    )
    st.markdown(
        "The same container contract as in the cloud, served by a process of its own on this "
        "machine: no account, no Docker, no cost."
        if here
        else fmt.escape(fmt.machine(ranked))
    )
    if not here:
        price_age.warning(answer.prices_as_of)
    refused = guard.refusal()
    if refused:
        st.error(fmt.escape(refused), icon=":material/lock:")
    st.header("1 · The model", anchor=False)
    artifact = model_file.choose(need)
    if artifact is None:
        return
    st.header("2 · The plan", anchor=False)
    _say_discarded()
    made = _plan(need, ranked, artifact, to)
    if made is None:
        return
    plan_card.show(made)
    _discard(made)
    st.header("3 · Go", anchor=False)
    _confirm(made, here=here, refused=refused is not None)


def _take_over_answers() -> None:
    """A link to this page carries the answers that it was planned with."""
    packed = st.query_params.get("answers")
    if packed and packed != st.session_state.get(_TAKEN):
        st.session_state[_TAKEN] = packed
        state.put(decode(dict(parse_qsl(packed, keep_blank_values=True))).answers)


def _ranked(answer: Recommendation) -> Ranked | None:
    wanted = st.query_params.get("option", "")
    found = answer.option(wanted)
    return found or (answer.ranking[0] if answer.ranking else None)


def _plan(need: Requirements, ranked: Ranked, artifact: Artifact, to: str) -> Plan | None:
    """The plan for exactly these inputs; made at once for this machine, on request elsewhere."""
    name = st.text_input(
        "Name of the deployment",
        value=suggest_name(artifact.path.stem),
        max_chars=40,
        help="Lower case letters, digits and dashes. The same name finds the same deployment.",
        width=420,
    )
    there = target(to)
    public = there.can_be_public and st.toggle(
        "Reachable from the internet",
        help="Off: only from inside the account's network or with the account's own credentials.",
    )
    lasts = _lasts() if there.can_expire else None
    settings = _local_settings() if to == LOCAL else _image_settings(there)
    decided = kept.shown()
    scenario = decided.name if decided else ""
    wanted = (
        name, artifact.digest, ranked.option, to, public, lasts, need.model_dump_json(),
        str(settings), artifact.accepted, scenario,
    )  # fmt: skip
    request = partial(
        PlanRequest,
        name=name, artifact=artifact, need=need, ranked=ranked, public=public, expires_in=lasts,
        settings=settings, owner=tag_text(user()), tags=planning.scenario_tags(scenario),
    )  # fmt: skip
    if to != LOCAL and st.button("Make the plan", icon=":material/checklist:", type="primary"):
        st.session_state.pop(_PLANNED_FOR, None)
        _make(request, to, wanted)
    elif to == LOCAL and st.session_state.get(_PLANNED_FOR) != wanted:
        _make(request, to, wanted)
    return st.session_state[_PLAN] if st.session_state.get(_PLANNED_FOR) == wanted else None


def _lasts() -> timedelta | None:
    """How long a trial lasts; None: until somebody destroys it."""
    chosen = st.selectbox(
        "Takes itself down",
        list(_LASTS),
        key="lasts",
        width=420,
        help="A trial that nobody has to remember: the account itself removes it at its hour.",
    )
    return _LASTS[chosen]


def _local_settings() -> dict[str, Any]:
    """What may be chosen for a server on this machine."""
    port = st.number_input(
        "Port", 1024, 65535, None, key="port", placeholder="a free one", width=420,
        help="Where the server listens on 127.0.0.1. Leave it empty to get a free port.",
    )  # fmt: skip
    return {} if port is None else {"port": int(port)}


def _image_settings(there: Target) -> dict[str, Any]:
    """Who builds the image, where that can be chosen."""
    if not there.builders:
        return {}
    try:
        usual = there.builders.index(there.usual_builder())
    except AdvisorError as error:
        st.error(fmt.escape(str(error)))
        return {}
    chosen = st.selectbox(
        "The image is built",
        there.builders,
        usual,
        key="builder",
        format_func=fmt.name,
        width=420,
        help="In the account nothing is needed here. An engine of this machine has to be running; "
        "the plan says so when it is not.",
    )
    return {"builder": chosen}


def _make(request: Callable[[], PlanRequest], to: str, wanted: tuple[object, ...]) -> None:
    try:
        guard.require()
        with busy("Checking and planning; nothing is started yet"):
            made = planning.made(target(to), request())
    except AdvisorError as error:
        st.error(
            f"**It cannot be planned here; nothing was made.** {fmt.escape(str(error))}",
            icon=":material/error:",
        )
        return
    st.session_state[_PLAN], st.session_state[_PLANNED_FOR] = made, wanted


def _discard(plan: Plan) -> None:
    """Where planning wrote something into an account: a way to take that away again."""
    there = target(plan.target)
    if not plan.writes_at_plan_time:
        return
    st.button(
        "Discard this plan",
        icon=":material/delete_sweep:",
        on_click=_take_away,
        args=(there, plan),
        help="Takes away what planning has written. Nothing that runs is touched.",
    )


def _take_away(there: Target, plan: Plan) -> None:
    try:
        guard.require()
        there.discard(plan)
    except AdvisorError as error:
        st.session_state[_DISCARDED] = str(error)
        return
    st.session_state.pop(_PLAN, None)
    st.session_state.pop(_PLANNED_FOR, None)
    st.session_state[_DISCARDED] = ""


def _say_discarded() -> None:
    said = st.session_state.pop(_DISCARDED, None)
    if said is None:
        return
    if said:
        st.error(f"The plan is still there. {fmt.escape(said)}", icon=":material/error:")
    else:
        st.success("Discarded: what planning had written is gone.", icon=":material/check:")


def _confirm(plan: Plan, *, here: bool, refused: bool) -> None:
    if here:
        replaces = any(thing.action == "replace" for thing in plan.resources)
        what = "put this model in the place of" if replaces else "start"
        agreed = st.checkbox(
            f"I have read the plan: {what} {plan.name} on this machine", disabled=refused
        )
    else:
        typed = st.text_input(
            f"Type {plan.name} to confirm that this may be made in {plan.account}",
            disabled=refused,
            width=420,
        )
        agreed = typed == plan.name
    if not (agreed or refused):
        first = "the box above is ticked" if here else f"{plan.name} stands above, then Enter"
        st.markdown(f":gray[*Deploy* can be pressed once {first}.]")
    if not st.button(
        "Deploy", type="primary", disabled=refused or not agreed, icon=":material/rocket_launch:"
    ):
        return
    try:
        guard.require()
        run_id = runs.start_apply(plan)
    except AdvisorError as error:
        st.error(fmt.escape(str(error)), icon=":material/error:")
        return
    st.query_params.from_dict({"run": run_id})
    st.rerun()


show()
