"""The pictures behind the verdict: money, the week, volume, growth, doubt; each with its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from advisor.errors import InputError
from advisor.recommendation import Ranked, Recommendation
from advisor.requirements import Mode, Requirements
from advisor.traffic import weekly_rates
from advisor.whatif import Growth, VolumeSweep
from ui import advice, charts, state, tables, theme
from ui import format as fmt
from ui.components import later
from ui.components.opened import unfolded
from ui.told import begin

Names = Mapping[str, str]  # option id -> name

GROWTH = "traffic.growth_percent_per_month"
_TRY_GROWTH = (2.0, 5.0, 10.0)


def cost(need: Requirements, answer: Recommendation) -> None:
    """The bills side by side, one option's bill line by line, and what a commitment would save."""
    people = st.toggle("With people's time", value=True, key="cost_people")
    st.markdown("**USD a month**")
    _draw(
        charts.costs(answer.ranking, people=people, dark=theme.is_dark()),
        "costs",
        charts.costs_said(answer.ranking),
    )
    shown = choose(answer, "cost_of", "The bill of")
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
    _purchase(need, shown)
    time = shown.people
    st.markdown(
        fmt.escape(
            f"People's time is assumed, not billed: {fmt.hours(time.monthly_hours)} a month to "
            f"run it and {fmt.hours(time.setup_hours)} to set it up, spread over a year, at "
            f"{fmt.usd(time.hourly_usd)} an hour"
            f"{' (your own hours)' if time.changed_by_user else ''}."
        )
    )


def _purchase(need: Requirements, shown: Ranked) -> None:
    """The same option on demand, with a commitment for a year or three, and on spot machines."""
    choices = advice.purchase(need, shown.option, state.policies())
    if not choices:  # nodes of your own
        return
    st.markdown("**Would you commit for 1 or 3 years, or run on spot?**")
    st.table(
        tables.purchase(choices).map(_cell),
        border="horizontal",
        hide_index=True,
        alt=f"Ways to buy {shown.name}",
    )


def size_and_week(need: Requirements, answer: Recommendation) -> None:
    """How big, hour by hour, by which model, and what happens under more load."""
    shown = choose(answer, "size_of", "The size of")
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
    rates = [float(rate) for rate in weekly_rates(need.traffic)]
    st.markdown("**The week's load and replicas (UTC)**")
    _draw(charts.week(rates, shown, dark=theme.is_dark()), "week", charts.week_said(rates, shown))
    if size.hourly_replicas:
        _as_table("week", lambda: tables.week(shown), index=True)
    else:
        st.info(
            "There are no replicas to plan: the platform starts one for each request it needs to."
        )
    if need.traffic.mode is Mode.realtime:
        st.markdown("**Response time against load**, with the replicas of the busiest hour")
        try:
            curve = advice.load(need, shown.option, state.policies())
        except InputError as error:
            st.info(fmt.escape(str(error)))
            return
        _draw(charts.load(curve, dark=theme.is_dark()), "load", charts.load_said(curve))
        _as_table("load", lambda: charts.load_table(curve))


def volume(need: Requirements, names: Names) -> later.Later | None:
    """What each option costs from few to many requests a month."""
    total = st.toggle("With people's time", value=True, key="volume_people")
    place = st.empty()

    def draw(sweep: VolumeSweep) -> None:
        with place.container():
            said = charts.volume_said(sweep, names)
            st.markdown(fmt.escape(said))
            _draw(charts.volume(sweep, total=total, dark=theme.is_dark()), "volume", said)
            crossings = charts.break_even_table(sweep, names, total=total)
            if len(crossings):
                st.markdown("**Break-even points**")
                st.table(crossings.map(_cell), border="horizontal", hide_index=True)
            else:
                st.markdown("No two of these options change places between these volumes.")
            _as_table("volume", lambda: charts.volume_table(sweep, names, total=total))

    said = "Pricing every option from 100 to a billion requests a month …"
    return later.ask("volume", need, (place,), draw, said)


def growth(need: Requirements, names: Names) -> later.Later | None:
    """What growing traffic does to the choice over 36 months."""
    if need.traffic.growth_percent_per_month == 0:
        st.info(
            "You expect no growth, so every month is like this one. Growth is one of the answers "
            "under *Traffic*; try one here.",
            icon=":material/trending_up:",
        )
        with st.container(horizontal=True):
            for percent in _TRY_GROWTH:
                st.button(
                    f"{percent:g} % a month",
                    key=f"grow {percent:g}",
                    on_click=state.put_changes,
                    args=([(GROWTH, percent)],),
                )
        return None
    place = st.empty()

    def draw(found: Growth) -> None:
        with place.container():
            said = charts.growth_said(found, names)
            st.markdown(fmt.escape(said))
            _draw(charts.growth(found, names, dark=theme.is_dark()), "growth", said)
            if found.present_usd is not None and found.best_usd is not None:
                saved = found.present_usd - found.best_usd
                st.markdown(
                    fmt.escape(
                        f"Staying costs {fmt.usd(found.present_usd)} over these months, moving "
                        f"whenever the advice changes {fmt.usd(found.best_usd)}: "
                        f"{fmt.usd(saved)} less, without the work of moving."
                        if saved > 1
                        else f"Over these months it comes to {fmt.usd(found.present_usd)}."
                    )
                )
            if found.note:
                st.markdown(f":gray[{fmt.escape(found.note)}]")
            _as_table("growth", lambda: charts.growth_table(found, names))

    return later.ask("growth", need, (place,), draw, "Asking for each of 36 months …")


def doubt(answer: Recommendation) -> None:
    """How sure the ranking is."""
    said = charts.stability_said(answer.ranking)
    st.markdown("**How stable the winner is**: first in this share of the redraws")
    _draw(charts.stability(answer.ranking, dark=theme.is_dark()), "doubt", said)
    _as_table("doubt", lambda: charts.stability_table(answer.ranking))


def choose(answer: Recommendation, key: str, label: str) -> Ranked:
    """One of the ranked options, the winner to begin with."""
    by_id = {item.option: item for item in answer.ranking}
    if st.session_state.get(key) not in by_id:
        st.session_state.pop(key, None)
    begin(key, answer.winner)
    chosen = st.selectbox(
        label, list(by_id), format_func=lambda option: by_id[option].name, key=key, width=420
    )
    return by_id[chosen]


def _draw(figure: go.Figure, key: str, said: str) -> None:
    st.plotly_chart(figure, config={"displayModeBar": False}, key=key, alt=said)


def _as_table(key: str, frame: Callable[[], pd.DataFrame], *, index: bool = False) -> None:
    with unfolded("The same as a table", key) as is_open:
        if not is_open:
            return
        made = frame()
        st.table(made if index else made.map(_cell), border="horizontal", hide_index=not index)


def _cell(text: object) -> str:
    return fmt.escape(str(text))
