"""What a session holds: the answers, and how they meet the address bar.

The address bar is written after each change and read when it changes by other means: a link that
was opened, an address that was edited, the browser's Back button (which so undoes an answer).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from advisor.requirements import Requirements
from advisor.rules import Policy
from ui import told
from ui.answers import Answers as Answers
from ui.answers import changed, decode, encode, flatten, same, starting_answers
from ui.questions import describe, questions
from ui.scenarios import PREFIX

# Names that begin with an underscore are ours; all others belong to widgets.
ANSWERS = "_answers"
NOTES = "_link_notes"
POLICIES = "_policies"
WEEK = "_week_numbers"  # the 168 numbers that a file or a link brought
OWN_WEEK = "168 numbers"  # chosen instead of a named pattern
_LINK = "_link_written"
_PUT = "_answers_put"
_SEEN = "_form_widgets"
_PAGE, _CAME_FROM = "_page", "_came_from"
_ARRIVED, _OVER_BARE = "_came_without_answers", "_link_over_bare"
_WIDGETS = "_widgets_before"
_NOT_OURS = ("embed", "embed_options")
BESIDE = "_link_beside"  # parameters of the address that stand beside the answers


def turn_to(page: str) -> None:
    """Remember which page is shown and which was shown before."""
    st.session_state[_CAME_FROM] = st.session_state.get(_PAGE)
    st.session_state[_PAGE] = page


def answers() -> Answers:
    """The answers of this session, on whichever page; the first preset to begin with."""
    held: Answers | None = st.session_state.get(ANSWERS)
    if held is None:
        held = st.session_state[ANSWERS] = starting_answers()
    return held


def policies() -> tuple[Policy, ...]:
    """The policies of this session, on top of those that the server has in force."""
    held: tuple[Policy, ...] = st.session_state.get(POLICIES, ())
    return held


def put(new: Answers) -> None:
    """Replace all answers (a preset, a file, a relaxation); to be called in a callback."""
    st.session_state[ANSWERS] = new
    st.session_state[_PUT] = True
    st.session_state[NOTES] = []
    _forget_widgets()


def put_requirements(need: Requirements) -> None:
    put(flatten(need))


def put_changes(changes: Iterable[tuple[str, Any]]) -> None:
    told.take_up()
    _absorb()
    put(changed(answers(), changes))


def read_address() -> list[str]:
    """Take over answers from the address where it says something new.

    Returns sentences about what a link said that could not be used.
    """
    told.take_up()
    given = address()
    written = st.session_state.get(_LINK)
    if not given and not same_page():
        st.session_state[_ARRIVED] = True
    put = st.session_state.pop(_PUT, False)
    if put or given == written or newer_than_address() or _back_on_arrival(given):
        _absorb()  # the newest answers are the session's; the address follows
    elif given or ANSWERS not in st.session_state or same_page():
        link = decode(given)
        st.session_state[ANSWERS] = link.answers
        # Read is as good as written: a run that is interrupted before it writes must not make the
        # next one take this address for a new one, and the answer that interrupted it for old.
        st.session_state[_LINK] = given
        _forget_widgets()
        notes = [f"{sentence}; it was left out." for sentence in link.dropped]
        if given and link.filled:
            names = ", ".join(f"“{describe(path)}”" for path in link.filled)
            notes.append(f"It does not answer {names}: taken from the first example.")
        st.session_state[NOTES] = notes
    shown: list[str] = st.session_state.setdefault(NOTES, [])
    return shown


def write_address() -> None:
    """Let the address say the answers. An untouched first example keeps the bare address."""
    held = answers()
    link = encode(held)
    bare = not address()
    if bare and same(held, starting_answers()):
        link = {}
    beside: dict[str, str] = st.session_state.get(BESIDE, {})
    if st.session_state.pop(_ARRIVED, False):
        st.session_state[_OVER_BARE] = link
    if {**link, **beside} != _all_of_address():
        st.query_params.from_dict({**link, **beside})
    st.session_state[_LINK] = link
    remember_widgets()


def address() -> dict[str, str]:
    """The answers of the address: without the scenarios beside them and Streamlit's own."""
    return {k: v for k, v in _all_of_address().items() if not k.startswith(PREFIX)}


def _all_of_address() -> dict[str, str]:
    return {k: v for k, v in st.query_params.to_dict().items() if k not in _NOT_OURS}


def saw(path: str, widget_value: Any) -> None:
    """Keep what a widget of the form gave."""
    st.session_state.setdefault(_SEEN, set()).add(path)
    answers()[path] = _answer(path, widget_value)


def _absorb() -> None:
    """Take over what the widgets say before anything is drawn from the answers."""
    held = answers()
    for path in st.session_state.get(_SEEN, ()):
        if told.is_late(path):
            st.session_state.pop(path, None)  # drawn from the answers, once more
        elif path in st.session_state:
            held[path] = _answer(path, st.session_state[path])


def _answer(path: str, widget_value: Any) -> Any:
    kind = questions()[path].kind
    if kind == "text":
        return (widget_value or "").strip() or None
    if kind == "week" and widget_value == OWN_WEEK:
        return st.session_state[WEEK]
    return list(widget_value) if kind in ("choices", "texts") else widget_value


def remember_widgets() -> None:
    """What the widgets of the page say: at the end of a run, and once the address is written."""
    st.session_state[_WIDGETS] = _widgets()


def remember_widget(key: str) -> None:
    """The same for one widget, at the end of a fragment: only a whole run looks at all of them."""
    before = st.session_state.get(_WIDGETS)
    if before is not None and key in before:
        before[key] = st.session_state.get(key)


def widget_changed() -> bool:
    """Whether somebody used a widget since the last whole run.

    The browser may then still report the address of the run before, because the new one was on
    its way when the click came: that address must not win over the answers. Without a change the
    address was changed by other means, by Back or by hand.
    """
    before = st.session_state.get(_WIDGETS, {})
    return any(key in before and before[key] != value for key, value in _widgets().items())


def _widgets() -> dict[str, Any]:
    # `to_dict` looks once; items() would look everything up again for each of them.
    return {k: v for k, v in st.session_state.to_dict().items() if not k.startswith("_")}


def newer_than_address() -> bool:
    """Whether the answers go before what the browser says is the address: see `widget_changed`.

    So they do where the connection broke: the newest address may have gone with it. Not after Back
    or Forward: a button that was pressed before counts as used in that run, too.
    """
    return (widget_changed() or told.is_new_connection()) and not went_back()


def went_back() -> bool:
    """Whether this run was begun by the browser's Back or Forward."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and context.is_history_navigation


def _back_on_arrival(given: dict[str, str]) -> bool:
    """Whether Back led to the address without answers that a link from another page led to.

    The browser keeps that one too, below the one with the answers that was then written over it; the
    answers on the page are the ones that belong to it.
    """
    if given or not went_back():
        return False
    left = st.session_state.get(_LINK)
    return bool(left) and left == st.session_state.pop(_OVER_BARE, None)  # once: then it is gone


def same_page() -> bool:
    return bool(st.session_state.get(_CAME_FROM) == st.session_state.get(_PAGE))


def _forget_widgets() -> None:
    """Let every widget start again from the answers."""
    st.session_state[_SEEN] = set()
    told.forget(questions())
