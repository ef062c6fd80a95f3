"""What-ifs: what they say is what the advisor answers when it is asked back."""

from __future__ import annotations

import importlib
import itertools
import json
import math

import pytest

from advisor import whatif
from advisor.catalog.loader import load_options
from advisor.cli import main
from advisor.errors import InputError, WhatIfCancelledError
from advisor.presets import presets
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from advisor.standing import winner

SMALL = {
    "model": {"format": "joblib", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
    "traffic": {
        "mode": "realtime", "requests_per_month": 2_000_000, "growth_percent_per_month": 25,
    },
    "team": {"devops_skill": "expert"},
}  # fmt: skip


def need(**answers: object) -> Requirements:
    data = json.loads(json.dumps(SMALL))
    for path, value in answers.items():
        section, name = path.split("__")
        data.setdefault(section, {})[name] = value
    return parse(data)


@pytest.fixture(scope="module")
def sweep() -> whatif.VolumeSweep:
    return whatif.volume_sweep(need(), points=9)


def cost(asked: Requirements, option: str, by: str) -> float:
    found = recommend(asked, doubt=False).option(option)
    assert found is not None
    return found.monthly_usd.expected if by == "bill" else found.total_monthly_usd


def test_a_sweep_says_what_the_advisor_says_at_each_volume(sweep: whatif.VolumeSweep) -> None:
    assert [o.option for o in sweep.options] == list(load_options())
    assert sweep.volumes[0] == pytest.approx(100)
    assert sweep.volumes[-1] == pytest.approx(1e9)
    for at in (0, 4, 8):
        answer = recommend(whatif.at_volume(need(), sweep.volumes[at]), doubt=False)
        assert sweep.winners[at] == answer.winner
        for swept in sweep.options:
            ranked = answer.option(swept.option)
            assert swept.fits[at] == (ranked is not None)
            if ranked is None:
                assert swept.because[at]
                assert swept.monthly_usd[at] is swept.machine[at] is None
            else:
                assert swept.monthly_usd[at] == ranked.monthly_usd.expected
                assert swept.total_usd[at] == ranked.total_monthly_usd
                assert swept.machine[at] == ranked.machine
                assert swept.replicas_max[at] == ranked.replicas.max


def test_more_traffic_is_never_cheaper_along_a_sweep(sweep: whatif.VolumeSweep) -> None:
    for swept in sweep.options:
        bills = [b for b in swept.monthly_usd if b is not None]
        assert all(b >= a * (1 - 1e-9) for a, b in itertools.pairwise(bills))


def test_break_even_points_hold_when_asked_back(sweep: whatif.VolumeSweep) -> None:
    assert sweep.break_even
    for point in sweep.break_even:
        assert point.just_below <= point.requests_per_month <= point.just_above
        assert point.just_above / point.just_below < 1.005
        below = whatif.at_volume(need(), point.just_below)
        above = whatif.at_volume(need(), point.just_above)
        first, then = point.cheaper_below, point.cheaper_above
        assert cost(below, first, point.by) < cost(below, then, point.by)
        assert cost(above, then, point.by) < cost(above, first, point.by)
        assert cost(below, first, point.by) == point.usd


def test_the_winner_changes_where_the_sweep_says(sweep: whatif.VolumeSweep) -> None:
    assert sweep.changes
    for change in sweep.changes:
        assert winner(whatif.at_volume(need(), change.just_below)) == change.before
        assert winner(whatif.at_volume(need(), change.just_above)) == change.after
        assert change.before != change.after
    assert sweep.changes[0].before == sweep.winners[0]
    assert sweep.changes[-1].after == sweep.winners[-1]


def test_growth_agrees_with_the_advice_at_each_volume() -> None:
    grown = whatif.growth(need(), 24)
    assert len(grown.months) == 25
    assert grown.months[0].winner == grown.present == winner(need())
    for month in grown.months[::6]:
        assert month.requests_per_month == pytest.approx(2e6 * 1.25**month.month)
        answer = recommend(whatif.at_volume(need(), month.requests_per_month), doubt=False)
        assert month.winner == answer.winner
        assert month.winner_total_usd == answer.ranking[0].total_monthly_usd
    winners = [m.winner for m in grown.months]
    turned = [i for i in range(1, 25) if winners[i] != winners[i - 1]]
    assert [c.month for c in grown.changes] == turned != []


def test_without_growth_every_month_is_alike() -> None:
    grown = whatif.growth(need(traffic__growth_percent_per_month=0))
    assert not grown.changes
    assert len({m.model_copy(update={"month": 0}) for m in grown.months}) == 1
    assert grown.best_usd == pytest.approx(36 * (grown.months[0].winner_total_usd or math.nan))


def test_growth_ends_where_the_answers_end() -> None:
    grown = whatif.growth(need(traffic__growth_percent_per_month=100))
    assert len(grown.months) == 19  # 2e6 x 2^18 = 5.2e11; the next doubling passes 1e12
    assert "beyond" in grown.note


def test_the_order_of_options_changes_nothing() -> None:
    options = list(load_options())
    assert recommend(need(), options=options[::-1]) == recommend(need(), options=options)


def test_flips_of_the_volume_hold_on_both_sides() -> None:
    asked = need(traffic__requests_per_month=20_000_000)
    answer = recommend(asked, doubt=False)
    found = [f for f in whatif.flips(asked, answer) if f.field == "traffic.requests_per_month"]
    assert found
    for flip in found:
        assert winner(whatif.with_answer(asked, flip.field, flip.to)) == flip.winner
        assert flip.winner != answer.winner
        nearer = flip.to / 1.08 if flip.to > 20_000_000 else flip.to * 1.08
        assert winner(whatif.with_answer(asked, flip.field, nearer)) == answer.winner


def test_a_given_peak_keeps_its_proportion() -> None:
    asked = need(traffic__peak_requests_per_second=5)
    moved = whatif.at_volume(asked, 8_000_000)
    assert moved.traffic.peak_requests_per_second == pytest.approx(20)


def test_against_today() -> None:
    asked = need(today__option="eks", today__monthly_usd=900)
    answer = recommend(asked, doubt=False)
    against = whatif.against_today(asked, answer)
    assert against is not None
    best, eks = answer.ranking[0], answer.option("eks")
    assert eks is not None
    assert against.reckoned_monthly_usd == eks.monthly_usd.expected
    assert against.saves_monthly_usd == pytest.approx(900 - best.monthly_usd.expected)
    assert against.saves_total_usd == pytest.approx(
        900 + eks.people_monthly_usd - best.total_monthly_usd
    )
    assert against.saves_people_hours == pytest.approx(
        eks.people.monthly_hours.expected - best.people.monthly_hours.expected
    )
    assert against.p95_ms == eks.p95_ms


def test_against_today_says_why_an_option_is_not_reckoned() -> None:
    asked = need(today__option="sagemaker-batch")
    against = whatif.against_today(asked, recommend(asked, doubt=False))
    assert against is not None
    assert not against.fits
    assert "real-time" in against.because
    assert against.reckoned_monthly_usd is against.saves_monthly_usd is None
    assert against.people_hours is not None


def test_nothing_said_about_today_is_nothing_to_compare() -> None:
    assert whatif.against_today(need(), recommend(need(), doubt=False)) is None


def test_a_load_curve_passes_through_the_plan() -> None:
    asked = need(traffic__requests_per_month=4e8)
    for ranked in recommend(asked, doubt=False).ranking:
        curve = whatif.load_curve(asked, ranked, points=27)  # 20 steps to the peak, 6 beyond
        assert curve.rates_per_s[20] == pytest.approx(curve.peak_per_s)
        assert curve.p95_ms[20] == pytest.approx(ranked.p95_ms, rel=0.02)
        quoted = [t for t in curve.p95_ms if t is not None]
        assert quoted == sorted(quoted) or ranked.sizing.model.startswith("one instance")
        for load, time in zip(curve.utilisation, curve.p95_ms, strict=True):
            assert load is None or (time is None) == (load > curve.highest_quoted_utilisation)


def test_a_load_curve_of_other_requirements_is_refused() -> None:
    ranked = recommend(need(traffic__requests_per_month=4e8), doubt=False).option("ec2")
    assert ranked is not None
    with pytest.raises(InputError, match="not what these requirements lead to"):
        whatif.load_curve(need(model__memory_mb=200_000), ranked)


@pytest.mark.parametrize("preset", presets().values(), ids=lambda p: p.id)
def test_what_ifs_of_every_preset_are_json(preset) -> None:
    asked = preset.requirements
    answer = recommend(asked, doubt=False)
    parts = [
        whatif.volume_sweep(asked, points=3),
        whatif.growth(asked, 2),
        *(whatif.load_curve(asked, r) for r in answer.ranking),
    ]
    for part in parts:
        assert type(part).model_validate_json(part.model_dump_json()) == part


@pytest.mark.parametrize(
    "wrong", [{"low": 0}, {"low": 10, "high": 5}, {"high": 1e13}, {"points": 1}, {"points": 10_000}]
)
def test_a_range_that_is_none_is_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match="requests a month"):
        whatif.volume_sweep(need(), **wrong)


