"""What must hold for any answers: order, company, targets, traffic, and why an option is out."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.catalog.loader import load_options
from advisor.consider import regions_by_cloud
from advisor.errors import UnknownPriceError
from advisor.prices import load_book
from advisor.recommend import recommend
from advisor.recommendation import Recommendation
from advisor.requirements import Requirements, parse
from advisor.rules import load_rules
from advisor.sizing.choose import size
from advisor.sizing.fleet import Fleet
from advisor.sizing.offers import terms
from advisor.sizing.sized import Sized
from advisor.workload import resolve

BASE = {
    "model": {"format": "onnx", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
    "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
    "placement": {
        "clouds": ["aws", "gcp", "azure", "kubernetes", "own-hardware"],
        "regions": ["us-east-1", "us-central1", "eastus"], "node_hourly_usd": 0.2,
    },
}  # fmt: skip
PLACES = [
    ["us-east-1", "us-central1", "eastus"],
    ["us-east-1", "us-central1", "eastus"],
    ["eu-west-1", "sa-east-1", "europe-west4", "westeurope"],
    ["ap-south-1", "eu-central-1", "us-east-1", "asia-south1", "eastus", "westeurope"],
]
ALL = tuple(load_options())
QUICK = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])

answers = st.fixed_dictionaries(
    {
        "model.service_time_ms": st.floats(1, 400),
        "model.service_time_cv": st.sampled_from([0.0, 0.3, 1.0, 2.0]),
        "model.memory_mb": st.floats(100, 20_000),
        "model.format": st.sampled_from(["onnx", "joblib", "torch"]),
        "traffic.mode": st.sampled_from(["realtime", "realtime", "async", "batch"]),
        "traffic.requests_per_month": st.integers(3, 9).flatmap(
            lambda n: st.floats(10**n, 10 ** (n + 1))
        ),
        "traffic.pattern": st.sampled_from(["steady", "business-hours", "spiky", "nightly"]),
        "traffic.request_mb": st.sampled_from([0.01, 1.0, 5.0]),
        "service.p95_ms": st.floats(40, 6000),
        "service.cold_starts_ok": st.booleans(),
        "service.availability_percent": st.sampled_from([99.0, 99.5, 99.9]),
        "control.models_per_endpoint": st.sampled_from([1, 1, 1, 20]),
        "control.private_network": st.sampled_from([False, False, True]),
        "service.percentile": st.sampled_from([95.0, 95.0, 50.0, 99.0, 99.9]),
        "service.deadline_h": st.sampled_from([1, 6, 24]),
        "model.load_time_s": st.sampled_from([0.2, 3, 15, 60]),
        "model.threads_per_request": st.sampled_from([1, 1, 4]),
        "model.gpu": st.sampled_from([False, False, False, True]),
        "placement.commitment": st.sampled_from(["none", "none", "1y", "3y"]),
        "placement.spot": st.booleans(),
        "placement.spot_alone": st.booleans(),
        "placement.regions": st.sampled_from(PLACES),
    }
)


def need(given_answers: dict[str, object]) -> Requirements:
    data = copy.deepcopy(BASE)
    if given_answers.get("model.gpu"):
        data["placement"]["node_gpu"] = True
    for path, value in given_answers.items():
        section, name = path.split(".")
        data.setdefault(section, {})[name] = value
    return parse(data)


def said(answer: Recommendation) -> dict[str, object]:
    """Everything on each option, without what depends on the company: shares of the redraws."""
    return {
        **{r.option: (r.score, r.machine, r.lines, r.monthly_usd) for r in answer.ranking},
        **{e.option: ("excluded", e.rule, e.because) for e in answer.excluded},
        **{u.option: ("unpriced", u.because) for u in answer.unpriced},
    }


@QUICK
@given(found=answers, seed=st.integers(0, 99))
def test_order_and_company_change_nothing(found: dict[str, object], seed: int) -> None:
    asked = need(found)
    whole = recommend(asked, doubt=False)
    shuffled = list(ALL)
    random.Random(seed).shuffle(shuffled)
    assert recommend(asked, doubt=False, options=shuffled) == whole
    left_out = shuffled[0]
    fewer = recommend(asked, doubt=False, options=shuffled[1:])
    assert said(fewer) == {k: v for k, v in said(whole).items() if k != left_out}
    if left_out != whole.winner:
        assert fewer.winner == whole.winner


@QUICK
@given(found=answers)
def test_an_option_is_out_exactly_when_a_rule_or_the_sizing_says_so(
    found: dict[str, object],
) -> None:
    asked = need(found | {"placement.regions": PLACES[0]})
    answer, work, rules, book = (
        recommend(asked, doubt=False),
        resolve(asked),
        load_rules(()),
        load_book(),
    )
    regions = {"aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}
    ranked = {r.option for r in answer.ranking}
    for option in load_options().values():
        why = {e.rule for e in answer.excluded if e.option == option.id}
        before = {f.rule for f in rules.evaluate(option, work).excluded}
        if before:
            assert why == before, option.id
            continue
        made = size(option, work, regions.get(option.cloud.value, option.cloud.value), book)
        sized = made if isinstance(made, Sized) else made.sized()
        if sized.infeasible is not None:
            assert "sizing" in why, option.id
        assert (option.id in ranked) == (not why), option.id


@QUICK
@given(found=answers, tighter=st.floats(0.2, 0.99))
def test_a_tighter_target_never_needs_fewer_replicas_of_the_same_machine(
    found: dict[str, object], tighter: float
) -> None:
    found |= {"traffic.mode": "realtime"}
    loose = need(found)
    tight = need(found | {"service.p95_ms": float(found["service.p95_ms"]) * tighter})  # type: ignore[arg-type]
    here = regions_by_cloud(loose, load_book())[0]
    for name, option in load_options().items():
        for term in terms(option, loose):
            where = here.get(option.cloud.value, ("us-east-1",))[0]
            try:
                made = size(option, resolve(loose), where, load_book(), term)
            except UnknownPriceError:
                continue
            if not isinstance(made, Fleet):
                continue
            wide, close = made.sized(), replace(made, work=resolve(tight)).sized()
            if close.infeasible is None:
                assert all(
                    b >= a for a, b in zip(wide.hourly_replicas, close.hourly_replicas, strict=True)
                ), name


@QUICK
@given(found=answers, tighter=st.floats(0.2, 0.99))
def test_a_tighter_target_is_never_cheaper(found: dict[str, object], tighter: float) -> None:
    found |= {"traffic.mode": "realtime"}
    loose = recommend(need(found), doubt=False)
    p95 = float(found["service.p95_ms"]) * tighter  # type: ignore[arg-type]
    for ranked in recommend(need(found | {"service.p95_ms": p95}), doubt=False).ranking:
        before = loose.option(ranked.option)
        assert before is not None, ranked.option
        assert ranked.monthly_usd.expected >= before.monthly_usd.expected * (1 - 1e-9)


@QUICK
@given(found=answers, factor=st.floats(1.01, 20))
def test_more_traffic_is_never_cheaper(found: dict[str, object], factor: float) -> None:
    more = float(found["traffic.requests_per_month"]) * factor  # type: ignore[arg-type]
    busier = recommend(need(found | {"traffic.requests_per_month": more}), doubt=False)
    for ranked in recommend(need(found), doubt=False).ranking:
        after = busier.option(ranked.option)
        if after is not None and not (after.at_least or ranked.at_least):
            assert after.monthly_usd.expected >= ranked.monthly_usd.expected * (1 - 1e-9), (
                ranked.option
            )


@QUICK
@given(found=answers)
def test_a_total_is_the_sum_of_its_lines(found: dict[str, object]) -> None:
    for ranked in recommend(need(found), doubt=False).ranking:
        known = [line for line in ranked.lines if line.unit_price_usd is not None]
        total = sum(line.usd for line in known)
        assert ranked.monthly_usd.expected == pytest.approx(total, rel=1e-9)
        assert ranked.at_least == (len(known) < len(ranked.lines))
        for line in known:
            assert line.unit_price_usd is not None
            assert line.usd == pytest.approx(line.quantity * line.unit_price_usd, rel=1e-9)


# Where more traffic once was cheaper: (option, answers, requests a month, as many times more).
ONCE_CHEAPER: tuple[tuple[str, dict[str, object], float, float], ...] = (
    # Around one request in a keep-alive time a busier function starts less often.
    ("lambda-url", {}, 14_000, 1.2),
    ("lambda-url", {}, 20_000, 1.2),
    ("lambda-url", {}, 40_000, 1.2),
    # Kept warm by traffic, a smaller function keeps the target.
    (
        "sagemaker-serverless",
        {
            "model.size_mb": 63, "model.memory_mb": 207, "model.service_time_ms": 926.42,
            "model.service_time_cv": 1.0, "model.threads_per_request": 8, "service.p95_ms": 1353.47,
            "service.percentile": 90.0,
        },
        16_000,
        1.125,
    ),
    # A queue's machine was chosen by its price on demand, and committed to afterwards.
    (
        "ecs-fargate",
        {
            "model.format": "torch", "model.size_mb": 170, "model.memory_mb": 803.67,
            "model.service_time_ms": 1753.78, "model.service_time_cv": 2.0, "traffic.mode": "async",
            "traffic.pattern": "nightly", "service.deadline_h": 1, "placement.commitment": "3y",
            "placement.burstable": True, "placement.regions": ["ap-south-1"],
        },
        38_890_322, 38_929_213 / 38_890_322,
    ),
    # A run's machine was chosen without its disk.
    (
        "eks",
        {
            "model.format": "joblib", "model.size_mb": 868, "model.memory_mb": 117.68,
            "model.service_time_ms": 94.222, "model.service_time_cv": 0.0, "model.load_time_s": 60,
            "traffic.mode": "batch", "service.deadline_h": 0.5, "placement.commitment": "3y",
            "placement.regions": ["eu-west-1"],
        },
        2_100_000, 2_598_551 / 2_100_000,
    ),
)  # fmt: skip


def bill(option: str, found: dict[str, object], requests: float) -> float:
    asked = need({"placement.clouds": ["aws"], **found, "traffic.requests_per_month": requests})
    answer = recommend(asked, doubt=False, options=[option]).option(option)
    assert answer is not None
    return answer.monthly_usd.expected


@pytest.mark.parametrize(("option", "found", "requests", "factor"), ONCE_CHEAPER)
def test_more_traffic_is_not_cheaper_where_it_once_was(
    option: str, found: dict[str, object], requests: float, factor: float
) -> None:
    assert bill(option, found, requests * factor) >= bill(option, found, requests) * (1 - 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check", "also"),
    [
        (test_order_and_company_change_nothing, {"seed": st.integers(0, 99)}),
        (test_an_option_is_out_exactly_when_a_rule_or_the_sizing_says_so, {}),
        (
            test_a_tighter_target_never_needs_fewer_replicas_of_the_same_machine,
            {"tighter": st.floats(0.2, 0.99)},
        ),
        (test_a_tighter_target_is_never_cheaper, {"tighter": st.floats(0.2, 0.99)}),
        (test_more_traffic_is_never_cheaper, {"factor": st.floats(1.01, 20)}),
        (test_a_total_is_the_sum_of_its_lines, {}),
    ],
)
def test_the_same_over_many_answers(
    check: Callable[..., None], also: dict[str, st.SearchStrategy[Any]]
) -> None:
    inner = check.hypothesis.inner_test  # type: ignore[attr-defined]
    settings(QUICK, max_examples=40)(given(found=answers, **also)(inner))()
