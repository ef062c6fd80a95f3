"""A model with classes of the person's own: the decision to load them, and their code."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from advisor.errors import AdvisorError, UnknownCodeError
from deploy.acceptance import LEAST_REASON, MOST_REASON, Decision, decided
from deploy.artifact import safe_name
from ui import format as fmt
from ui import guard

MOST_FILES = 50


def ask(unknown: UnknownCodeError, folder: Path) -> Decision | None:
    """What was found, and the way on; the decision when it was made just now.

    The code is kept in a folder under `folder`, named by its content.
    """
    with st.container(border=True):
        st.markdown(
            "**It needs code that this product does not know.** If that code is yours, you can "
            "decide that it is loaded: in a confined process without network that can write and "
            "start nothing, and later in the deployed server. Never in this page's own process."
        )
        st.markdown("\n".join(f"- {fmt.escape(line)}" for line in unknown.findings))
        files = st.file_uploader(
            "Its code",
            type=["py"],
            accept_multiple_files=True,
            key="own_code",
            help="The .py files that define the model's own classes and functions. Leave it out "
            "when they come from a package that is installed here.",
        )
        name = st.text_input("Your name", key="own_code_by", max_chars=80, width=420)
        reason = st.text_area(
            "Why it may be loaded",
            key="own_code_reason",
            max_chars=MOST_REASON,
            help=f"At least {LEAST_REASON} characters. It is written into the measurement, the "
            "plan, the decision record and the bundle, with your name.",
        )
        sure = st.checkbox("I know where this file and this code come from", key="own_code_sure")
        if not st.button("Load it in confinement", disabled=not sure, icon=":material/gavel:"):
            return None
        try:
            guard.require()
            return decided(reason, name, _kept(files, folder))
        except AdvisorError as error:
            st.error(fmt.escape(str(error)), icon=":material/error:")
            return None


def _kept(files: list[UploadedFile], folder: Path) -> Path | None:
    """The uploaded code in a folder of its own; None without any."""
    if not files:
        return None
    contents = {safe_name(f.name): f.getvalue() for f in files[:MOST_FILES]}
    seen = sha256()
    for name, content in sorted(contents.items()):
        seen.update(f"{name}\0{sha256(content).hexdigest()}\n".encode())
    into = folder / f"code-{seen.hexdigest()[:16]}"
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in contents.items():
        (into / name).write_bytes(content)
    return into
