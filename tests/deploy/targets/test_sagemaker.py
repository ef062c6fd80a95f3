"""What a sized recommendation means for the SageMaker template; no account is asked."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.errors import InputError, UnknownPriceError
from advisor.recommend import recommend
from advisor.recommendation import Ranked, Replicas
from advisor.requirements import Requirements, parse
from advisor.traffic import weekly_rates
from deploy.artifact import Artifact, SafetyReport
from deploy.aws.bootstrap import Bootstrap
from deploy.aws.realtime import realtime
from deploy.aws.scaling import invocations_target, saturation
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.wanted import Wanted, in_account
from deploy.registry import target
from deploy.requests import PlanRequest
from deploy.targets.sagemaker import SageMakerTarget

OPTION = "sagemaker-realtime"
BUSY = {"requests_per_month": 400_000_000, "pattern": "business-hours"}
HASH = "ab" * 32


def need(**sections: dict[str, Any]) -> Requirements:
    given: dict[str, dict[str, Any]] = {
        "model": {"format": "onnx", "size_mb": 1, "memory_mb": 300, "service_time_ms": 8},
        "traffic": {"mode": "realtime", **BUSY},
        "service": {"p95_ms": 100},
        "placement": {"arm": False},
    }
    return parse({k: v | sections.get(k, {}) for k, v in given.items()} | {
        k: v for k, v in sections.items() if k not in given
    })  # fmt: skip


@pytest.fixture(scope="module")
def ranked() -> Ranked:
    found = recommend(need(), options=[OPTION], doubt=False).option(OPTION)
    assert found is not None
    return found


@pytest.fixture
def request_(ranked: Ranked) -> PlanRequest:
    artifact = Artifact(
        path=Path("model.onnx"),
        format="onnx",
        size_bytes=1000,
        digest="cd" * 32,
        safety=SafetyReport(verdict="safe"),
    )
    return PlanRequest(name="fraud", artifact=artifact, need=need(), ranked=ranked)


def wanted(request: PlanRequest, **settings: Any) -> Wanted:
    return realtime(request, HASH, AwsSettings(**settings))


def test_the_registry_finds_it() -> None:
    found = target("sagemaker")
    assert isinstance(found, SageMakerTarget)
    assert (found.proven_by, found.name) == ("emulator", "sagemaker")


def test_scaling_never_loads_a_replica_more_than_the_sizing_does(ranked: Ranked) -> None:
    """Target tracking runs ceil(load / target) instances, within the bounds."""
    low, high = ranked.replicas.min, ranked.replicas.max
    assert high > low
    held = invocations_target(need(), ranked)
    loads = (weekly_rates(need().traffic) * 60).tolist()
    sized = ranked.sizing.hourly_replicas
    worst = max(load / count for load, count in zip(loads, sized, strict=True))
    tracked = [min(max(math.ceil(load / held - 1e-9), low), high) for load in loads]
    assert all(load / count <= worst * 1.000001 for load, count in zip(loads, tracked, strict=True))
    assert tracked[loads.index(max(loads))] == high
    assert tracked[loads.index(min(loads))] == low
    assert held <= saturation(ranked)


def test_a_fleet_that_never_changes_is_not_scaled(request_: PlanRequest, ranked: Ranked) -> None:
    sizing = ranked.sizing.model_copy(update={"hourly_replicas": ()})
    two = Replicas(min=2, max=2)
    made = wanted(
        replace(request_, ranked=ranked.model_copy(update={"replicas": two, "sizing": sizing}))
    )
    assert made.parameters["Scales"] == "false"
    ids = {logical_id for logical_id, _ in made.template.resources(made.parameters)}
    assert "ScalingPolicy" not in ids
    peak = ranked.sizing.arrival_peak_per_s * 60 / 2
    assert float(made.parameters["InvocationsPerInstanceTarget"]) == pytest.approx(peak)


def test_saturation_is_where_no_latency_is_promised_any_more(ranked: Ranked) -> None:
    sizing = ranked.sizing.model_copy(update={"service_time_ms": 10.0, "concurrency": 4})
    # Four workers at 10 ms each serve 24,000 requests a minute when never idle.
    assert saturation(ranked.model_copy(update={"sizing": sizing})) == pytest.approx(0.85 * 24_000)


def test_the_latency_alarm_counts_microseconds_at_the_percentile_asked(
    request_: PlanRequest,
) -> None:
    asked = replace(request_, need=need(service={"p95_ms": 250, "percentile": 99.5}))
    parameters = wanted(asked).parameters
    assert parameters["LatencyAlarmMicroseconds"] == "250000"
    assert parameters["LatencyPercentile"] == "p99.5"


def test_the_cpu_alarm_counts_every_core(request_: PlanRequest, ranked: Ranked) -> None:
    four = ranked.model_copy(update={"machine": "ml.c5.xlarge"})
    assert wanted(replace(request_, ranked=four)).parameters["CpuAlarmPercent"] == "340"


def test_start_up_time_stays_within_the_templates_bounds(request_: PlanRequest) -> None:
    slow = replace(request_, need=need(model={"load_time_s": 7000}))
    assert wanted(slow).parameters["StartupTimeoutSeconds"] == "3600"
    assert wanted(request_).parameters["StartupTimeoutSeconds"] == "312"


def test_canary_needs_two_instances(request_: PlanRequest, ranked: Ranked) -> None:
    asked = replace(request_, need=need(control={"canary": True}))
    two = ranked.model_copy(update={"replicas": Replicas(min=2, max=9)})
    one = ranked.model_copy(update={"replicas": Replicas(min=1, max=9)})
    assert wanted(replace(asked, ranked=two)).parameters["TrafficShift"] == "CANARY"
    assert wanted(replace(asked, ranked=one)).parameters["TrafficShift"] == "ALL_AT_ONCE"


def test_a_release_is_named_after_what_cannot_be_changed_in_place(
    request_: PlanRequest, ranked: Ranked
) -> None:
    name = wanted(request_).parameters["ReleaseName"]
    assert name == wanted(request_).parameters["ReleaseName"]
    assert len(wanted(replace(request_, name="x" * 40)).parameters["ReleaseName"]) <= 63
    bigger = ranked.model_copy(update={"machine": "ml.c5.xlarge"})
    assert wanted(replace(request_, ranked=bigger)).parameters["ReleaseName"] != name
    assert realtime(request_, "cd" * 32, AwsSettings()).parameters["ReleaseName"] != name
    slower = replace(request_, need=need(service={"p95_ms": 101}))  # an alarm only
    assert wanted(slower).parameters["ReleaseName"] == name


def test_the_architecture_is_the_machines(request_: PlanRequest, ranked: Ranked) -> None:
    assert wanted(request_).architecture == "x86_64"
    arm = ranked.model_copy(update={"machine": "ml.c7g.large"})
    assert wanted(replace(request_, ranked=arm)).architecture == "arm64"
    unknown = ranked.model_copy(update={"machine": "ml.none.large"})
    with pytest.raises(UnknownPriceError, match=r"ml\.none\.large"):
        wanted(replace(request_, ranked=unknown))


def test_a_vpc_comes_from_the_machine_or_from_the_request(request_: PlanRequest) -> None:
    machine = {"subnet_ids": ("subnet-1",), "security_group_ids": ("sg-1",)}
    assert wanted(request_).parameters["UseVpc"] == "false"
    made = wanted(request_, **machine).parameters
    assert (made["UseVpc"], made["SubnetIds"]) == ("true", "subnet-1")
    asked = replace(request_, settings={"subnet_ids": ["subnet-2", "subnet-3"]})
    assert wanted(asked, **machine).parameters["SubnetIds"] == "subnet-2,subnet-3"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 80}, "'port' is no setting"),
        ({"subnet_ids": "subnet-1"}, "subnet_ids is 'subnet-1'"),
        ({"kms_key_arn": "alias/mine"}, "kms_key_arn is 'alias/mine'"),
    ],
)
def test_wrong_settings_are_refused(
    request_: PlanRequest, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        wanted(replace(request_, settings=settings))


def test_tags_are_checked_before_aws_sees_them(request_: PlanRequest) -> None:
    made = wanted(replace(request_, tags={"cost-centre": "42", "scenario": "s1"}))
    assert made.tags["cost-centre"] == "42"
    assert made.parameters["Scenario"] == "s1"
    with pytest.raises(InputError, match="tag owner"):
        wanted(replace(request_, owner="<script>"))


def test_the_account_adds_image_repository_and_boundary(request_: PlanRequest) -> None:
    bootstrap = Bootstrap(
        bucket="b",
        repository_name="model-deployment-advisor",
        repository_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/model-deployment-advisor",
        build_project="p",
        arm_build_image="i",
        workload_boundary_arn="arn:aws-cn:iam::123456789012:policy/x",
        sagemaker_service_role_arn="arn:aws-cn:iam::123456789012:role/x",
    )
    aws = Aws("cn-north-1", AwsSettings())
    aws.identity = {"account": "123456789012", "arn": ""}
    boundary = bootstrap.workload_boundary_arn
    made = in_account(wanted(request_).parameters, "bundle-1", bootstrap, aws, boundary)
    assert made["ImageUri"] == f"{bootstrap.repository_uri}:bundle-1"
    assert made["RepositoryArn"] == (
        "arn:aws-cn:ecr:cn-north-1:123456789012:repository/model-deployment-advisor"
    )
    missing = set(wanted(request_).template.content["Parameters"]) - set(made)
    # What is left to the template's own defaults, and nothing without one.
    assert all(
        "Default" in wanted(request_).template.content["Parameters"][name] for name in missing
    )
