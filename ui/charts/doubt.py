"""How sure the ranking is: in which share of the redraws each option came out first."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from advisor.recommendation import Ranked
from ui import format as fmt
from ui.charts.look import MARGIN, QUIET, palette

_SEEN = 0.005
CLOSE = 0.6  # below this share of draws the page speaks of a close call


def stability(ranking: Sequence[Ranked], *, close: float = CLOSE, dark: bool = False) -> go.Figure:
    """Bars, an option a bar, best on top: share of draws won, in percent."""
    shown = _shown(ranking)
    shares = [ranked.best_in_draws * 100 for ranked in shown]
    figure = go.Figure(
        go.Bar(
            y=[ranked.name for ranked in shown],
            x=shares,
            orientation="h",
            marker_color=[palette(dark)[0 if ranked.kind == "managed" else 2] for ranked in shown],
            text=[fmt.percent(ranked.best_in_draws) for ranked in shown],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: first in %{x:.1f} % of draws<extra></extra>",
        )
    )
    figure.add_vline(x=close * 100, line_color=QUIET, line_dash="dash")
    figure.add_annotation(
        x=close * 100, y=1.02, yref="paper", text="close call below", showarrow=False,
        xanchor="right", yanchor="bottom",
    )  # fmt: skip
    figure.update_layout(
        height=90 + 34 * len(shown),
        margin=MARGIN | {"t": 28, "r": 48},
        showlegend=False,
        xaxis={"range": [0, 100], "ticksuffix": " %"},
        yaxis={"autorange": "reversed", "automargin": True},
    )
    return figure


def stability_table(ranking: Sequence[Ranked]) -> pd.DataFrame:
    """The same as a table: option, kind, share of draws won."""
    shown = _shown(ranking)
    return pd.DataFrame(
        {
            "Option": [r.name for r in shown],
            "Kind": [r.kind for r in shown],
            "First in draws": [fmt.percent(r.best_in_draws, 1) for r in shown],
        }
    )


def stability_said(ranking: Sequence[Ranked]) -> str:
    """The same in a sentence."""
    parts = [f"{r.name} {fmt.percent(r.best_in_draws)}" for r in _shown(ranking)]
    return "First in this share of draws: " + ", ".join(parts) + "."


def _shown(ranking: Sequence[Ranked]) -> list[Ranked]:
    """The winner, and whoever won often enough to be seen."""
    return [r for i, r in enumerate(ranking) if i == 0 or r.best_in_draws >= _SEEN]
