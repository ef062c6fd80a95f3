"""Growth: what today's choice costs month by month, and when another one becomes the advice."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from advisor.whatif import Growth
from ui import format as fmt
from ui.charts.look import LEGEND, MARGIN, QUIET, line, marker

Names = Mapping[str, str]


def growth(found: Growth, names: Names, *, dark: bool = False) -> go.Figure:
    """USD a month with people's time: today's winner kept, and the best of each month."""
    months = [row.month for row in found.months]
    figure = go.Figure()
    figure.add_scatter(
        x=months, y=[row.present_total_usd for row in found.months], mode="lines+markers",
        name=f"Stay with {_name(found.present, names)}", line=line(0, dark),
        marker=marker(0, dark, 5),
        hovertemplate="Month %{x}: $%{y:,.0f}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=months, y=[row.winner_total_usd for row in found.months], mode="lines+markers",
        name="The best of each month", line=line(1, dark), marker=marker(1, dark, 5),
        customdata=[_name(row.winner, names) for row in found.months],
        hovertemplate="Month %{x}: $%{y:,.0f} with %{customdata}<extra></extra>",
    )  # fmt: skip
    for change in found.changes:
        figure.add_vline(x=change.month, line_color=QUIET, line_dash="dot")
        figure.add_annotation(
            x=change.month, y=1, yref="paper", text=f"→ {_name(change.after, names)}",
            showarrow=False, xanchor="left", yanchor="top", textangle=-90,
        )  # fmt: skip
    figure.update_layout(
        height=340, margin=MARGIN, legend=LEGEND,
        xaxis={"title": "Months from today", "range": [0, max(months, default=1) or 1]},
        yaxis={"tickprefix": "$", "tickformat": ",.0f", "rangemode": "tozero"},
    )  # fmt: skip
    return figure


def growth_table(found: Growth, names: Names) -> pd.DataFrame:
    """The same as a table, a row a month."""
    return pd.DataFrame(
        [
            {
                "Month": row.month,
                "Requests a month": fmt.count(row.requests_per_month),
                "Advice": _name(row.winner, names),
                "Its total": fmt.usd(row.winner_total_usd),
                "Total of today's choice": fmt.usd(row.present_total_usd)
                if row.present_total_usd is not None
                else f"does not fit: {row.present_because or 'nothing fits'}",
            }
            for row in found.months
        ]
    )


def growth_said(found: Growth, names: Names) -> str:
    """The same in a sentence or two."""
    percent = f"{found.growth_percent_per_month:g} % a month"
    months = found.months[-1].month if found.months else 0
    if not found.changes:
        return (
            f"At a growth of {percent} the advice stays {_name(found.present, names)} for "
            f"{months} months."
        )
    turns = "; ".join(
        f"in month {c.month} ({fmt.count(c.requests_per_month)} requests a month) it becomes "
        f"{_name(c.after, names)}"
        for c in found.changes
    )
    return f"At a growth of {percent} the advice is {_name(found.present, names)}; {turns}."


def _name(option: str | None, names: Names) -> str:
    return names.get(option, option) if option else "nothing fits"
