"""The model to deploy: a file from the browser or one of the examples, looked at before use."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from advisor.errors import AdvisorError, UnknownCodeError
from advisor.requirements import Requirements
from deploy.acceptance import Decision
from deploy.artifact import Artifact, inspect_bytes
from deploy.home import home
from ui import format as fmt
from ui.components import own_code
from ui.components.busy import busy

_ARTIFACT = "_artifact"
_SAID = "_artifact_error"
_UPLOAD = "model_file"
_LET_GO = "_uploads_let_go"
_PENDING = "_artifact_pending"
_UNKNOWN = "_artifact_unknown"  # (name, content, the refusal that a person may overrule)
_PARAM = "model"
_FOLDER = re.compile(r"^[0-9a-f]{8,64}$")
_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_EXAMPLE_SUFFIXES = (".joblib", ".onnx", ".skops")
_SUFFIXES = ("joblib", "pkl", "pickle", "skops", "onnx", "pt", "pt2", "ubj", "json", "txt")
_VERDICT = {
    "safe": (":green[Safe]: this format cannot carry code."),
    "allow-listed": (
        ":green[Allowed]: the format can carry code, and all of it is on the allow-list. It was "
        "loaded in a confined process, never in this one."
    ),
    "accepted": (
        ":orange[Accepted]: it loads code outside the allow-list, because somebody decided so. It "
        "was loaded in a confined process, never in this one."
    ),
    "refused": ":red[Refused]: it asks for code outside the allow-list. Nothing of it was run.",
}


def choose(need: Requirements | None) -> Artifact | None:
    """The chosen model, or None. What cannot be used is said, and where it differs from `need`."""
    st.file_uploader(
        "Your model file",
        type=list(_SUFFIXES),
        key=_upload_key(),
        on_change=_take_upload,
        help="joblib, pickle, skops, ONNX, TorchScript, XGBoost or LightGBM. The file stays on the "
        "machine that runs this app.",
    )
    found = examples()
    if found:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("No file at hand?", width="content")
            for path in found:
                st.button(
                    f"Use the example {path.name}",
                    key=f"example {path.name}",
                    on_click=_take_example,
                    args=(path,),
                )
    place = st.empty()
    _look(place)
    said = st.session_state.get(_SAID)
    if said:
        st.error(fmt.escape(said), icon=":material/gpp_bad:")
    _decide(place)
    artifact: Artifact | None = st.session_state.get(_ARTIFACT)
    if artifact is not None:
        _report(artifact, need)
    return artifact


def examples() -> list[Path]:
    """The example models that come with the product (or were made by `make examples`)."""
    return sorted(path for path in _EXAMPLES.glob("*") if path.suffix in _EXAMPLE_SUFFIXES)


def example_request(digest: str) -> str | None:
    """The request that belongs to an example model, by the digest of the model."""
    for path in examples():
        request = path.with_name(f"{path.stem}_request.json")
        if request.exists() and sha256(path.read_bytes()).hexdigest() == digest:
            return json.dumps(json.loads(request.read_text(encoding="utf-8")))
    return None


def _report(artifact: Artifact, need: Requirements | None) -> None:
    with st.container(border=True):
        st.markdown(
            f"**{fmt.escape(artifact.path.name)}** · {fmt.name(artifact.format)} · "
            f"{_size(artifact)} · sha256 `{artifact.digest[:12]}`"
        )
        st.markdown(_VERDICT[artifact.safety.verdict])
        if artifact.accepted is not None:
            st.markdown(fmt.escape(artifact.accepted.sentence))
        signature = artifact.signature
        if signature is not None and signature.n_features:
            st.markdown(
                f"It is a {signature.task} that takes {signature.n_features} numbers a row."
            )
        findings = [*artifact.safety.findings, *artifact.safety.confinement]
        if findings:
            with st.expander("What the safety check found"):
                st.markdown("\n".join(f"- {fmt.escape(line)}" for line in findings))
        if need is not None and artifact.format != need.model.format.value:
            st.markdown(
                f":orange[The advice was for {fmt.name(need.model.format.value)}; this file is "
                f"{fmt.name(artifact.format)}.]"
            )


def _size(artifact: Artifact) -> str:
    megabytes = artifact.size_mb
    return f"{megabytes * 1000:.3g} kB" if megabytes < 1 else f"{megabytes:.3g} MB"


def _take_upload() -> None:
    upload = st.session_state.get(_upload_key())
    _forget()
    if upload is not None:
        st.session_state[_PENDING] = (upload.name, upload.getvalue())


def _take_example(path: Path) -> None:
    _forget()
    if st.session_state.get(_upload_key()) is not None:
        # The file that was uploaded is no longer the model: only another widget shows none.
        st.session_state[_LET_GO] = st.session_state.get(_LET_GO, 0) + 1
    st.session_state[_PENDING] = (path.name, path.read_bytes())


def _upload_key() -> str:
    let_go = st.session_state.get(_LET_GO, 0)
    return f"{_UPLOAD} {let_go}" if let_go else _UPLOAD


def _forget() -> None:
    for key in (_ARTIFACT, _SAID, _PENDING, _UNKNOWN):
        st.session_state.pop(key, None)
    if _PARAM in st.query_params:
        del st.query_params[_PARAM]


def _look(place: DeltaGenerator) -> None:
    """Look at a model that was just chosen, or again at the one that the address names."""
    pending = st.session_state.pop(_PENDING, None)
    if pending is None and not {_ARTIFACT, _UNKNOWN} & set(st.session_state):
        pending = _named_by_address()
    if pending is None:
        return
    _inspect(place, *pending)


def _decide(place: DeltaGenerator) -> None:
    """Where all that is wrong is unknown code: let a person decide."""
    held = st.session_state.get(_UNKNOWN)
    if held is None:
        return
    name, data, unknown = held
    decision = own_code.ask(unknown, home() / "code")
    if decision is not None:
        _inspect(place, name, data, decision)
        st.rerun()


def _inspect(
    place: DeltaGenerator, name: str, data: bytes, decision: Decision | None = None
) -> None:
    try:
        with busy("Looking at the model, in a confined process", place):
            artifact = inspect_bytes(name, data, _kept(), decision=decision)
    except UnknownCodeError as unknown:
        st.session_state[_UNKNOWN] = (name, data, unknown)
        st.session_state[_SAID] = str(unknown)
        return
    except AdvisorError as error:
        st.session_state[_SAID] = str(error)
        return
    st.session_state.pop(_UNKNOWN, None)
    st.session_state.pop(_SAID, None)
    st.session_state[_ARTIFACT] = artifact
    st.query_params[_PARAM] = artifact.path.parent.name


def _named_by_address() -> tuple[str, bytes] | None:
    """A refresh keeps the model: uploads are stored in folders named by their content."""
    folder = st.query_params.get(_PARAM, "")
    if not _FOLDER.match(folder):
        return None
    files = [path for path in (_kept() / folder).glob("*") if path.is_file()]
    return (files[0].name, files[0].read_bytes()) if len(files) == 1 else None


def _kept() -> Path:
    return home() / "models"
