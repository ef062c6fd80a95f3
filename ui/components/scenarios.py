"""Scenarios on the Advise page: keep the answers under a name, open them again, compare them."""

from __future__ import annotations

from functools import partial

import streamlit as st

from advisor.scenario import MAX_NAME
from ui import format as fmt
from ui import kept, nav, state
from ui.answers import same
from ui.components.opened import keep_open, opened
from ui.scenarios import MOST_KEPT

_NAME = "scenario_name"
_MENU = "scenarios"


def menu() -> None:
    """A popover: what is kept, and what can be done with the answers on the page."""
    held = kept.held()
    label = f"Scenarios ({len(held)})" if held else "Scenarios"
    with opened(label, ":material/bookmark:", _MENU) as is_open:
        if not is_open:
            return
        _save_changes()
        _save_as()
        for one in held:
            st.button(
                f"Open {fmt.escape(one.name)}",
                key=f"open {one.name}",
                icon=":material/folder_open:",
                on_click=partial(kept.open_one, one.name),
                width="stretch",
            )
        st.page_link(nav.COMPARE_VIEW, label="Compare side by side", icon=":material/compare:")


def _save_changes() -> None:
    one = kept.current()
    if one is None:
        st.markdown("Keep these answers under a name, change them, and compare the two.")
    elif same(one.answers, state.answers()):
        st.markdown(f"**{fmt.escape(one.name)}** is open and saved.")
    else:
        st.markdown(f"**{fmt.escape(one.name)}** is open; the answers have changed since.")
        st.button(
            f"Save the changes to {fmt.escape(one.name)}",
            icon=":material/save:",
            type="primary",
            on_click=kept.save_current,
            width="stretch",
        )


def _save_as() -> None:
    st.text_input(
        "Name of a new scenario",
        key=_NAME,
        max_chars=MAX_NAME,
        placeholder=_proposed(),
        persist_state="session",
    )
    st.button(
        "Keep as a new scenario",
        icon=":material/bookmark_add:",
        on_click=_keep,
        disabled=kept.is_full(),
        help=f"At most {MOST_KEPT} are kept." if kept.is_full() else None,
        width="stretch",
    )


def _keep() -> None:
    kept.add(st.session_state.get(_NAME) or _proposed(), state.answers(), opened=True)
    st.session_state[_NAME] = ""
    keep_open(_MENU)


def _proposed() -> str:
    shown = kept.shown()
    return shown.name if shown else "My answers"
