"""Cost against volume: what each option costs from few to many requests, and where they cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from advisor.whatif import BreakEven, SweptOption, VolumeSweep
from ui import format as fmt
from ui.charts.look import LEGEND, MARGIN, QUIET, line, marker

Names = Mapping[str, str]
_LINES = 6  # more would not be told apart


def volume(sweep: VolumeSweep, *, total: bool = True, dark: bool = False) -> go.Figure:
    """USD a month over requests a month, both logarithmic; a line an option.

    Break-even points are markers, the volume that was answered a dotted line. `total` includes
    people's time.
    """
    figure = go.Figure()
    for index, option in enumerate(shown(sweep, total=total)):
        figure.add_scatter(
            x=list(sweep.volumes), y=list(_usd(option, total)), name=option.name,
            mode="lines+markers", line=line(index, dark), marker=marker(index, dark, 5),
            connectgaps=False,
            hovertemplate=f"{option.name}<br>%{{x:,.3s}} requests: $%{{y:,.0f}}<extra></extra>",
        )  # fmt: skip
    crossings = break_evens(sweep, total=total)
    if crossings:
        figure.add_scatter(
            x=[c.requests_per_month for c in crossings], y=[c.usd for c in crossings],
            mode="markers", name="Break-even",
            marker={"symbol": "star-diamond-open", "size": 14, "color": QUIET, "line": {"width": 3}},
            customdata=[f"{c.cheaper_below} → {c.cheaper_above}" for c in crossings],
            hovertemplate="%{x:,.3s} requests a month: %{customdata}<extra></extra>",
        )  # fmt: skip
    # A shape on a logarithmic axis is placed by the number itself, an annotation by its logarithm:
    # a shape with a label of its own needs no second place.
    figure.add_shape(
        type="line", x0=sweep.requests_per_month, x1=sweep.requests_per_month, y0=0, y1=1,
        yref="paper", line={"color": QUIET, "dash": "dot"},
        label={"text": "your volume", "textposition": "end", "textangle": 0, "xanchor": "right"},
    )  # fmt: skip
    figure.update_layout(
        height=420, margin=MARGIN | {"t": 26}, legend=LEGEND,
        xaxis={"type": "log", "title": "Requests a month", "dtick": 1},
        yaxis={"type": "log", "tickformat": "$,~r", "dtick": "D2"},
    )  # fmt: skip
    return figure


def shown(sweep: VolumeSweep, *, total: bool = True) -> list[SweptOption]:
    """Those that win or are cheapest somewhere, then the cheapest at the answered volume."""
    wins = [o for o in sweep.options if o.option in sweep.winners]
    cheapest = {
        min(priced)[1]
        for i in range(len(sweep.volumes))
        if (priced := [(u, o.option) for o in sweep.options if (u := _usd(o, total)[i])])
    }
    more = [o for o in sweep.options if o.option in cheapest and o not in wins]
    at = min(
        range(len(sweep.volumes)), key=lambda i: abs(sweep.volumes[i] - sweep.requests_per_month)
    )
    rest = sorted(
        (o for o in sweep.options if o not in wins and o not in more and _usd(o, total)[at]),
        key=lambda o: _usd(o, total)[at] or 0.0,
    )
    return [*wins, *more, *rest][: max(_LINES, len(wins))]


def break_evens(sweep: VolumeSweep, *, total: bool = True) -> list[BreakEven]:
    """The crossings of the options that are drawn."""
    drawn = {o.option for o in shown(sweep, total=total)}
    by = "total" if total else "bill"
    return [
        c for c in sweep.break_even if c.by == by and {c.cheaper_below, c.cheaper_above} <= drawn
    ]


def break_even_table(sweep: VolumeSweep, names: Names, *, total: bool = True) -> pd.DataFrame:
    """Where two options change places: volume, cost there, cheaper below, cheaper above."""
    return pd.DataFrame(
        [
            {
                "Requests a month": fmt.count(c.requests_per_month),
                "Both cost about": fmt.usd(c.usd),
                "Cheaper below": names.get(c.cheaper_below, c.cheaper_below),
                "Cheaper above": names.get(c.cheaper_above, c.cheaper_above),
            }
            for c in break_evens(sweep, total=total)
        ]
    )


def volume_table(sweep: VolumeSweep, names: Names, *, total: bool = True) -> pd.DataFrame:
    """USD a month of each drawn option at every other volume, and who wins there."""
    options = shown(sweep, total=total)
    return pd.DataFrame(
        [
            {"Requests a month": fmt.count(sweep.volumes[i])}
            | {o.name: _cell(_usd(o, total)[i]) for o in options}
            | {"Advice": _name(sweep.winners[i], names)}
            for i in range(0, len(sweep.volumes), 2)
        ]
    )


def volume_said(sweep: VolumeSweep, names: Names) -> str:
    """The same in a sentence: who wins, from which volume on."""
    if not sweep.volumes:
        return "No volume was looked at."
    if not sweep.changes:
        low, high = fmt.count(sweep.volumes[0]), fmt.count(sweep.volumes[-1])
        winner = _name(sweep.winners[0], names)
        return f"The advice is {winner} at every volume from {low} to {high} requests a month."
    parts = [f"{_name(sweep.winners[0], names)} at few requests"]
    parts += [
        f"{_name(c.after, names)} from {fmt.count(c.requests_per_month)} requests a month on"
        for c in sweep.changes
    ]
    return "The advice by volume: " + ", ".join(parts) + "."


def _usd(option: SweptOption, total: bool) -> Sequence[float | None]:
    return option.total_usd if total else option.monthly_usd


def _cell(usd: float | None) -> str:
    return "does not fit" if usd is None else fmt.usd(usd)


def _name(option: str | None, names: Names) -> str:
    return names.get(option, option) if option else "nothing fits"
