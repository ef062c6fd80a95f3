"""A load test: measured response times beside the predicted curve."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from deploy.loadtest.found import LoadTest, Point, remark
from ui import format as fmt
from ui.charts.look import LEGEND, MARGIN, line, marker


def load_test(found: LoadTest, *, dark: bool = False) -> go.Figure:
    """Percentile (ms) over requests a second: the predicted line, and measured points with the
    interval in which they should lie."""
    name = f"p{found.percentile:g}"
    figure = go.Figure()
    figure.add_scatter(
        x=[rate for rate, _ in found.curve], y=[ms for _, ms in found.curve], mode="lines",
        name=f"predicted {name}", line=line(0, dark, width=2.5),
        hovertemplate="%{x:.3g} requests/s: %{y:,.3g} ms predicted<extra></extra>",
    )  # fmt: skip
    shown = [p for p in found.points if p.predicted.low_ms is not None]
    middle = [_middle(p) for p in shown]
    figure.add_scatter(
        x=[p.rate_per_s for p in shown], y=middle, mode="markers", name="interval of such a test",
        marker={**marker(0, dark, 1), "opacity": 0.6}, hoverinfo="skip",
        error_y={
            "type": "data", "symmetric": False,
            "array": [(p.predicted.high_ms or 0) - m for p, m in zip(shown, middle, strict=True)],
            "arrayminus": [m - (p.predicted.low_ms or 0) for p, m in zip(shown, middle, strict=True)],
        },
    )  # fmt: skip
    for counts, label, index in ((True, f"measured {name}", 1), (False, "does not count", 4)):
        points = [p for p in found.points if p.p95_ms is not None and p.counts is counts]
        if points:
            figure.add_scatter(
                x=[p.rate_per_s for p in points], y=[p.p95_ms for p in points], mode="markers",
                name=label, marker=marker(index, dark, 10),
                hovertemplate="%{x:.3g} requests/s: %{y:,.3g} ms measured<extra></extra>",
            )  # fmt: skip
    figure.update_layout(
        height=340, margin=MARGIN | {"t": 24}, legend=LEGEND,
        xaxis={"title": "Requests a second", "rangemode": "tozero"},
        yaxis={"title": f"{name}, ms", "rangemode": "tozero"},
    )  # fmt: skip
    return figure


def load_test_table(found: LoadTest) -> pd.DataFrame:
    """The same as a table, a rate a row."""
    name = f"p{found.percentile:g}"
    return pd.DataFrame(
        [
            {
                "Requests a second": fmt.count(p.rate_per_s),
                "Use": fmt.percent(p.predicted.utilisation),
                "Answered": p.answered,
                "Refused (429)": p.refused,
                "Failed": p.failed,
                f"Measured {name}": _ms(p.p95_ms),
                f"Predicted {name}": _ms(p.predicted.p95_ms),
                "Interval": f"{_ms(p.predicted.low_ms)} to {_ms(p.predicted.high_ms)}",
                "Error": "–" if p.error is None else f"{p.error:+.0%}",
                "Remark": remark(p),
            }
            for p in found.points
        ]
    )


def load_test_said(found: LoadTest) -> str:
    """The same in a sentence."""
    return found.verdict.sentence


def _middle(point: Point) -> float:
    return ((point.predicted.low_ms or 0) + (point.predicted.high_ms or 0)) / 2


def _ms(value: float | None) -> str:
    return "–" if value is None else fmt.milliseconds(value)
