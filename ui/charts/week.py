"""The week: what comes in each hour, and the replicas that carry it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from advisor.recommendation import Ranked
from ui import format as fmt
from ui.charts.look import LEGEND, MARGIN, line, palette

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LOW = 150  # pixels: among questions, where there is little room


def week(rates: Sequence[float], ranked: Ranked, *, dark: bool = False) -> go.Figure:
    """Requests a second (left) and replicas (right) over 168 hours, Monday 00:00 UTC first.

    `rates` are arrivals a second, one for each hour. An option without replicas shows the load
    alone.
    """
    labels = _hours(len(rates))
    x = list(range(len(rates)))
    figure = go.Figure()
    figure.add_scatter(
        x=x, y=list(rates), customdata=labels, mode="lines", name="Requests a second",
        line=line(0, dark) | {"shape": "hv"}, fill="tozeroy",
        hovertemplate="%{customdata} UTC: %{y:.3g} requests/s<extra></extra>",
    )  # fmt: skip
    replicas = list(ranked.sizing.hourly_replicas)
    if replicas:
        figure.add_scatter(
            x=x, y=replicas, customdata=labels, mode="lines", name="Replicas", yaxis="y2",
            line=line(1, dark, width=2.5) | {"shape": "hv"},
            hovertemplate="%{customdata} UTC: %{y} replicas<extra></extra>",
        )  # fmt: skip
    layout: dict[str, Any] = {
        "height": 300,
        "margin": MARGIN,
        "legend": LEGEND,
        "xaxis": _week_axis(len(rates)),
        "yaxis": {"title": "Requests a second", "rangemode": "tozero"},
    }
    if replicas:
        layout["yaxis2"] = {
            "title": "Replicas", "overlaying": "y", "side": "right", "rangemode": "tozero",
            "dtick": _tick(max(replicas)), "showgrid": False,
        }  # fmt: skip
    figure.update_layout(**layout)
    return figure


def week_said(rates: Sequence[float], ranked: Ranked) -> str:
    """The same in a sentence."""
    load = (
        f"Between {fmt.count(min(rates))} and {fmt.count(max(rates))} requests a second over the "
        "week"
    )
    hours = ranked.sizing.hourly_replicas
    if not hours:
        return f"{load}; {ranked.name} keeps no replicas, it starts what each request needs."
    return (
        f"{load}; replicas of {ranked.name}: between {min(hours)} and {max(hours)}, "
        f"{sum(hours) / len(hours):.1f} on average."
    )


def measured(requests: Sequence[float], *, dark: bool = False) -> go.Figure:
    """Requests in each hour of the week, Monday 00:00 UTC first, as bars."""
    figure = go.Figure()
    figure.add_bar(
        x=list(range(len(requests))), y=list(requests), customdata=_hours(len(requests)),
        marker={"color": palette(dark)[0], "line": {"width": 0}}, offset=0,
        hovertemplate="%{customdata} UTC: %{y:,.6g} requests<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        height=_LOW, margin=MARGIN, bargap=0, xaxis=_week_axis(len(requests)),
        yaxis={"rangemode": "tozero", "nticks": 4},
    )  # fmt: skip
    return figure


def measured_said(requests: Sequence[float]) -> str:
    """The same in a sentence."""
    busiest = max(range(len(requests)), key=requests.__getitem__)
    return (
        f"Between {fmt.count(min(requests))} and {fmt.count(max(requests))} requests an hour over "
        f"the week; most on {_hours(len(requests))[busiest]} UTC."
    )


def _hours(count: int) -> list[str]:
    return [f"{_DAYS[hour // 24]} {hour % 24:02d}:00" for hour in range(count)]


def _week_axis(hours: int) -> dict[str, Any]:
    return {
        "tickvals": [day * 24 for day in range(7)],
        "ticktext": list(_DAYS),
        "range": [0, max(hours, 1)],
    }


def _tick(most: int) -> int:
    return max(1, -(-most // 6))
