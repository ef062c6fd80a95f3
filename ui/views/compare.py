"""Compare: up to four scenarios side by side, what differs marked."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from advisor.errors import AdvisorError
from advisor.presets import presets
from ui import advice, kept, nav, state, told
from ui import format as fmt
from ui.answers import flatten, to_requirements
from ui.components import price_age, scenario_cards, scenario_file
from ui.scenarios import COLUMN, MOST_COMPARED, MOST_KEPT, Advised, Kept, Row, answers, results

_FILES, _PROBLEMS = "scenario_files", "_scenario_problems"
_CHOSEN, _EXAMPLE = "compared", "scenario_example"


def show() -> None:
    kept.read_address()
    st.title("Compare scenarios", anchor=False)
    _problems()
    held = kept.held()
    if not held:
        _nothing_yet()
    else:
        _compare(held)
    _more()
    kept.write_address()


def _compare(held: Sequence[Kept]) -> None:
    advised = [_advised(one) for one in held]
    scenario_cards.row(advised)
    chosen = _choose(advised)
    if len(chosen) < 2:
        st.info("Keep a second scenario, or duplicate this one and change it, to compare the two.")
        return
    st.header("What they are advised", anchor=False)
    answered = [one.answer for one in chosen if one.answer is not None]
    if answered:
        price_age.warning(answered[0].prices_as_of)
    rows = results(chosen)
    _table(chosen, rows, "The advice for each scenario")
    st.markdown(
        ":gray[≠ stands before a line in which they differ; what is not as in the first one is bold; "
        "▼ marks the lowest amount.]"
    )
    st.header("What they ask for", anchor=False)
    everything = st.toggle("Show the answers that are the same, too", key="all_answers")
    asked = [row for row in answers(chosen) if everything or row.differs]
    if asked:
        _table(chosen, asked, "The answers of each scenario")
    else:
        st.info("Their answers are all the same.")


def _advised(one: Kept) -> Advised:
    try:
        need = to_requirements(one.answers)
        return Advised(one.name, one.answers, need, advice.verdict(need))
    except AdvisorError as error:
        return Advised(one.name, one.answers, problem=str(error))


def _choose(advised: Sequence[Advised]) -> list[Advised]:
    """All of them up to four; of more, those that are chosen."""
    if len(advised) <= MOST_COMPARED:
        return list(advised)
    names = [one.name for one in advised]
    before = [name for name in st.session_state.get(_CHOSEN, ()) if name in names]
    st.session_state[_CHOSEN] = before or names[:MOST_COMPARED]
    picked = st.multiselect(
        f"Compare (at most {MOST_COMPARED})", names, key=_CHOSEN, max_selections=MOST_COMPARED
    )
    return [one for one in advised if one.name in picked]


def _table(compared: Sequence[Advised], rows: Sequence[Row], alt: str) -> None:
    columns = {
        fmt.escape(one.name): [_cell(row, i) for row in rows] for i, one in enumerate(compared)
    }
    labels = [f"**≠ {fmt.escape(r.label)}**" if r.differs else fmt.escape(r.label) for r in rows]
    st.table({COLUMN: labels, **columns}, border="horizontal", hide_index=True, alt=alt)


def _cell(row: Row, place: int) -> str:
    text = fmt.escape(row.cells[place])
    mark = "▼ " if place in row.lowest else ""
    other = row.cells[place] != row.cells[0]
    return f"**{mark}{text}**" if other else f"{mark}{text}"


def _nothing_yet() -> None:
    with st.container(border=True):
        st.header("No scenario is kept yet", anchor=False)
        st.markdown(
            "A scenario is a set of answers under a name: today's traffic and next year's, your "
            "own containers and a managed service, with and without a GPU. Keep the answers that are "
            "on the Advise page, add an example or open a file, and see what differs."
        )
        with st.container(horizontal=True):
            st.button(
                "Compare my answers with an example",
                type="primary",
                icon=":material/compare:",
                on_click=_begin,
            )
            st.page_link(nav.ADVISE_VIEW, label="To my answers", icon=":material/balance:")


def _begin() -> None:
    """The answers on the Advise page, and the first example that differs from them."""
    kept.add(_own_name(), state.answers(), opened=True)
    mine = kept.held()[0]
    other = next(p for p in presets().values() if flatten(p.requirements) != mine.answers)
    kept.add(other.name, flatten(other.requirements))


def _own_name() -> str:
    shown = kept.shown()
    return shown.name if shown else "My answers"


def _more() -> None:
    """More scenarios: the answers on the Advise page, an example, files."""
    st.header("Add a scenario", anchor=False)
    if kept.is_full():
        st.info(f"{MOST_KEPT} scenarios are kept, which is the most. Delete one to add another.")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        st.button(
            "Add the answers of the Advise page",
            icon=":material/bookmark_add:",
            on_click=lambda: kept.add(_own_name(), state.answers()),
        )
        told.follow(_EXAMPLE, None)  # what is chosen is added, and the box is empty again
        st.selectbox(
            "Add an example",
            list(presets()),
            index=None,
            format_func=lambda preset_id: presets()[preset_id].name,
            placeholder="choose one",
            key=_EXAMPLE,
            on_change=_take_example,
        )
    with right:
        st.file_uploader(
            "Open files (YAML, or decision records in JSON)",
            type=scenario_file.TYPES,
            key=_FILES,
            max_upload_size=scenario_file.LIMIT_MB,
            accept_multiple_files=True,
            on_change=_take_files,
        )


def _take_example() -> None:
    chosen = st.session_state[_EXAMPLE]
    if chosen and told.is_click(_EXAMPLE):
        kept.add(presets()[chosen].name, flatten(presets()[chosen].requirements))


def _take_files() -> None:
    """Take over files that were not taken before; say what is wrong with the others."""
    problems: list[str] = []
    seen: set[str] = st.session_state.setdefault("_scenario_files_seen", set())
    for upload in st.session_state.get(_FILES) or ():
        if upload.file_id in seen:
            continue
        seen.add(upload.file_id)
        found = scenario_file.read(upload.getvalue(), upload.name)
        if isinstance(found, list):
            problems += [f"{upload.name}: {sentence}" for sentence in found]
        elif kept.is_full():
            problems.append(f"{upload.name}: {MOST_KEPT} scenarios are kept already; delete one")
        else:
            name = found.name or upload.name.rsplit(".", 1)[0]
            kept.add(name, flatten(found.requirements), found.notes)
    st.session_state[_PROBLEMS] = problems


def _problems() -> None:
    files: list[str] = st.session_state.get(_PROBLEMS, [])
    for title, said, icon in (
        ("Not taken over; what you had is as it was.", files, ":material/error:"),
        ("About the link you opened", kept.notes(), ":material/link_off:"),
    ):
        if said:
            lines = "\n".join(f"- {fmt.escape(sentence)}" for sentence in said)
            st.warning(f"**{title}**\n{lines}", icon=icon)


show()
