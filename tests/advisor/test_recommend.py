"""The one door into the decision: what it promises, on requirements that a person could give."""

from __future__ import annotations

import copy
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor import whatif
from advisor.catalog.loader import load_options
from advisor.errors import InputError
from advisor.presets import presets
from advisor.recommend import recommend
from advisor.recommendation import Ranked, Recommendation
from advisor.requirements import Requirements, parse
from advisor.standing import winner
from advisor.whatif import with_answer

BASE = {
    "model": {"format": "joblib", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
    "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
}

HUGE = {
    "model": {"format": "onnx", "size_mb": 400, "memory_mb": 2000, "service_time_ms": 30_000},
    "traffic": {
        "mode": "realtime", "requests_per_month": 5000, "request_mb": 800, "response_mb": 1,
    },
    "service": {"p95_ms": 900, "max_processing_s": 30},
}  # fmt: skip

REALTIME_AWS = {
    "sagemaker-realtime", "sagemaker-serverless", "lambda-apigateway", "lambda-url",
    "ecs-fargate", "ecs-ec2", "eks", "ec2",
}  # fmt: skip


def need(base: dict | None = None, /, **answers: object) -> Requirements:
    data = copy.deepcopy(base or BASE)
    for path, value in answers.items():
        section, name = path.split("__")
        data.setdefault(section, {})[name] = value
    return parse(data)


def bill_of(answer: Recommendation, option: str) -> float | None:
    found = answer.option(option)
    return None if found is None else found.monthly_usd.expected


@pytest.mark.parametrize("preset", presets().values(), ids=lambda p: p.id)
def test_every_preset_gets_a_verdict(preset) -> None:
    answer = recommend(preset.requirements)
    assert answer.verdict in {"managed", "self-hosted"}
    assert answer.winner == answer.ranking[0].option
    assert answer.considered == len(load_options()) == 17
    scores = [r.score for r in answer.ranking]
    assert scores == sorted(scores, reverse=True)
    assert 0 < answer.confidence <= 1


@pytest.mark.parametrize("preset", presets().values(), ids=lambda p: p.id)
def test_every_option_ends_up_in_exactly_one_place(preset) -> None:
    answer = recommend(preset.requirements, doubt=False)
    places = [
        {r.option for r in answer.ranking},
        {e.option for e in answer.excluded},
        {u.option for u in answer.unpriced},
    ]
    assert set.union(*places) == set(load_options())
    assert sum(len(p) for p in places) == 17


@pytest.mark.parametrize("preset", presets().values(), ids=lambda p: p.id)
def test_a_total_is_the_sum_of_its_lines(preset) -> None:
    for ranked in recommend(preset.requirements, doubt=False).ranking:
        lines = math.fsum(line.usd for line in ranked.lines)
        assert ranked.monthly_usd.expected == pytest.approx(lines)
        assert ranked.monthly_usd.low <= ranked.monthly_usd.expected <= ranked.monthly_usd.high
        assert ranked.total_monthly_usd == pytest.approx(lines + ranked.people_monthly_usd)
        assert ranked.score == pytest.approx(sum(ranked.contributions.values()))
        for line in ranked.lines:
            if line.unit_price_usd is None:
                assert ranked.at_least
            else:
                assert line.usd == pytest.approx(line.quantity * line.unit_price_usd)
                assert line.source


def test_the_common_case_sizes_all_aws_options_for_realtime() -> None:
    answer = recommend(need())
    assert {r.option for r in answer.ranking} >= REALTIME_AWS
    for ranked in answer.ranking:
        assert ranked.p95_ms is not None
        assert ranked.p95_ms <= 200
        assert ranked.people_monthly_usd > 0


def test_nothing_fits_a_huge_synchronous_request_under_a_second() -> None:
    answer = whatif.complete(need(HUGE), recommend(need(HUGE)))
    assert answer.verdict == "none"
    assert answer.winner is None
    assert not answer.ranking
    payload = [e for e in answer.excluded if e.option == "sagemaker-realtime"]
    assert any("800 MB" in e.because and "25 MB" in e.because for e in payload)
    assert all(e.because and e.source for e in answer.excluded)
    smallest = answer.relaxations[0]
    assert [c.field for c in smallest.changes] == ["service.p95_ms"]
    relaxed = with_answer(need(HUGE), "service.p95_ms", smallest.changes[0].to)
    assert smallest.option in {r.option for r in recommend(relaxed).ranking}


def test_with_a_minute_the_options_without_a_payload_limit_fit() -> None:
    answer = recommend(need(HUGE, service__p95_ms=60_000))
    fits = {r.option for r in answer.ranking}
    assert {"ecs-fargate", "ecs-ec2", "eks", "ec2"} & fits
    assert not fits & {"sagemaker-realtime", "sagemaker-serverless", "lambda-url"}


def test_relaxations_name_changes_that_really_help() -> None:
    asked = need(budget__monthly_usd=5, traffic__requests_per_month=5e8)
    answer = whatif.complete(asked, recommend(asked))
    assert answer.winner is None
    for relaxation in answer.relaxations:
        changed = asked
        for change in relaxation.changes:
            changed = with_answer(changed, change.field, change.to)
        assert relaxation.option in {r.option for r in recommend(changed).ranking}


def test_flips_are_true() -> None:
    asked = presets()["chatbot"].requirements
    answer = whatif.complete(asked, recommend(asked))
    assert answer.flips
    for flip in answer.flips:
        changed = recommend(with_answer(asked, flip.field, flip.to), doubt=False)
        assert changed.winner == flip.winner != answer.winner


def test_the_same_question_gets_the_same_answer() -> None:
    assert recommend(need()) == recommend(need())


def test_leaving_out_a_loser_changes_nothing_else() -> None:
    whole = recommend(need())
    loser = whole.ranking[-1].option
    without = recommend(need(), options=[o for o in load_options() if o != loser])
    assert without.winner == whole.winner
    for ranked in without.ranking:
        same = whole.option(ranked.option)
        assert isinstance(same, Ranked)
        assert (same.score, same.lines, same.monthly_usd) == (
            ranked.score, ranked.lines, ranked.monthly_usd,
        )  # fmt: skip


def test_hosting_and_cloud_are_kept_to() -> None:
    assert {r.kind for r in recommend(need(control__hosting="managed")).ranking} == {"managed"}
    own = recommend(
        need(placement__clouds=["own-hardware"], placement__node_hourly_usd=0.2,
             service__availability_percent=99)
    )  # fmt: skip
    assert [r.option for r in own.ranking] == ["docker-host"]


def test_own_hardware_without_a_price_is_at_least() -> None:
    answer = recommend(need(placement__clouds=["own-hardware"], service__availability_percent=99))
    assert answer.ranking[0].at_least
    assert any(line.unit_price_usd is None for line in answer.ranking[0].lines)


def test_a_misspelt_region_is_named() -> None:
    with pytest.raises(InputError, match="us-esat-1"):
        recommend(need(placement__regions=["us-esat-1"]))


def test_a_cloud_without_a_region_gets_its_default_and_says_so() -> None:
    answer = recommend(need(placement__clouds=["aws", "gcp"]))
    assert any("us-central1" in w for w in answer.warnings)


def test_an_unknown_model_class_is_named() -> None:
    with pytest.raises(InputError, match="gradient-bosting"):
        recommend(need(model__service_time_ms=None, model__model_class="gradient-bosting"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    requests=st.floats(1e3, 1e9),
    factor=st.floats(1.05, 30),
    service_ms=st.floats(1, 120),
    pattern=st.sampled_from(["steady", "business-hours", "spiky"]),
)
def test_more_traffic_is_never_cheaper(
    requests: float, factor: float, service_ms: float, pattern: str
) -> None:
    asked = {"model__service_time_ms": service_ms, "traffic__pattern": pattern}
    less = recommend(need(traffic__requests_per_month=requests, **asked), doubt=False)
    more = recommend(need(traffic__requests_per_month=requests * factor, **asked), doubt=False)
    for ranked in less.ranking:
        bill = bill_of(more, ranked.option)
        if bill is not None:
            assert bill >= ranked.monthly_usd.expected * (1 - 1e-9), ranked.option


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    p95=st.floats(40, 2000),
    factor=st.floats(1.05, 10),
    requests=st.floats(1e4, 1e8),
)
def test_a_tighter_target_is_never_cheaper(p95: float, factor: float, requests: float) -> None:
    tight = recommend(need(service__p95_ms=p95, traffic__requests_per_month=requests), doubt=False)
    loose = recommend(
        need(service__p95_ms=p95 * factor, traffic__requests_per_month=requests), doubt=False
    )
    for ranked in tight.ranking:
        bill = bill_of(loose, ranked.option)
        assert bill is not None, ranked.option
        assert bill <= ranked.monthly_usd.expected * (1 + 1e-9), ranked.option


@pytest.mark.parametrize("preset", presets().values(), ids=lambda p: p.id)
def test_the_quick_winner_is_the_winner(preset) -> None:
    assert winner(preset.requirements) == recommend(preset.requirements, doubt=False).winner
