"""Measure a model on this machine, and take the figures into the questionnaire."""

from __future__ import annotations

import streamlit as st

from advisor.errors import AdvisorError
from advisor.requirements import Requirements
from deploy.acceptance import decision_of
from deploy.artifact import Artifact
from deploy.measure import SAMPLE_TYPES, known, last_kept
from deploy.measurement import Measurement
from ui import format as fmt
from ui import guard, measuring, nav, state
from ui.answers import to_requirements
from ui.components import conversion, measurement, model_file


def show() -> None:
    st.title("Measure my model", anchor=False)
    st.markdown(
        "How long one request takes, how much memory it needs and how fast it starts decide the "
        "size and the bill. Measured here in seconds, on your own model, in a process that may "
        "neither write nor reach the network."
    )
    refused = guard.refusal()
    if refused:
        st.error(fmt.escape(refused), icon=":material/lock:")
        return
    artifact = model_file.choose(_need())
    if artifact is None:
        return
    sample = st.file_uploader(
        "Rows to measure with (optional)",
        type=[ending.lstrip(".") for ending in SAMPLE_TYPES],
        help="JSON, JSON lines or CSV, some hundred rows at most. Without it, one row of neutral "
        "values is made from what the model file says about its input.",
    )
    found = _last(artifact)
    if st.button(
        "Measure again" if found else "Measure", icon=":material/speed:",
        type="secondary" if found else "primary",
    ):  # fmt: skip
        _start(artifact, (sample.name, sample.getvalue()) if sample else None)
    now = measuring.of(artifact.digest)
    if now is not None and not now.is_over:
        _live(artifact.digest)
        return
    if now is not None and now.error:
        told = st.info if now.stopped else st.error
        told(fmt.escape(now.error), icon=":material/stop:" if now.stopped else ":material/error:")
        if found is not None:
            st.markdown(f"The figures below are those of {found.measured_at:%Y-%m-%d %H:%M} UTC.")
    if found is not None:
        measurement.show(found)
        if measurement.use(found):
            st.switch_page(nav.ADVISE_VIEW)
    if artifact.accepted is None:  # nothing converts code of one's own
        conversion.show(artifact, _need())


def _need() -> Requirements | None:
    """The answers, to say where the file differs from them; None while they do not fit together."""
    try:
        return to_requirements(state.answers())
    except AdvisorError:
        return None


def _last(artifact: Artifact) -> Measurement | None:
    now = measuring.of(artifact.digest)
    if now is not None and now.found is not None:
        return now.found
    try:
        found, elsewhere = known(artifact.digest), last_kept(artifact.digest)
        if found is None and elsewhere is not None:
            st.info(
                f"Measured before on {fmt.escape(elsewhere.machine.cpu)}, "
                f"{elsewhere.machine.cores} cores, {elsewhere.measured_at:%Y-%m-%d}. This is "
                "another machine, or its speed is told by other data now: measure again.",
                icon=":material/info:",
            )
        return found
    except AdvisorError as error:
        st.warning(fmt.escape(str(error)), icon=":material/warning:")
        return None


def _start(artifact: Artifact, sample: tuple[str, bytes] | None) -> None:
    try:
        guard.require()
        measuring.start(artifact.digest, artifact.path, sample, decision_of(artifact.accepted))
    except AdvisorError as error:
        st.error(fmt.escape(str(error)), icon=":material/error:")


@st.fragment(run_every=0.5)
def _live(digest: str) -> None:
    now = measuring.of(digest)
    if now is None or now.is_over:
        st.rerun(scope="app")
    st.progress(now.share, text=f"{now.what} …")
    st.button(
        "Stop", icon=":material/stop:", on_click=measuring.stop, args=(digest,),
        disabled=now.stopped,
    )  # fmt: skip


show()
