"""Charts as plain figures, built from results. Nothing in this file knows Streamlit.

Text and grid colours are left to the page's theme; what is drawn here is readable on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from advisor.recommendation import CostLine, Ranked
from ui import format as fmt
from ui.tables import CRITERIA_LABELS

PALETTE_LIGHT = (
    "#0b5fcc", "#c2410c", "#0f766e", "#7c3aed", "#be185d",
    "#a16207", "#155e75", "#4d7c0f", "#9f1239", "#475569",
)  # fmt: skip
PALETTE_DARK = (
    "#60a5fa", "#fb923c", "#2dd4bf", "#c4b5fd", "#f472b6",
    "#facc15", "#67e8f9", "#a3e635", "#fda4af", "#cbd5e1",
)  # fmt: skip
PEOPLE = "People's time"
OTHER = "Everything else"
_SEGMENTS = 7  # more would not be told apart
_LEGEND = {"orientation": "h", "yref": "container", "y": 0, "x": 0, "traceorder": "normal"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def costs(
    ranking: Sequence[Ranked], *, people: bool = True, dark: bool = False, options: int = 8
) -> go.Figure:
    """Stacked bars, an option a bar, best on top: the bill by line, then people's time (USD)."""
    shown = list(ranking[:options])
    names = _largest_lines(shown)
    rows = [ranked.name for ranked in shown]
    figure = go.Figure()
    for index, name in enumerate(names):
        amounts = [_line_usd(ranked, name, names) for ranked in shown]
        figure.add_bar(
            y=rows, x=amounts, name=name, orientation="h",
            marker_color=_palette(dark)[index % 9],
            hovertemplate=f"%{{y}}<br>{name}: $%{{x:,.2f}}<extra></extra>",
        )  # fmt: skip
    if people:
        figure.add_bar(**_people_bar(shown, rows, dark))
    figure.update_layout(
        barmode="stack",
        height=150 + 38 * len(shown),
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        legend=_LEGEND,
        xaxis={"tickprefix": "$", "tickformat": ",.0f"},
        yaxis={"autorange": "reversed", "automargin": True},
    )
    return figure


def scores(ranking: Sequence[Ranked], *, dark: bool = False) -> go.Figure:
    """Stacked bars, an option a bar, best on top: what each criterion adds to the score."""
    rows = [ranked.name for ranked in ranking]
    keys = list(dict.fromkeys(key for ranked in ranking for key in ranked.contributions))
    figure = go.Figure()
    for index, key in enumerate(keys):
        label = CRITERIA_LABELS.get(key, fmt.name(key))
        figure.add_bar(
            y=rows,
            x=[ranked.contributions.get(key, 0.0) for ranked in ranking],
            name=label,
            orientation="h",
            marker_color=_palette(dark)[index % 10],
            hovertemplate=f"%{{y}}<br>{label}: %{{x:.3f}}<extra></extra>",
        )
    figure.update_layout(
        barmode="relative",
        height=150 + 38 * len(rows),
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        legend=_LEGEND,
        yaxis={"autorange": "reversed", "automargin": True},
    )
    return figure


def replicas(ranked: Ranked, *, dark: bool = False) -> go.Figure:
    """Replicas over the 168 hours of a week, Monday 00:00 UTC first."""
    hours = list(ranked.sizing.hourly_replicas)
    labels = [f"{_DAYS[h // 24]} {h % 24:02d}:00" for h in range(len(hours))]
    figure = go.Figure(
        go.Scatter(
            x=list(range(len(hours))),
            y=hours,
            customdata=labels,
            mode="lines",
            line={"shape": "hv", "width": 2, "color": _palette(dark)[0]},
            fill="tozeroy",
            name="Replicas",
            hovertemplate="%{customdata} UTC: %{y} replicas<extra></extra>",
        )
    )
    figure.update_layout(
        height=260,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        showlegend=False,
        xaxis={
            "tickvals": [d * 24 for d in range(7)],
            "ticktext": list(_DAYS),
            "range": [0, max(len(hours), 1)],
        },
        yaxis={"title": "Replicas", "rangemode": "tozero", "dtick": _tick(max(hours, default=1))},
    )
    return figure


def costs_said(ranking: Sequence[Ranked]) -> str:
    """The cost chart in one sentence, for those who do not see it."""
    parts = [f"{r.name} {fmt.usd(r.total_monthly_usd, at_least=r.at_least)}" for r in ranking[:8]]
    return "Monthly cost with people's time: " + ", ".join(parts) + "."


def scores_said(ranking: Sequence[Ranked]) -> str:
    return "Scores: " + ", ".join(f"{r.name} {r.score:.2f}" for r in ranking) + "."


def replicas_said(ranked: Ranked) -> str:
    hours = ranked.sizing.hourly_replicas
    return (
        f"Replicas of {ranked.name} over the week: between {min(hours)} and {max(hours)}, "
        f"{sum(hours) / len(hours):.1f} on average."
    )


def _people_bar(shown: Sequence[Ranked], rows: Sequence[str], dark: bool) -> dict[str, Any]:
    return {
        "y": rows,
        "x": [ranked.people_monthly_usd for ranked in shown],
        "name": PEOPLE,
        "orientation": "h",
        "hovertemplate": f"%{{y}}<br>{PEOPLE}: $%{{x:,.2f}}<extra></extra>",
        "marker": {
            "color": _palette(dark)[9],
            # A pattern as well as a colour: this is assumed, the rest is billed.
            "pattern": {
                "shape": "/",
                "fillmode": "overlay",
                "fgcolor": "#0f1624" if dark else "#ffffff",
                "fgopacity": 0.5,
                "solidity": 0.25,
            },
        },
    }


def _palette(dark: bool) -> tuple[str, ...]:
    return PALETTE_DARK if dark else PALETTE_LIGHT


def _largest_lines(shown: Sequence[Ranked]) -> list[str]:
    """Names of the lines that matter most in sum, with a rest if there are more."""
    sums: dict[str, float] = {}
    for ranked in shown:
        for line in ranked.lines:
            sums[_segment(line)] = sums.get(_segment(line), 0.0) + line.usd
    names = sorted((name for name in sums if sums[name] > 0), key=lambda name: -sums[name])
    return names if len(names) <= _SEGMENTS else [*names[: _SEGMENTS - 1], OTHER]


def _line_usd(ranked: Ranked, name: str, names: Sequence[str]) -> float:
    if name == OTHER:
        return sum(line.usd for line in ranked.lines if _segment(line) not in names)
    return sum(line.usd for line in ranked.lines if _segment(line) == name)


def _segment(line: CostLine) -> str:
    """The colour a line belongs to: machines are machines, whatever their type."""
    return "Machines" if line.name.endswith(" machines") else line.name


def _tick(most: int) -> int:
    return max(1, -(-most // 6))
