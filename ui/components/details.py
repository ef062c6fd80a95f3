"""Behind the verdict: the ranking, the bill, the week, what changes it, what was ruled out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import wait

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from advisor.recommendation import Flip, Ranked, Recommendation
from advisor.requirements import Mode, Requirements
from ui import advice, charts, tables, theme
from ui import format as fmt
from ui.answers import describe, unit

Names = Mapping[str, str]  # option id -> name

_WAITING = "_waiting_for_changes"
_ON_THE_CARD = 2
_TURN_S = 0.25


def ranked(need: Requirements, answer: Recommendation) -> None:
    """All options that fit, sortable, and what each criterion adds."""
    frame = tables.ranking(answer)
    waits = need.traffic.mode is Mode.realtime
    st.dataframe(
        frame.drop(columns=["Finish"] if waits else ["Latency"]),
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
            "Finish": st.column_config.NumberColumn("Done after", format="%.2g h"),
            "Score": st.column_config.ProgressColumn(
                min_value=0.0, max_value=max(1.0, frame["Score"].max()), format="%.2f"
            ),
            "Best in draws": st.column_config.NumberColumn(format="%.0f %%"),
        },
        alt=charts.scores_said(answer.ranking),
    )
    st.markdown("**What each criterion adds to the score**")
    st.plotly_chart(
        charts.scores(answer.ranking, dark=theme.is_dark()),
        config={"displayModeBar": False},
        key="scores",
        alt=charts.scores_said(answer.ranking),
    )
    with st.expander("The same as a table"):
        st.table(tables.contributions(answer), border="horizontal", hide_index=True)


def cost(answer: Recommendation) -> None:
    """The bills side by side, then one option's bill line by line."""
    people = st.toggle("With people's time", value=True, key="cost_people")
    st.markdown("**USD a month**")
    st.plotly_chart(
        charts.costs(answer.ranking, people=people, dark=theme.is_dark()),
        config={"displayModeBar": False},
        key="costs",
        alt=charts.costs_said(answer.ranking),
    )
    shown = _choose(answer, "cost_of", "The bill of")
    st.table(
        tables.cost_lines(shown).map(_cell),
        border="horizontal",
        hide_index=True,
        alt=f"Cost lines of {shown.name}",
    )
    st.markdown(fmt.escape(tables.cost_totals(shown)))
    if shown.at_least:
        st.warning(
            "A unit price is unknown, so the bill is at least this much. The line says which.",
            icon=":material/help:",
        )
    time = shown.people
    st.markdown(
        fmt.escape(
            f"People's time is assumed, not billed: {fmt.hours(time.monthly_hours)} a month to "
            f"run it and {fmt.hours(time.setup_hours)} to set it up, spread over a year, at "
            f"{fmt.usd(time.hourly_usd)} an hour"
            f"{' (your own hours)' if time.changed_by_user else ''}."
        )
    )


def sizing(answer: Recommendation) -> None:
    """How big, hour by hour, and by which model."""
    shown = _choose(answer, "size_of", "The size of")
    size = shown.sizing
    rows = [
        ("Machine", fmt.machine(shown)),
        ("One request takes, on it", fmt.milliseconds(size.service_time_ms)),
        ("Requests served at once by a replica", fmt.count(size.concurrency)),
        ("Busiest hour", f"{fmt.count(size.arrival_peak_per_s)} requests a second"),
        ("Utilisation in the busiest hour", fmt.percent(size.utilisation)),
        ("Replica-hours a month", fmt.count(size.replica_hours)),
        ("Requests that meet a cold start", fmt.percent(size.cold_start_share, 2)),
        ("Computed with", size.model),
    ]
    st.table(
        {"What": [fmt.escape(name) for name, _ in rows], "Value": [fmt.escape(v) for _, v in rows]},
        border="horizontal",
        hide_index=True,
    )
    for note in size.notes:
        st.markdown(f"- {fmt.escape(note)}")
    if not size.hourly_replicas:
        st.info(
            "There are no replicas to plan: the platform starts one for each request it needs to."
        )
        return
    st.markdown("**Replicas over the week (UTC)**")
    st.plotly_chart(
        charts.replicas(shown, dark=theme.is_dark()),
        config={"displayModeBar": False},
        key="week",
        alt=charts.replicas_said(shown),
    )
    with st.expander("The same as a table"):
        st.table(tables.week(shown), border="horizontal")


def what_changes_it(
    need: Requirements, names: Names, line: DeltaGenerator, table: DeltaGenerator
) -> None:
    """Fill in the flips, in one line and as a table, once they are found.

    To be called last: it waits, with everything else on the page. Each turn of the wait lets a new
    answer interrupt it. (A part of the page that renews itself by a timer would report an old
    address now and then, and so undo an answer.)
    """
    key = need.model_dump_json()
    before = st.session_state.get(_WAITING)
    if before and before != key:
        advice.give_up(before)
    st.session_state[_WAITING] = key
    future = advice.start_whole(need)
    while not future.done():
        line.markdown("**Changes if** :gray[… trying each answer up and down]")
        table.markdown(":gray[Trying each answer up and down …]")
        wait([future], timeout=_TURN_S)
    found = future.result().flips
    line.markdown(_changes_line(found[:_ON_THE_CARD], names))
    with table.container():
        _flips(found, names)


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
    return fmt.escape(fmt.plain(value) + (unit(path) if number else ""))


def _choose(answer: Recommendation, key: str, label: str) -> Ranked:
    by_id = {item.option: item for item in answer.ranking}
    if st.session_state.get(key) not in by_id:
        st.session_state[key] = answer.winner
    chosen = st.selectbox(
        label, list(by_id), format_func=lambda option: by_id[option].name, key=key, width=420
    )
    return by_id[chosen]


def _cell(text: object) -> str:
    return fmt.escape(str(text))
