"""Commitments and spot through the whole recommendation: the bill, its lines, and the choices."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.prices import load_book
from advisor.purchase import break_even_months, purchase_choices
from advisor.recommend import recommend
from advisor.recommendation import Ranked
from advisor.requirements import Requirements, parse
from advisor.whatif import load_curve

BOOK = load_book()
EC2_OPTIONS = ("ec2", "ecs-ec2", "eks")


def need(traffic: dict[str, Any] | None = None, **placement: Any) -> Requirements:
    return parse(
        {
            "model": {
                "format": "joblib", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20,
            },
            "traffic": {
                "mode": "realtime", "requests_per_month": 60_000_000,
                "pattern": "business-hours", **(traffic or {}),
            },
            "placement": {"clouds": ["aws"], **placement},
        }
    )  # fmt: skip


def plan(asked: Requirements, option: str) -> Ranked:
    found = recommend(asked, options=[option], doubt=False).option(option)
    assert found is not None
    return found


def test_a_year_of_ec2_by_hand() -> None:
    """Two replicas all week: 2 x 730 h at the rate of the commitment, nothing above it."""
    asked = need({"requests_per_month": 2_000_000, "pattern": "steady"}, commitment="1y")
    asked = parse(
        asked.model_dump(mode="json") | {"service": {"p95_ms": 200, "availability_percent": 99.99}}
    )
    got = plan(asked, "ecs-ec2")
    assert got.replicas.min == got.replicas.max == 2
    machine = BOOK.machine("ec2", "us-east-1", got.machine)
    rate = BOOK.commitment(
        "ec2", "1y", family=machine.family, region="us-east-1", cpu_only=True,
        programmes=("EC2 Instance Savings Plan", "EC2 Standard Reserved Instance"),
    )  # fmt: skip
    assert rate is not None
    assert rate.discount_fraction is not None
    first = got.lines[0]
    assert got.purchase == f"1-year {rate.programme}"
    assert first.name == f"{got.machine} machines, {got.purchase}"
    assert first.quantity == pytest.approx(1460)
    assert first.usd == pytest.approx(1460 * machine.usd_per_hour * (1 - rate.discount_fraction))
    assert rate.source in first.source
    assert not any("on demand above" in line.name for line in got.lines)


def test_three_years_of_fargate_by_hand() -> None:
    """Each hour's tasks against the committed level, from the published hourly prices."""
    got = plan(need(commitment="3y", arm=False), "ecs-fargate")
    tasks = got.sizing.hourly_replicas
    share = 1 - 0.45  # us-east-1 takes the one rate that was read, 45 % off
    levels = [sum(share * n + max(t - n, 0) for t in tasks) for n in range(max(tasks) + 1)]
    paid_task_hours = min(levels) * 730 / 168
    vcpu, memory_gb = got.sizing.vcpu, got.sizing.memory_mb
    assert vcpu is not None
    assert memory_gb is not None
    task_hour = vcpu * 0.04048 + memory_gb / 1024 * 0.004445
    billed = sum(line.usd for line in got.lines if line.name.startswith("Task "))
    assert billed == pytest.approx(paid_task_hours * task_hour, rel=1e-6)
    assert got.purchase == "3-year Compute Savings Plan"


def test_a_year_of_lambda_by_hand() -> None:
    """x86 gigabyte-seconds at 0.000015 instead of 0.0000166667; requests are not covered."""
    asked = need(
        {"requests_per_month": 20_000_000, "pattern": "steady"}, commitment="1y", arm=False
    )
    got, plain = plan(asked, "lambda-url"), plan(need(
        {"requests_per_month": 20_000_000, "pattern": "steady"}, arm=False), "lambda-url")  # fmt: skip
    lines = {line.name: line for line in got.lines}
    duration = lines["Function duration, 1-year Compute Savings Plan"]
    assert duration.unit_price_usd == pytest.approx(0.000015, rel=1e-4)
    before = next(line for line in plain.lines if line.name == "Function duration")
    assert duration.quantity == pytest.approx(before.quantity, rel=1e-3)
    assert lines["Function requests"].usd == pytest.approx(20_000_000 * 0.0000002)


