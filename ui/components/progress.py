"""The progress of a run, from its stored events: a refresh or a second viewer sees the same."""

from __future__ import annotations

import streamlit as st

from deploy import runs
from deploy.run_models import RunState
from ui import format as fmt
from ui import timeline

_ICON = {"warning": ":material/warning:", "error": ":material/error:"}
_SAID = {
    "pending": "Waiting for its turn",
    "running": "Under way",
    "succeeded": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


def follow(run_id: str) -> RunState:
    """Show the run; while it is active the part of the page with it renews itself each second."""
    run = runs.run(run_id)
    if run.is_active:
        _live(run_id)
    else:
        _steps(run)
    return run


@st.fragment(run_every=1.0)
def _live(run_id: str) -> None:
    run = runs.run(run_id)
    if not run.is_active:
        st.rerun(scope="app")
    _steps(run)


def _steps(run: RunState) -> None:
    events = runs.events(run.run_id)
    found = timeline.steps(run, events)
    took = ""
    if run.started_at and run.finished_at:
        took = f" after {fmt.duration_s((run.finished_at - run.started_at).total_seconds())}"
    st.markdown(f"**{_SAID[run.state]}{took}** :gray[· {fmt.ago(run.created_at)}]")
    for step in found:
        # Without `with`: leaving such a block would mark the step complete.
        box = st.status(
            fmt.escape(fmt.name(step.name)),
            state=step.state,
            type="step",
            expanded=step.state != "complete",
        )
        for event in step.lines:
            icon = _ICON.get(event.level, "")
            thing = f" :gray[{fmt.escape(event.resource)}]" if event.resource else ""
            box.markdown(
                f":gray[{event.at:%H:%M:%S}] {icon} {fmt.escape(event.message)}{thing}".strip()
            )
    if not found:
        st.status("Starting", state="running", type="step")
    if run.error and run.state == "cancelled" and not any(e.level == "error" for e in events):
        st.info(fmt.escape(run.error), icon=":material/cancel:")
    elif run.error:
        st.error(fmt.escape(run.error), icon=":material/error:")
