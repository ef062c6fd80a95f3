"""Scenarios as cards: name, verdict, and what can be done with each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import streamlit as st

from advisor import scenario
from advisor.scenario import MAX_NAME, Scenario
from ui import format as fmt
from ui import kept, nav
from ui.scenarios import Advised

_OPENED = "_scenario_to_show"


def row(advised: Sequence[Advised]) -> None:
    """A card for each scenario, side by side on a wide screen."""
    if st.session_state.pop(_OPENED, False):
        st.switch_page(nav.ADVISE_VIEW)
    grid = st.grid(min(4, max(2, len(advised))), min_column_width=230)
    for number, one in enumerate(advised):
        with grid.container(border=True, height="stretch"):
            _card(number, one)


def _card(number: int, one: Advised) -> None:
    key = f"rename {one.name}"
    st.text_input(
        f"Name of scenario {number + 1}",
        value=one.name,
        max_chars=MAX_NAME,
        key=key,
        on_change=partial(_rename, one.name, key),
    )
    st.markdown(_said(one))
    with st.container(horizontal=True, gap="xsmall"):
        st.button(
            "Open",
            key=f"show {one.name}",
            icon=":material/folder_open:",
            help=f"Show {fmt.escape(one.name)} on the Advise page",
            on_click=partial(_open, one.name),
        )
        st.button(
            "Duplicate",
            key=f"copy {one.name}",
            icon=":material/content_copy:",
            help=f"Keep a copy of {fmt.escape(one.name)}",
            on_click=partial(kept.duplicate, one.name),
            disabled=kept.is_full(),
        )
        if one.need is not None:
            notes = next(k.notes for k in kept.held() if k.name == one.name)
            st.download_button(
                "YAML",
                scenario.dumps(Scenario(one.need, one.name, notes)),
                file_name=f"{_file_name(one.name)}.yaml",
                mime="application/yaml",
                key=f"yaml {one.name}",
                icon=":material/download:",
                help=f"Download {fmt.escape(one.name)} as the file that the command line reads",
                on_click="ignore",
            )
        st.button(
            "Delete",
            key=f"delete {one.name}",
            icon=":material/delete:",
            help=f"Delete {fmt.escape(one.name)}; the browser's Back brings it back",
            on_click=partial(kept.remove, one.name),
        )


def _said(one: Advised) -> str:
    if one.answer is None:
        return f":red[Cannot be advised on:] {fmt.escape(one.problem)}"
    if not one.answer.ranking:
        return "**Nothing fits** these answers"
    best = one.answer.ranking[0]
    total = fmt.usd(best.total_monthly_usd, at_least=best.at_least)
    return f"**{fmt.escape(best.name)}**  \n{fmt.escape(total)} a month, bill and people"


def _rename(old: str, key: str) -> None:
    kept.rename(old, st.session_state[key])


def _open(name: str) -> None:
    kept.open_one(name)
    st.session_state[_OPENED] = True


def _file_name(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name).strip("-").lower() or "scenario"
