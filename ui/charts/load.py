"""Response time against load: what happens when the busiest hour is busier than planned."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from advisor.whatif import LoadCurve
from ui import format as fmt
from ui.charts.look import LEGEND, MARGIN, QUIET, line, palette


def load(curve: LoadCurve, *, dark: bool = False) -> go.Figure:
    """Response time (ms) over requests a second with the replicas of the busiest hour.

    The line ends where no percentile is quoted any more; the target and the planned peak are
    marked.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=list(curve.rates_per_s), y=list(curve.p95_ms), mode="lines",
        name=f"p{curve.percentile:g}", line=line(0, dark, width=2.5), connectgaps=False,
        hovertemplate="%{x:.3g} requests/s: %{y:,.0f} ms<extra></extra>",
    )  # fmt: skip
    if curve.target_ms is not None:
        figure.add_hline(
            y=curve.target_ms, line_color=palette(dark)[1], line_dash="dash",
            annotation_text=f"target {fmt.milliseconds(curve.target_ms)}",
            annotation_position="top left",
        )  # fmt: skip
    figure.add_vline(
        x=curve.peak_per_s, line_color=QUIET, line_dash="dot",
        annotation_text="busiest hour", annotation_position="top left",
    )  # fmt: skip
    figure.update_layout(
        height=320, margin=MARGIN | {"t": 24}, legend=LEGEND, showlegend=False,
        xaxis={"title": "Requests a second", "rangemode": "tozero"},
        yaxis={"title": f"p{curve.percentile:g}, ms", "rangemode": "tozero"},
    )  # fmt: skip
    return figure


def load_table(curve: LoadCurve, rows: int = 14) -> pd.DataFrame:
    """The same as a table of about `rows` rows."""
    every = max(1, len(curve.rates_per_s) // rows)
    return pd.DataFrame(
        [
            {
                "Requests a second": fmt.count(rate),
                "Of the busiest hour": fmt.percent(rate / curve.peak_per_s),
                f"p{curve.percentile:g}": "not quoted" if p95 is None else fmt.milliseconds(p95),
                "Utilisation": "–" if busy is None else fmt.percent(busy),
            }
            for rate, p95, busy in list(
                zip(curve.rates_per_s, curve.p95_ms, curve.utilisation, strict=True)
            )[::every]
        ]
    )


def load_said(curve: LoadCurve) -> str:
    """The same in a sentence."""
    quoted = [
        (rate, p95)
        for rate, p95 in zip(curve.rates_per_s, curve.p95_ms, strict=True)
        if p95 is not None
    ]
    if not quoted:
        return curve.note or "No response time is quoted for this plan."
    rate, p95 = quoted[-1]
    share = fmt.percent(rate / curve.peak_per_s)
    kept = "" if curve.target_ms is None else (
        " within the target" if p95 <= curve.target_ms else
        f", above the target of {fmt.milliseconds(curve.target_ms)}"
    )  # fmt: skip
    return (
        f"At {share} of the busiest hour's rate p{curve.percentile:g} is "
        f"{fmt.milliseconds(p95)}{kept}."
    )