@pytest.mark.parametrize("option", [*EC2_OPTIONS, "ecs-fargate", "vertex-online"])
def test_spot_is_cheaper_and_says_what_it_costs_otherwise(option: str) -> None:
    clouds = ["gcp"] if option.startswith("vertex") else ["aws"]
    big = {"requests_per_month": 900_000_000}
    spot, plain = (
        plan(need(big, spot=True, clouds=clouds), option),
        plan(need(big, clouds=clouds), option),
    )
    assert spot.purchase == "spot"
    assert spot.monthly_usd.expected < plain.monthly_usd.expected
    assert spot.replicas.min >= 2
    assert "spot-interruption" in {w.rule for w in spot.warnings}
    assert any(line.name.endswith(", spot") for line in spot.lines)


def test_a_single_replica_on_spot_only_where_it_was_allowed() -> None:
    small = {"requests_per_month": 200_000, "pattern": "steady"}
    asked = need(small, spot=True)
    assert plan(asked, "ec2").replicas.min >= 2 or plan(asked, "ec2").purchase == "on-demand"
    alone = plan(need(small, spot=True, spot_alone=True), "ec2")
    assert (alone.purchase, alone.replicas.min) == ("spot", 1)
    assert "spot-alone" in {w.rule for w in alone.warnings}


def test_a_batch_runs_on_a_single_spot_machine() -> None:
    night = {"mode": "batch", "requests_per_month": 30_000_000, "pattern": "steady"}
    spot, plain = plan(need(night, spot=True), "aws-batch"), plan(need(night), "aws-batch")
    assert spot.purchase == "spot"
    assert spot.monthly_usd.expected < plain.monthly_usd.expected


def test_low_priority_machines_for_azure_batches() -> None:
    night = {"mode": "batch", "requests_per_month": 300_000_000, "pattern": "steady"}
    got = plan(need(night, spot=True, clouds=["azure"]), "azureml-batch")
    assert got.purchase == "spot"
    elsewhere = plan(
        need(night, spot=True, clouds=["azure"], regions=["westeurope"]), "azureml-batch"
    )
    assert elsewhere.purchase == "on-demand"
    said = [w.because for w in elsewhere.warnings if w.rule == "purchase-not-as-asked"]
    assert said[0].startswith("no spot price of Low-priority VM is known")


def test_a_rate_that_nobody_published_leaves_the_bill_on_demand_and_says_so() -> None:
    got, plain = (
        plan(need(commitment="1y"), "sagemaker-realtime"),
        plan(need(), "sagemaker-realtime"),
    )
    assert got.purchase == "on-demand"
    assert got.monthly_usd == plain.monthly_usd
    said = [w.because for w in got.warnings if w.rule == "purchase-not-as-asked"]
    assert "up to 64%" in said[0]


def test_the_range_keeps_the_commitment_of_the_expected_case() -> None:
    got = plan(need({"requests_per_month": 900_000_000}, commitment="3y"), "ecs-ec2")
    committed = got.lines[0].usd
    assert got.monthly_usd.low > committed  # owed even with less traffic
    assert got.monthly_usd.low <= got.monthly_usd.expected <= got.monthly_usd.high


@pytest.mark.parametrize("option", ["ecs-ec2", "ecs-fargate", "lambda-url", "ec2"])
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    requests=st.floats(1e6, 2e9),  # below, cold starts become rarer with traffic, and cheaper
    more=st.floats(1.0, 4.0),
    pattern=st.sampled_from(["steady", "business-hours", "spiky"]),
    bought=st.sampled_from([{"commitment": "1y"}, {"commitment": "3y"}, {"spot": True}]),
)
def test_bills_with_commitments_and_spot(
    option: str, requests: float, more: float, pattern: str, bought: dict[str, Any]
) -> None:
    traffic = {"requests_per_month": requests, "pattern": pattern}
    grown = traffic | {"requests_per_month": requests * more}
    plain, cheap, large = (
        recommend(asked, options=[option], doubt=False).option(option)
        for asked in (need(traffic), need(traffic, **bought), need(grown, **bought))
    )
    if plain is None or cheap is None:
        assert plain is cheap is None
        return
    assert cheap.monthly_usd.expected <= plain.monthly_usd.expected + 1e-6
    assert cheap.monthly_usd.expected == pytest.approx(math.fsum(x.usd for x in cheap.lines))
    for line in cheap.lines:
        assert line.unit_price_usd is not None
        assert line.usd == pytest.approx(line.quantity * line.unit_price_usd)
    if large is not None:
        assert large.monthly_usd.expected >= cheap.monthly_usd.expected * (1 - 1e-9)