def test_whoever_stops_waiting_stops_the_work() -> None:
    answer = recommend(need(), doubt=False)
    asked = []

    def after_three() -> bool:
        asked.append(1)
        return len(asked) > 3

    for run in (
        lambda: whatif.volume_sweep(need(), cancelled=after_three),
        lambda: whatif.growth(need(), cancelled=after_three),
        lambda: whatif.flips(need(), answer, cancelled=after_three),
    ):
        asked.clear()
        with pytest.raises(WhatIfCancelledError):
            run()
        assert len(asked) == 4


def test_the_terminal_prints_them_all(tmp_path, capsys) -> None:
    file = tmp_path / "need.json"
    file.write_text(json.dumps({**SMALL, "today": {"option": "eks", "monthly_usd": 900}}))
    assert main(["whatif", str(file), "--low", "1e6", "--high", "1e8", "--months", "6"]) == 0
    out = capsys.readouterr().out
    assert "Break-even" in out
    assert "Growth of 25 % a month" in out
    assert "Against today" in out
    assert main(["whatif", str(file), "--what", "growth", "--format", "json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"growth"}
    assert main(["whatif", str(file), "--low", "7", "--high", "5"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("preset", ["chatbot", "custom-app", "nightly-scoring"])
def test_volumes_in_one_pass_flip_where_they_flip_one_by_one(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = presets()[preset].requirements
    answer = recommend(asked, doubt=False)
    together = whatif.flips(asked, answer)
    module = importlib.import_module("advisor.whatif.flips")
    monkeypatch.setattr(module, "_many_volumes", lambda *_: None)
    assert whatif.flips(asked, answer) == together
