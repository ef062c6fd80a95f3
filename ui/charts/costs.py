"""What it costs, by line; and what each criterion adds to the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from advisor.recommendation import CostLine, Ranked
from ui import format as fmt
from ui.charts.look import LEGEND, MARGIN, palette
from ui.tables import CRITERIA_LABELS

PEOPLE = "People's time"
OTHER = "Everything else"
_SEGMENTS = 7  # more would not be told apart


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
            marker_color=palette(dark)[index % 9],
            hovertemplate=f"%{{y}}<br>{name}: $%{{x:,.2f}}<extra></extra>",
        )  # fmt: skip
    if people:
        figure.add_bar(**_people_bar(shown, rows, dark))
    figure.update_layout(
        barmode="stack",
        height=150 + 38 * len(shown),
        margin=MARGIN,
        legend=LEGEND,
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
            marker_color=palette(dark)[index % 10],
            hovertemplate=f"%{{y}}<br>{label}: %{{x:.3f}}<extra></extra>",
        )
    figure.update_layout(
        barmode="relative",
        height=150 + 38 * len(rows),
        margin=MARGIN,
        legend=LEGEND,
        yaxis={"autorange": "reversed", "automargin": True},
    )
    return figure


def costs_said(ranking: Sequence[Ranked]) -> str:
    """The cost chart in one sentence, for those who do not see it."""
    parts = [f"{r.name} {fmt.usd(r.total_monthly_usd, at_least=r.at_least)}" for r in ranking[:8]]
    return "Monthly cost with people's time: " + ", ".join(parts) + "."


def scores_said(ranking: Sequence[Ranked]) -> str:
    return "Scores: " + ", ".join(f"{r.name} {r.score:.2f}" for r in ranking) + "."


def _people_bar(shown: Sequence[Ranked], rows: Sequence[str], dark: bool) -> dict[str, Any]:
    return {
        "y": rows,
        "x": [ranked.people_monthly_usd for ranked in shown],
        "name": PEOPLE,
        "orientation": "h",
        "hovertemplate": f"%{{y}}<br>{PEOPLE}: $%{{x:,.2f}}<extra></extra>",
        "marker": {
            "color": palette(dark)[9],
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