def test_the_choices_of_an_option_side_by_side() -> None:
    asked = need({"requests_per_month": 900_000_000})
    choices = {c.choice: c for c in purchase_choices(asked, "ecs-ec2")}
    assert list(choices) == ["on-demand", "1y", "3y", "spot"]
    plain = choices["on-demand"].monthly_usd
    assert plain is not None
    for term, place in (("1y", {"commitment": "1y"}), ("3y", {"commitment": "3y"}),
                        ("spot", {"spot": True})):  # fmt: skip
        got = plan(need({"requests_per_month": 900_000_000}, **place), "ecs-ec2")
        choice = choices[term]
        assert choice.monthly_usd == pytest.approx(got.monthly_usd.expected)
        assert choice.saving_percent == pytest.approx((1 - got.monthly_usd.expected / plain) * 100)
    one, three = choices["1y"].break_even_months, choices["3y"].break_even_months
    assert one is not None
    assert three is not None
    assert 0 < one < 12
    assert 0 < three < 36
    assert choices["spot"].break_even_months is None


def test_break_even_by_hand() -> None:
    # $60 a month are owed for 12 months and $10 come beside them; on demand it is $100:
    # 60 x 12 + 10 m = 100 m at m = 8.
    assert break_even_months(60, 10, 100, 12) == pytest.approx(8)


def test_choices_that_are_not_open_say_why_and_have_no_bill() -> None:
    choices = {c.choice: c for c in purchase_choices(need(), "sagemaker-realtime")}
    for term in ("1y", "3y", "spot"):
        assert choices[term].monthly_usd is None
        assert choices[term].because


def test_choices_of_nothing() -> None:
    impossible = need({"request_mb": 800, "response_mb": 800})
    assert purchase_choices(impossible, "lambda-url") == ()
    with pytest.raises(InputError, match="ecs-ec3"):
        purchase_choices(need(), "ecs-ec3")


@pytest.mark.parametrize("bought", [{}, {"commitment": "3y"}, {"spot": True}])
def test_the_load_curve_is_that_of_the_machine_that_is_bought(bought: dict[str, Any]) -> None:
    asked = need({"requests_per_month": 900_000_000}, **bought)
    for option in ("ecs-ec2", "ecs-fargate", "ec2"):
        got = plan(asked, option)
        assert load_curve(asked, got).machine == got.machine


def test_one_larger_machine_is_taken_where_two_need_a_load_balancer() -> None:
    """667 million requests: three c8a.medium are 118.02 + 7.20 disks + 10.95 addresses, and the
    balancer 16.43 + 104.24, 256.84 in all; a c7a.xlarge is 149.85 + 2.40 + 3.65 = 155.90."""
    got = plan(need({"requests_per_month": 667_161_601.0, "pattern": "steady"}), "ec2")
    assert got.machine == "c7a.xlarge"
    assert "Load balancer" not in {x.name for x in got.lines}


LARGE = {
    "model": {"format": "torch", "size_mb": 450, "memory_mb": 2500, "service_time_ms": 20,
              "gpu": True, "gpu_memory_gb": 40},
    "traffic": {"mode": "realtime", "requests_per_month": 100_000_000},
    "service": {"p95_ms": 500, "availability_percent": 99.9},
}  # fmt: skip


def test_who_would_commit_for_three_years_commits_for_one_where_no_rate_for_three_is_known() -> (
    None
):
    one, three = (
        plan(parse({**LARGE, "placement": {"commitment": term}}), "ecs-ec2")
        for term in ("1y", "3y")
    )
    assert three.purchase.startswith("1-year")
    assert three.monthly_usd.expected == pytest.approx(one.monthly_usd.expected)
    (said,) = [w.because for w in three.warnings if w.rule == "purchase-not-as-asked"]
    assert "no 3-year rate" in said
    assert said.endswith("priced with a commitment of one year")
    assert "purchase-not-as-asked" not in [w.rule for w in one.warnings]


def test_a_year_in_place_of_three_is_no_choice_of_its_own() -> None:
    choices = {c.choice: c for c in purchase_choices(parse(LARGE), "ecs-ec2")}
    assert choices["1y"].monthly_usd is not None
    assert choices["3y"].monthly_usd is None
    assert "no 3-year rate" in choices["3y"].because
    assert "priced" not in choices["3y"].because
