"""What goes in and out: the link, the requirements file, the decision record."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import urlencode

import streamlit as st

from advisor import record
from advisor.requirements import Requirements, dumps
from advisor.rules import Policy
from ui import advice, kept, state, typed
from ui import format as fmt
from ui.answers import encode
from ui.components import conversion, measurement, scenario_file, scenarios
from ui.components.opened import close, opened

_FILE, _UPLOAD = "file", "requirements_file"
_PROBLEMS = "_requirements_problems"
_DECIDERS = "deciders"
_FORMATS: tuple[tuple[str, str, str, Callable[..., str | bytes]], ...] = (
    ("PDF, to read and to file", "pdf", "application/pdf", record.pdf),
    ("Markdown, for the repository", "md", "text/markdown", record.markdown),
    ("JSON, for a program; opens here again", "json", "application/json", record.as_json),
)


def toolbar(need: Requirements | None) -> None:
    """What can be done with the answers as a whole; `need` is None while they contradict."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        link()
        scenarios.menu()
        file(need)
        if need is not None:
            decision_record(need)


def link() -> None:
    """The address that reproduces this page, to copy."""
    with opened("Copy link", ":material/link:", "link") as is_open:
        if is_open:
            st.markdown("This address holds all answers. Whoever opens it sees the same page.")
            base = (st.context.url or "").split("?")[0]
            st.code(f"{base}?{urlencode(encode(state.answers()))}", language=None, wrap_lines=True)


def file(need: Requirements | None) -> None:
    """The requirements as a file, the one that the command line reads."""
    with opened("File", ":material/description:", _FILE) as is_open:
        if not is_open:
            return
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
            "Open a requirements file (YAML), or a decision record (JSON)",
            type=scenario_file.TYPES,
            key=_UPLOAD,
            max_upload_size=scenario_file.LIMIT_MB,
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


def decision_record(need: Requirements) -> None:
    """The decision record, ready for the architecture review, in three formats."""
    with opened("Decision record", ":material/gavel:", "record") as is_open:
        if not is_open:
            return
        st.markdown(
            "The decision with its context, drivers, options, consequences and sources, in the form "
            "of [MADR](https://adr.github.io/madr/)."
        )
        _ask_for_deciders()
        shown = kept.shown()
        notes = (shown.notes if shown else "", measurement.decision(), conversion.saving())
        labels = (shown.name if shown else "", "\n".join(n for n in notes if n))
        deciders = typed.newest(_DECIDERS)
        for label, suffix, mime, write in _FORMATS:
            st.download_button(
                label,
                partial(_record, write, need, state.policies(), labels, deciders),
                file_name=f"decision-record.{suffix}",
                mime=mime,
                icon=":material/download:",
                on_click="ignore",
                width="stretch",
            )


@st.fragment
def _ask_for_deciders() -> None:
    """Apart from the buttons: drawn anew, each would forget a click that was on its way to it."""
    st.text_input(
        "Decision-makers",
        key=_DECIDERS,
        placeholder="to be named",
        max_chars=200,
        persist_state="session",
        help="Stands at the head of the record.",
    )
    typed.keep(_DECIDERS)


def _record(
    write: Callable[..., str | bytes],
    need: Requirements,
    policies: tuple[Policy, ...],
    labels: tuple[str, str],
    deciders: Callable[[], str],
) -> bytes:
    """Written when it is asked for: it needs what would change the answer, and that takes a while.

    That is asked outside of the session, so all that the session holds is given: `labels` are the
    scenario's name and notes.
    """
    name, notes = labels
    whole = advice.whole(need, policies)
    written = write(need, whole, name=name, notes=notes, deciders=deciders())
    return written if isinstance(written, bytes) else written.encode()


def _take_file() -> None:
    upload = st.session_state.get(_UPLOAD)
    st.session_state[_PROBLEMS] = None
    if upload is None:
        return
    found = scenario_file.read(upload.getvalue(), upload.name)
    if isinstance(found, list):
        st.session_state[_PROBLEMS] = (upload.name, found)
        return
    state.put_requirements(found.requirements)
    close(_FILE)
    if found.name and not kept.is_full():
        kept.add(found.name, state.answers(), found.notes, opened=True)
