"""Figures tested as objects: what is drawn is what was computed."""

from __future__ import annotations

import pytest
import sample

from ui import charts, tables


def test_cost_bars_add_up_to_the_totals() -> None:
    answer = sample.recommendation()
    figure = charts.costs(answer.ranking)
    for index, ranked in enumerate(answer.ranking):
        drawn = sum(bar.x[index] for bar in figure.data)
        assert drawn == pytest.approx(ranked.total_monthly_usd)
        assert figure.data[0].y[index] == ranked.name
    assert figure.layout.barmode == "stack"
    assert figure.data[-1].name == charts.PEOPLE


def test_many_lines_are_folded_without_losing_money() -> None:
    lines = tuple(sample.line(f"Thing {n}", 10.0 + n) for n in range(12))
    ranked = sample.ranked("ecs-ec2", "self-hosted", sum(x.usd for x in lines), lines=lines)
    figure = charts.costs([ranked])
    assert charts.OTHER in [bar.name for bar in figure.data]
    assert len(figure.data) <= 8
    assert sum(bar.x[0] for bar in figure.data) == pytest.approx(ranked.total_monthly_usd)


def test_scores_add_up() -> None:
    answer = sample.recommendation()
    figure = charts.scores(answer.ranking)
    assert sum(bar.x[0] for bar in figure.data) == pytest.approx(answer.ranking[0].score)


def test_the_week_starts_on_monday_midnight() -> None:
    rates = [float(hour) for hour in range(168)]
    figure = charts.week(rates, sample.recommendation().ranking[0])
    load, line = figure.data
    assert list(load.y) == rates
    assert len(line.y) == 168
    assert (line.y[7], line.y[8], line.y[24 * 5 + 8]) == (2, 4, 2)
    assert line.customdata[8] == "Mon 08:00"


@pytest.mark.parametrize("dark", [True, False])
def test_colours_differ_between_neighbours_and_suit_the_theme(dark: bool) -> None:
    figure = charts.costs(sample.recommendation().ranking, dark=dark)
    colours = [bar.marker.color for bar in figure.data]
    assert len(set(colours)) == len(colours)
    assert set(colours) <= set(charts.PALETTE_DARK if dark else charts.PALETTE_LIGHT)


def test_palettes_are_those_of_the_theme() -> None:
    import tomllib
    from pathlib import Path

    config = Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml"
    theme = tomllib.loads(config.read_text())["theme"]
    assert theme["light"]["chartCategoricalColors"] == list(charts.PALETTE_LIGHT)
    assert theme["dark"]["chartCategoricalColors"] == list(charts.PALETTE_DARK)


def test_each_chart_is_said_in_words() -> None:
    answer = sample.recommendation()
    assert "Vertex online at least $840" in charts.costs_said(answer.ranking)
    assert "between 2 and 4" in charts.week_said([1.0] * 168, answer.ranking[0])


def test_an_unknown_price_is_never_zero_in_the_table() -> None:
    frame = tables.cost_lines(sample.recommendation().ranking[2])
    row = frame[frame["Line"] == "Logs"].iloc[0]
    assert row["Unit price"] == "unit price unknown"
    assert row["A month"] == "unknown"


def test_exclusions_are_grouped_by_option() -> None:
    out = tables.ruled_out(sample.recommendation())
    assert [e.rule for e in out["lambda-url"]] == ["payload", "cold-starts"]


def test_csv_has_no_formula() -> None:
    import pandas as pd

    text = tables.csv(pd.DataFrame({"=name": ["=1+1", "ok"], "n": [-1, 2]})).decode()
    assert text.splitlines() == ["'=name,n", "'=1+1,-1", "ok,2"]
