"""A running endpoint: how to call it, a call from the page, and its end."""

from __future__ import annotations

import json
from functools import partial

import streamlit as st

from advisor.errors import AdvisorError
from deploy import runs
from deploy.registry import target
from deploy.run_models import Deployment, RunState
from deploy.target import Prediction, Status
from ui import format as fmt
from ui import guard
from ui.components.model_file import example_request

_ERROR = "_endpoint_error"
_CALLED = "_prediction_of"
_MOST_SHOWN = 2000


def proof(run: RunState) -> None:
    """The prediction that the run itself asked for, if it got that far."""
    found = run.result.get("prediction")
    if found is None:
        return
    prediction = Prediction.model_validate(found)
    asked = run.result.get("sample", "a sample")
    st.markdown(
        f"**A real prediction came back** for {fmt.escape(str(asked))}, after "
        f"{fmt.milliseconds(prediction.latency_ms)}:"
    )
    _body(prediction)


def snippets(status: Status) -> None:
    """How to call it from elsewhere."""
    if not status.snippets:
        return
    st.markdown("**Call it yourself**")
    tabs = st.tabs([fmt.name(name) for name in status.snippets])
    for tab, text in zip(tabs, status.snippets.values(), strict=True):
        # No language: the highlighter's colours are too pale to read in either theme.
        tab.code(text, language=None, wrap_lines=True)


def call(deployment: Deployment) -> None:
    """One request from the page, answered by the endpoint."""
    plan = deployment.plan
    known = example_request(plan.model_digest) or plan.parameters.get("sample")
    with st.form(f"call {deployment.name}", border=True):
        body = st.text_area(
            "Ask for a prediction (JSON)",
            value=known or '{"instances": []}',
            height=110,
            key=f"body {deployment.name}",
            help="One row a prediction, as the model takes it.",
        )
        asked = st.form_submit_button("Predict", icon=":material/send:")
    if asked:
        st.session_state[_CALLED] = (deployment.name, _predict(deployment, body))
    name, answer = st.session_state.get(_CALLED, (None, None))
    if name != deployment.name:
        return
    if isinstance(answer, Prediction):
        st.markdown(f":green[**{answer.status_code}**] after {fmt.milliseconds(answer.latency_ms)}")
        _body(answer)
    else:
        st.error(fmt.escape(str(answer)), icon=":material/error:")


def cancel(run: RunState) -> None:
    """Stop an active apply; what it made is taken back."""
    if run.cancel_requested:
        st.markdown(":orange[Asked to cancel: what was made is being taken back.]")
        return
    st.button(
        "Cancel",
        icon=":material/cancel:",
        disabled=guard.refusal() is not None,
        help="Stops at the next step and takes back what this run made.",
        on_click=_cancel,
        args=(run.run_id,),
    )
    _said()


def destroy(deployment: Deployment, *, show_run: str) -> None:
    """Destroy with a confirmation; afterwards the page follows the run that removes it."""
    refused = guard.refusal()
    confirm = f"destroy {deployment.name}"
    left, right = st.columns([3, 1], vertical_alignment="center")
    agreed = left.checkbox(
        f"Yes, remove {deployment.name} and everything it made",
        key=confirm,
        disabled=refused is not None,
    )
    right.button(
        "Destroy",
        key=f"button {confirm}",
        disabled=not agreed or refused is not None,
        icon=":material/delete:",
        help=None if agreed else "Tick the box beside it first.",
        on_click=partial(_destroy, deployment.name, show_run),
    )
    _said()


def _predict(deployment: Deployment, body: str) -> Prediction | str:
    try:
        guard.require()
        return target(deployment.target).predict(deployment.plan, body.encode(), "application/json")
    except AdvisorError as error:
        return str(error)


def _destroy(name: str, show_run: str) -> None:
    st.session_state.pop(_ERROR, None)
    try:
        guard.require()
        st.session_state[show_run] = runs.start_destroy(name)
    except AdvisorError as error:
        st.session_state[_ERROR] = str(error)


def _cancel(run_id: str) -> None:
    st.session_state.pop(_ERROR, None)
    try:
        guard.require()
        runs.cancel(run_id)
    except AdvisorError as error:
        st.session_state[_ERROR] = str(error)


def _said() -> None:
    """What the last click could not do."""
    if _ERROR in st.session_state:
        st.error(fmt.escape(st.session_state[_ERROR]), icon=":material/error:")


def _body(prediction: Prediction) -> None:
    text = json.dumps(prediction.body)
    short = text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + " …"
    st.code(short, language=None, wrap_lines=True)
