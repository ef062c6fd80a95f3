"""Figures tested as objects: what is drawn is what was computed."""

from __future__ import annotations

import pytest
import sample

from advisor.presets import presets
from advisor.recommend import recommend
from advisor.requirements import parse
from advisor.whatif import growth, load_curve, volume_sweep
from ui import catalog, charts, tables
from ui.charts.look import DASHES, MARKERS

NEED = presets()["custom-app"].requirements


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


def test_measured_hours_stand_on_the_axis_of_the_week() -> None:
    figure = charts.measured([float(h) for h in range(168)])
    bar = figure.data[0]
    assert (bar.customdata[0], bar.customdata[167]) == ("Mon 00:00", "Sun 23:00")
    assert list(figure.layout.xaxis.tickvals) == [0, 24, 48, 72, 96, 120, 144]
    assert "most on Sun 23:00 UTC" in charts.measured_said([float(h) for h in range(168)])


def test_the_week_starts_on_monday_midnight() -> None:
    rates = [float(hour) for hour in range(168)]
    figure = charts.week(rates, sample.recommendation().ranking[0])
    load, line = figure.data
    assert list(load.y) == rates
    assert len(line.y) == 168
    assert (line.y[7], line.y[8], line.y[24 * 5 + 8]) == (2, 4, 2)
    assert line.customdata[8] == "Mon 08:00"


def test_cost_against_volume_is_the_sweep_with_its_break_even_points() -> None:
    sweep = volume_sweep(NEED, low=1e5, high=1e8, points=7)
    names = catalog.names()
    for total in (True, False):
        figure = charts.volume(sweep, total=total)
        lines = [t for t in figure.data if t.name != "Break-even"]
        assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
        for trace in lines:
            option = next(o for o in sweep.options if o.name == trace.name)
            assert tuple(trace.x) == sweep.volumes
            assert tuple(trace.y) == (option.total_usd if total else option.monthly_usd)
        winners = {w for w in sweep.winners if w}
        assert winners <= {next(o.option for o in sweep.options if o.name == t.name) for t in lines}
        crossings = charts.break_even_table(sweep, names, total=total)
        marked = [t for t in figure.data if t.name == "Break-even"]
        assert sum(len(t.x) for t in marked) == len(crossings)
        # Told apart without colour: no two lines share dash and marker.
        looks = [(t.line.dash, t.marker.symbol) for t in lines]
        assert len(set(looks)) == len(looks)
    (shape,) = figure.layout.shapes
    assert shape.x0 == NEED.traffic.requests_per_month
    table = charts.volume_table(sweep, names)
    assert list(table["Advice"]) == [names[w] if w else "nothing fits" for w in sweep.winners[::2]]
    assert names[sweep.winners[0]] in charts.volume_said(sweep, names)


def test_growth_is_drawn_month_by_month_with_each_change_of_advice() -> None:
    data = NEED.model_dump(mode="json")
    data["traffic"]["growth_percent_per_month"] = 40
    found = growth(parse(data), 12)
    names = catalog.names()
    stay, best = charts.growth(found, names).data
    assert list(best.x) == list(range(13))
    assert list(stay.y) == [row.present_total_usd for row in found.months]
    assert list(best.y) == [row.winner_total_usd for row in found.months]
    assert len(charts.growth_table(found, names)) == 13
    said = charts.growth_said(found, names)
    assert all(f"month {c.month} " in said for c in found.changes)


def test_latency_against_load_ends_where_nothing_is_quoted() -> None:
    ranked = recommend(NEED, doubt=False).ranking[0]
    curve = load_curve(NEED, ranked)
    figure = charts.load(curve)
    assert tuple(figure.data[0].y) == curve.p95_ms
    lines = {s.y0 if s.y0 == s.y1 else s.x0 for s in figure.layout.shapes}
    assert lines == {curve.target_ms, curve.peak_per_s}
    assert "of the busiest hour's rate" in charts.load_said(curve)
    assert len(charts.load_table(curve)) >= 10
    silent = curve.model_copy(
        update={"p95_ms": (None,) * len(curve.p95_ms), "note": "Nobody waits."}
    )
    assert charts.load_said(silent) == "Nobody waits."


def test_stability_shows_the_winner_and_whoever_ever_won() -> None:
    ranking = list(sample.recommendation().ranking)
    ranking[1] = ranking[1].model_copy(update={"best_in_draws": 0.13})
    ranking[2] = ranking[2].model_copy(update={"best_in_draws": 0.0})
    (bars,) = charts.stability(ranking).data
    assert list(bars.x) == [87.0, 13.0]
    assert list(charts.stability_table(ranking)["First in draws"]) == ["87.0 %", "13.0 %"]
    assert "87 %" in charts.stability_said(ranking)


def test_dashes_and_markers_are_enough_for_the_lines_of_a_chart() -> None:
    assert len(set(DASHES)) == len(DASHES) >= 6
    assert len(set(MARKERS)) == len(MARKERS) >= 6


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
