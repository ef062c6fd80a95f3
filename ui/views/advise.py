"""Advise: the questions beside the answer."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from advisor.errors import AdvisorError, InputError, RequirementsError
from advisor.presets import presets
from advisor.recommendation import Recommendation
from advisor.requirements import Requirements
from advisor.whatif import Changes
from ui import advice, catalog, state, told
from ui import format as fmt
from ui.answers import encode, preset_links, to_requirements
from ui.components import (
    against_today,
    comparison,
    details,
    exchange,
    figures,
    later,
    launch,
    pictures,
    price_age,
    questionnaire,
    team_policies,
    traffic_file,
    verdict,
)
from ui.sending import at_once
from ui.turns import TURNS

TABS = (
    "Ranked", "Cost", "Size and week", "Volume", "Growth", "What would change it",
    "Every number", "Ruled out",
)  # fmt: skip
_PRESET = "preset"
_BEHIND = "behind"
_MOST_PARTS = 8  # more than the one state of the page has and the other has not


class _Advised(NamedTuple):
    """An answer that is drawn, and the place on its card for what comes later."""

    need: Requirements
    answer: Recommendation
    place: DeltaGenerator


def show() -> None:
    with TURNS.first():
        notes = state.read_address()
        st.title("Where should your model run?", anchor=False)
        _presets()
        _notes(notes)
        with st.container(key="advice"):
            asked, answered = st.columns([5, 9], gap="medium")
        # The answers are taken over before their widgets are drawn, so the verdict can come first.
        with answered:
            advised = _advise()
    with at_once(), asked, st.container(border=True, key="answers"):
        st.header("Your model and workload", anchor="answers")
        questionnaire.show(catalog.choices())
        team_policies.show()
    state.write_address()
    with at_once(), answered:
        things = _behind(advised) if advised else []
    state.remember_widgets()
    told.all_told()
    later.fill_in(things)
    traffic_file.finish()


def _advise() -> _Advised | None:
    """The verdict for the answers, or why there is none."""
    try:
        need = to_requirements(state.answers())
        answer = advice.verdict(need, state.policies())
    except RequirementsError as error:
        _cannot_advise(error.problems)
        return None
    except InputError as error:
        _cannot_advise([str(error)])
        return None
    except AdvisorError as error:
        st.error(f"The advice could not be computed: {fmt.escape(str(error))}")
        return None
    with at_once():
        return _answered(need, answer)


def _answered(need: Requirements, answer: Recommendation) -> _Advised:
    """The toolbar and the card."""
    exchange.toolbar(need)
    team_policies.effect(answer)
    if answer.winner is None:
        with st.container(key="verdict-none"), st.container(border=True, key="verdict"):
            verdict.nothing_fits(answer)
            return _Advised(need, answer, st.empty())
    with st.container(key=f"verdict-{answer.verdict}"), st.container(border=True, key="verdict"):
        verdict.card(need, answer)
        with st.container(key="to-answers"):
            st.markdown("[Change the answers](#answers)")
        changes = st.empty()
        against_today.show(need, answer)
        launch.buttons(need, answer)
    return _Advised(need, answer, changes)


def _behind(advised: _Advised) -> list[later.Later]:
    """All there is below the verdict; returns what is on its way."""
    TURNS.give_way()
    need, answer = advised.need, advised.answer
    kinds = {ranked.kind for ranked in answer.ranking}
    shape = (len(kinds), bool(answer.warnings), bool(answer.unpriced))
    later.begin_shape(_BEHIND, shape)
    if answer.winner is None:
        things = _nothing_fits(advised)
    else:
        things = _what_stands_behind(need, answer, advised.place)
    later.clear_other_shapes(_BEHIND, shape, _MOST_PARTS)
    return things


def _what_stands_behind(
    need: Requirements, answer: Recommendation, changes: DeltaGenerator
) -> list[later.Later]:
    """The two best side by side, and the tabs."""
    price_age.note(answer.prices_as_of)
    if answer.warnings:
        lines = [fmt.sentence(warning) for warning in answer.warnings]
        # One box: a row of them would cry louder than the verdict.
        st.warning(
            "\n".join(f"- {line}" for line in lines) if len(lines) > 1 else lines[0],
            icon=":material/info:",
        )
    comparison.side_by_side(need, answer)
    TURNS.give_way()
    return _tabs(need, answer, changes)


def _nothing_fits(advised: _Advised) -> list[later.Later]:
    names = catalog.names()
    st.subheader("Ruled out", anchor=False)
    details.ruled_out(advised.answer, names)

    def draw(found: Changes) -> None:
        with advised.place.container():
            verdict.ways_out(found, names)

    said = "Looking for the smallest change that would make something fit …"
    found = later.ask("changes", advised.need, (advised.place,), draw, said)
    return [found] if found else []


def _tabs(need: Requirements, answer: Recommendation, changes: DeltaGenerator) -> list[later.Later]:
    """All there is behind the verdict, built where somebody looks; returns what is on its way."""
    names = catalog.names()
    ranked, cost, size, volume, growth, flips, numbers, ruled_out = st.tabs(
        TABS, key="behind", on_change="rerun"
    )
    things: list[later.Later | None] = []
    table = None
    if ranked.open:
        with ranked:
            details.ranked(need, answer)
    if cost.open:
        with cost:
            pictures.cost(need, answer)
    if size.open:
        with size:
            pictures.size_and_week(need, answer)
    if flips.open:
        with flips:
            pictures.doubt(answer)
            table = st.empty()
    if numbers.open:
        with numbers:
            figures.browser(need, pictures.choose(answer, "numbers_of", "The figures of"))
    if ruled_out.open:
        with ruled_out:
            details.ruled_out(answer, names)
    things.append(details.what_changes_it(need, names, changes, table))
    if volume.open:
        with volume:
            things.append(pictures.volume(need, names))
    if growth.open:
        with growth:
            things.append(pictures.growth(need, names))
    return [thing for thing in things if thing is not None]


def _presets() -> None:
    held = encode(state.answers())
    match = next((name for name, link in preset_links().items() if link == held), None)
    told.follow(_PRESET, match)
    st.pills(
        "Start from an example",
        list(presets()),
        format_func=lambda preset_id: presets()[preset_id].name,
        key=_PRESET,
        on_change=_take_preset,
    )
    if match:
        st.markdown(f":gray[{fmt.escape(presets()[match].description)}]")
    else:
        st.markdown(":gray[Your own answers. Choose an example to start over.]")


def _take_preset() -> None:
    chosen = st.session_state.get(_PRESET)
    if chosen and told.is_click(_PRESET):
        state.put_requirements(presets()[chosen].requirements)


def _notes(notes: list[str]) -> None:
    exchange.file_problems()
    if notes:
        st.warning(
            "**About the link you opened**\n"
            + "\n".join(f"- {fmt.escape(note)}" for note in notes),
            icon=":material/link_off:",
        )


def _cannot_advise(sentences: list[str]) -> None:
    exchange.toolbar(None)
    st.error(
        "**These answers cannot be advised on yet.** They are kept; change what does not fit:\n"
        + "\n".join(f"- {fmt.escape(sentence)}" for sentence in sentences),
        icon=":material/error:",
    )


show()
