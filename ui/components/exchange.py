"""What goes in and out: the link, the requirements file, the decision record."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from advisor import record
from advisor.errors import RequirementsError
from advisor.recommendation import Recommendation
from advisor.requirements import MAX_FILE_BYTES, Requirements, dumps, loads
from ui import advice, state
from ui import format as fmt
from ui.answers import encode

_UPLOAD = "requirements_file"
_PROBLEMS = "_requirements_problems"


def link() -> None:
    """The address that reproduces this page, to copy."""
    with st.popover("Copy link", icon=":material/link:"):
        st.markdown("This address holds all answers. Whoever opens it sees the same page.")
        base = (st.context.url or "").split("?")[0]
        st.code(f"{base}?{urlencode(encode(state.answers()))}", language=None, wrap_lines=True)


def file(need: Requirements | None) -> None:
    """The requirements as a file, the one that the command line reads."""
    with st.popover("File", icon=":material/description:"):
        if need is not None:
            st.download_button(
                "Download the answers (YAML)",
                dumps(need),
                file_name="requirements.yaml",
                mime="application/yaml",
                icon=":material/download:",
                on_click="ignore",
            )
            st.markdown("`python -m advisor recommend requirements.yaml` gives the same verdict.")
        st.file_uploader(
            "Open a requirements file (YAML or JSON)",
            type=["yaml", "yml", "json"],
            key=_UPLOAD,
            max_upload_size=max(1, MAX_FILE_BYTES // 1_000_000),
            on_change=_take_file,
        )


def file_problems() -> None:
    """What was wrong with the file that was opened last; the answers on the page were kept."""
    said = st.session_state.get(_PROBLEMS)
    if not said:
        return
    file_name, sentences = said
    st.error(
        f"**{fmt.escape(file_name)} was not taken over; your answers are as they were.**\n"
        + "\n".join(f"- {fmt.escape(sentence)}" for sentence in sentences),
        icon=":material/error:",
    )


def decision_record(need: Requirements, answer: Recommendation) -> None:
    """The decision record, ready for the architecture review."""
    title = "Run the model on " + answer.ranking[0].name if answer.ranking else "Run the model"
    st.download_button(
        "Decision record",
        lambda: record.markdown(need, advice.whole(need), title=title),
        file_name="decision-record.md",
        mime="text/markdown",
        icon=":material/download:",
        on_click="ignore",
        help="Markdown in the MADR form: context, options, outcome, consequences, sources.",
    )


def _take_file() -> None:
    upload = st.session_state.get(_UPLOAD)
    st.session_state[_PROBLEMS] = None
    if upload is None:
        return
    try:
        text = upload.getvalue().decode("utf-8")
        need = loads(text, name=upload.name)
    except UnicodeDecodeError:
        st.session_state[_PROBLEMS] = (upload.name, ["it is not UTF-8 text; save it as YAML"])
    except RequirementsError as error:
        st.session_state[_PROBLEMS] = (upload.name, error.problems)
    else:
        state.put_requirements(need)
