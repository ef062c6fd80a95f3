"""Converting the chosen model to ONNX: the proof, the gain, what it saves, and the file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from advisor.errors import AdvisorError
from advisor.requirements import Requirements
from deploy.artifact import Artifact, safe_name
from deploy.conversion import Conversion, proof_sentence
from deploy.convert import FORMATS, convert, converting
from deploy.home import home
from ui import format as fmt
from ui import guard
from ui.background import Background

_SAID = "_conversion_said"
conversions: Background[Conversion] = Background("conversions")


def show(artifact: Artifact, need: Requirements | None) -> None:
    """Offered for what can be converted; `need` are the answers, for what it saves."""
    if artifact.format not in FORMATS:
        return
    with st.container(border=True):
        st.header("Convert to ONNX", anchor=False)
        st.markdown(
            "The same model for ONNX Runtime: for one row often tens to hundreds of times as "
            "quick. It is kept only if both give the same answers."
        )
        key = artifact.digest
        now = conversions.of(key)
        under_way = now is not None and not now.is_over
        if st.button(
            "Convert and compare", icon=":material/bolt:", key="convert",
            disabled=under_way or guard.refusal() is not None,
        ):  # fmt: skip
            _start(artifact, need)
            now = conversions.of(key)
        if now is not None and not now.is_over:
            _live(key)
        elif now is not None and now.error:
            st.error(fmt.escape(now.error), icon=":material/error:")
        elif now is not None and now.found is not None:
            _result(now.found)


def saving() -> str:
    """What converting the last model saves, proven and measured here, in words; empty if nothing
    was converted. For the decision record."""
    return str(st.session_state.get(_SAID, ""))


def _start(artifact: Artifact, need: Requirements | None) -> None:
    try:
        guard.require()
        conversions.start(
            artifact.digest,
            lambda tell, cancelled: convert(
                artifact.path, _place(artifact), need=need, progress=tell, cancelled=cancelled
            ),
        )
    except AdvisorError as error:
        st.error(fmt.escape(str(error)), icon=":material/error:")


def _place(artifact: Artifact) -> Path:
    """A folder of its own each time: nothing is overwritten."""
    base = home() / "converted"
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = tempfile.mkdtemp(prefix=f"{artifact.digest[:12]}-", dir=base)
    return Path(folder) / safe_name(f"{artifact.path.stem}.onnx")


@st.fragment(run_every=0.5)
def _live(key: str) -> None:
    now = conversions.of(key)
    if now is None or now.is_over:
        st.rerun(scope="app")
    st.progress(min(now.share, 1.0), text=f"{now.what} …")
    st.button(
        "Stop", icon=":material/stop:", key="stop convert", on_click=conversions.stop, args=(key,),
        disabled=now.stopped,
    )  # fmt: skip


def _result(found: Conversion) -> None:
    gain = found.gain
    columns = st.columns(3)
    columns[0].metric(
        "One row", f"{gain.one:,.3g} × as quick",
        f"{gain.one_before_ms:,.3g} to {gain.one_after_ms:,.3g} ms",
        delta_color="off", delta_arrow="off", border=True,
    )  # fmt: skip
    columns[1].metric(
        f"{gain.batch_rows} rows", f"{gain.batch:,.3g} × as quick",
        f"{gain.batch_before_ms:,.3g} to {gain.batch_after_ms:,.3g} ms",
        delta_color="off", delta_arrow="off", border=True,
    )  # fmt: skip
    columns[2].metric(
        "Largest difference", f"{found.proof.worst:.2g}", f"{found.proof.rows:,} rows compared",
        delta_color="off", delta_arrow="off", border=True,
    )  # fmt: skip
    st.markdown(fmt.escape(proof_sentence(found.proof)))
    if found.money is not None:
        st.markdown(f"**{fmt.escape(found.money.sentence)}**")
        st.session_state[_SAID] = (
            f"{found.source} (sha256 {found.source_digest[:12]}) was converted to ONNX here; "
            f"{proof_sentence(found.proof)} {found.money.sentence}"
        )
    if gain.one < converting().worth_it:
        st.markdown("It gains little here: the model may stay as it is.")
    path = Path(found.file)
    if path.is_file():
        st.download_button(
            f"Download {path.name}", path.read_bytes(), file_name=path.name,
            mime="application/octet-stream", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.markdown("Choose the downloaded file above to measure or deploy it.")
