"""Bills against the price engine for usage, and against figures worked out by hand."""

from __future__ import annotations

import math

import pytest

from advisor.catalog.loader import load_options, option
from advisor.costs import Bill, bill, total
from advisor.costs.usage import Usage, price_usage
from advisor.prices import load_book
from advisor.recommendation import CostLine
from advisor.requirements import Requirements, parse
from advisor.sizing.choose import size
from advisor.sizing.sized import Sized
from advisor.workload import resolve

BOOK = load_book()
REGION = "us-east-1"


def need(**answers: object) -> Requirements:
    data: dict = {
        "model": {"format": "onnx", "size_mb": 102.4, "memory_mb": 400, "service_time_ms": 50},
        "traffic": {
            "mode": "realtime", "requests_per_month": 10_000_000,
            "request_mb": 0.5, "response_mb": 0.25,
        },
        "service": {"p95_ms": 2000},
    }  # fmt: skip
    for path, value in answers.items():
        section, name = path.split("__")
        data.setdefault(section, {})[name] = value
    return parse(data)


def made(option_id: str, asked: Requirements) -> tuple[Sized, dict[str, CostLine]]:
    chosen, work = option(option_id), resolve(asked)
    plan = size(chosen, work, REGION, BOOK)
    sized = plan if isinstance(plan, Sized) else plan.sized()
    assert sized.infeasible is None
    return sized, {x.name: x for x in bill(Bill(chosen, work, sized, REGION, BOOK))}


def used(**item: object) -> float:
    usage = Usage.model_validate({"region": REGION, "free_tier": False, "items": [item]})
    return price_usage(usage, BOOK).total_usd


def test_lambda_agrees_with_the_usage_engine() -> None:
    sized, lines = made("lambda-url", need(placement__arm=False))
    ours = lines["Function requests"].usd + lines["Function duration"].usd
    theirs = used(
        service="lambda", requests=sized.requests, memory_mb=sized.memory_mb, architecture="x86",
        duration_ms=sized.billed_seconds / sized.requests * 1000,
    )  # fmt: skip
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_fargate_agrees_with_the_usage_engine() -> None:
    sized, lines = made("ecs-fargate", need(placement__arm=False))
    ours = lines["Task vCPU"].usd + lines["Task memory"].usd
    theirs = used(
        service="fargate", tasks=1, vcpu=sized.vcpu, memory_gb=sized.memory_mb / 1024,
        hours=sized.replica_hours, architecture="x86",
    )  # fmt: skip
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_machines_agree_with_the_usage_engine() -> None:
    for option_id, service in (("ec2", "ec2"), ("sagemaker-realtime", "sagemaker-realtime")):
        sized, lines = made(option_id, need())
        theirs = used(
            service=service, instance=sized.machine, instances=1, hours=sized.replica_hours
        )
        assert lines[f"{sized.machine} machines"].usd == pytest.approx(theirs, rel=1e-6)


def test_transfer_by_hand() -> None:
    # 10 million answers of 0.25 MB are 2,441.40625 GB at $0.09 each.
    _, lines = made("ecs-fargate", need())
    assert lines["Data out to the internet"].quantity == pytest.approx(2441.40625)
    assert lines["Data out to the internet"].usd == pytest.approx(219.7265625)


def test_http_api_meters_in_steps_of_512_kb() -> None:
    # 0.5 MB is exactly one step of 512 KB; a little more is two. $1.00 a million.
    _, lines = made("lambda-apigateway", need())
    assert lines["HTTP API requests"].usd == pytest.approx(10.0)
    _, lines = made("lambda-apigateway", need(traffic__request_mb=0.51))
    assert lines["HTTP API requests"].usd == pytest.approx(20.0)


def test_load_balancer_by_hand() -> None:
    # A steady 3.805 requests a second move 0.75 MB each: 10.03 GB an hour are 10.03 LCU.
    _, lines = made("ecs-fargate", need())
    gb_per_hour = 10_000_000 / 730 * 0.75 / 1024
    assert lines["Load balancer"].usd == pytest.approx(730 * 0.0225)
    assert lines["Load balancer capacity"].usd == pytest.approx(gb_per_hour * 730 * 0.008)


def test_a_private_endpoint_pays_for_its_network_and_not_for_the_internet() -> None:
    _, lines = made("sagemaker-realtime", need(control__private_network=True))
    assert "Private endpoints" in lines
    _, lines = made("ecs-fargate", need(control__private_network=True))
    assert "Data out to the internet" not in lines
    assert "Public IPv4 addresses" not in lines
    assert lines["Private endpoints"].usd > 0


def test_an_unknown_price_is_never_zero_dollars() -> None:
    asked = need(placement__clouds=["own-hardware"])
    chosen, work = option("docker-host"), resolve(asked)
    plan = size(chosen, work, "your hardware", BOOK)
    sized = plan if isinstance(plan, Sized) else plan.sized()
    lines = bill(Bill(chosen, work, sized, "your hardware", BOOK))
    usd, at_least = total(lines)
    assert at_least
    assert usd == 0.0
    assert lines[0].unit_price_usd is None
    assert "node_hourly_usd" in lines[0].source


@pytest.mark.parametrize("option_id", list(load_options()))
def test_every_priced_thing_of_every_option_has_a_module(option_id: str) -> None:
    chosen = option(option_id)
    mode = chosen.modes[0].value
    clouds = [chosen.cloud.value]
    asked = need(traffic__mode=mode, placement__clouds=clouds)
    region = {"gcp": "us-central1", "azure": "eastus"}.get(chosen.cloud.value, REGION)
    work = resolve(asked)
    plan = size(chosen, work, region, BOOK)
    sized = plan if isinstance(plan, Sized) else plan.sized()
    assert sized.infeasible is None, sized.infeasible
    lines = bill(Bill(chosen, work, sized, region, BOOK))
    usd, at_least = total(lines)
    assert usd == pytest.approx(math.fsum(x.usd for x in lines))
    assert usd > 0 or at_least
    for line in lines:
        assert line.quantity > 0, line
        assert line.source, line
