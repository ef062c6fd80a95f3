"""Behind the verdict: the ranking, what changes it, what was ruled out."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from advisor.recommendation import Flip, Recommendation
from advisor.requirements import Mode, Requirements
from advisor.ruled_out import not_asked_for
from advisor.whatif import Changes
from ui import charts, tables, theme
from ui import format as fmt
from ui.components import later
from ui.components.opened import unfolded
from ui.questions import describe, unit

Names = Mapping[str, str]  # option id -> name

_ON_THE_CARD = 2
FIGURES, SCORES = "Money and speed", "What makes the score"


def ranked(need: Requirements, answer: Recommendation) -> None:
    """All options that fit, sortable, and what each criterion adds."""
    shown = st.segmented_control(
        "Columns", (FIGURES, SCORES), default=FIGURES, key="ranked_columns", required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    if shown == SCORES:
        _contributions(answer)
    else:
        _ranking(need, answer)
        later.clear_rest(1)


def _ranking(need: Requirements, answer: Recommendation) -> None:
    waits = need.traffic.mode is Mode.realtime
    st.dataframe(
        tables.ranking(answer, waits=waits),
        hide_index=True,
        height="content",
        column_config={
            "Rank": st.column_config.NumberColumn(width=45),
            "Option": st.column_config.TextColumn(width="medium"),
            "Cloud bill": st.column_config.NumberColumn(format="$%.0f", help="USD a month"),
            "People": st.column_config.NumberColumn(format="$%.0f", help="USD a month, assumed"),
            "Total": st.column_config.NumberColumn(format="$%.0f", help="USD a month"),
            "Latency": st.column_config.NumberColumn(
                f"p{need.service.percentile:g}", format="%.0f ms"
            ),
            "Finish": st.column_config.NumberColumn(
                fmt.finish_label(need.traffic.mode),
                format="%.1f s" if tables.in_seconds(answer) else "%.2f h",
            ),
            "Score": st.column_config.ProgressColumn(
                min_value=0.0, max_value=max(1.0, *(r.score for r in answer.ranking)), format="%.2f"
            ),
            "Best in draws": st.column_config.NumberColumn(format="%.0f %%"),
        },
        alt=charts.scores_said(answer.ranking),
    )
    with unfolded("The same as a plain table", "ranking") as is_open:
        if is_open:
            st.table(
                tables.ranking_said(answer, waits=waits).map(_cell),
                border="horizontal",
                hide_index=True,
            )


def _contributions(answer: Recommendation) -> None:
    """What each criterion adds to each option's score: sortable, drawn, and as a plain table."""
    frame = tables.contribution_numbers(answer)
    st.dataframe(
        frame,
        hide_index=True,
        height="content",
        column_config={
            name: st.column_config.NumberColumn(format="%.3f")
            for name in frame.columns
            if name != "Option"
        },
        alt=charts.scores_said(answer.ranking),
    )
    st.plotly_chart(
        charts.scores(answer.ranking, dark=theme.is_dark()),
        config={"displayModeBar": False},
        key="scores",
        alt=charts.scores_said(answer.ranking),
    )
    with unfolded("The same as a plain table", "contributions") as is_open:
        if is_open:
            st.table(tables.contributions(answer), border="horizontal", hide_index=True)


def what_changes_it(
    need: Requirements, names: Names, line: DeltaGenerator, table: DeltaGenerator | None
) -> later.Later | None:
    """The flips: in one line on the card, and as a table where that is looked at."""

    def draw(found: Changes) -> None:
        line.markdown(_changes_line(found.flips[:_ON_THE_CARD], names))
        if table is not None:
            with table.container():
                _flips(found.flips, names)

    places = (line,) if table is None else (line, table)
    said = "**Changes if** … trying each answer up and down"
    return later.ask("changes", need, places, draw, said)


def _changes_line(found: tuple[Flip, ...], names: Names) -> str:
    if not found:
        return "**Changes if** nothing nearby: no single answer alters it."
    return "**Changes if** " + "; ".join(
        f"*{fmt.escape(describe(flip.field))}* {_direction(flip)} {_value(flip.field, flip.to)} → "
        f"{fmt.escape(_then(flip, names))}"
        for flip in found
    )


def _flips(found: tuple[Flip, ...], names: Names) -> None:
    if not found:
        st.info("No single answer, changed within reason, changes the winner.")
        return
    st.markdown("Each line is the nearest change of one answer that would change the winner.")
    st.table(
        {
            "Answer": [fmt.escape(describe(flip.field)) for flip in found],
            "Now": [_value(flip.field, flip.from_) for flip in found],
            "Changes at": [_value(flip.field, flip.to) for flip in found],
            "Then": [fmt.escape(_then(flip, names)) for flip in found],
        },
        border="horizontal",
        hide_index=True,
    )


def ruled_out(answer: Recommendation, names: Names) -> None:
    """Every option that is out: the rule with its numbers, and the source of the limit."""
    if not answer.excluded and not answer.unpriced:
        st.info("Nothing was ruled out: every option fits these answers.")
        return
    rows = [
        (
            f"**{fmt.escape(names.get(option, option))}**" if first else "",
            fmt.escape(item.because),
            f"{fmt.linked(item.source)}  \n:gray[rule {fmt.escape(item.rule)}]",
        )
        for option, found in tables.ruled_out(answer).items()
        for first, item in zip([True] + [False] * len(found), found, strict=False)
    ]
    if rows:
        st.table(
            {
                "Option": [row[0] for row in rows],
                "Ruled out because": [row[1] for row in rows],
                "Source": [row[2] for row in rows],
            },
            border="horizontal",
            hide_index=True,
            alt="Options that are ruled out, with the reason and its source",
        )
    if elsewhere := not_asked_for(answer):
        st.caption(f"{fmt.escape(elsewhere)}.")
    if answer.unpriced:
        st.markdown("**Not priced, so not ranked**")
        st.markdown(
            "\n".join(
                f"- {fmt.escape(names.get(item.option, item.option))}: {fmt.escape(item.because)}"
                for item in answer.unpriced
            )
        )


def _then(flip: Flip, names: Names) -> str:
    return names.get(flip.winner, flip.winner) if flip.winner else "nothing fits"


def _direction(flip: Flip) -> str:
    numbers = isinstance(flip.from_, (int, float)) and isinstance(flip.to, (int, float))
    if not numbers or isinstance(flip.to, bool):
        return "is"
    return "rises to" if flip.to > flip.from_ else "falls to"


def _value(path: str, value: object) -> str:
    """An answer with its unit, for st.markdown."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    said = fmt.of_one(unit(path)) if value == 1 else unit(path)
    return fmt.escape(fmt.plain(value) + (said if number else ""))


def _cell(text: object) -> str:
    return fmt.escape(str(text))
