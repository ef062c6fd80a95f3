"""What a sized recommendation means for the stacks of containers; no account is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.errors import InputError
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from deploy.artifact import Artifact, SafetyReport
from deploy.aws.containers import machines, service
from deploy.aws.jobs import queue
from deploy.aws.session import AwsSettings
from deploy.aws.wanted import Wanted
from deploy.registry import target, target_for
from deploy.requests import PlanRequest
from deploy.targets.batch import BatchTarget
from deploy.targets.ec2 import Ec2Target
from deploy.targets.ecs import EcsTarget

GIVEN: dict[str, dict[str, Any]] = {
    "model": {"format": "onnx", "size_mb": 1, "memory_mb": 300, "service_time_ms": 8},
    "traffic": {"requests_per_month": 400_000_000, "pattern": "business-hours"},
    "service": {"p95_ms": 100},
}


def need(**sections: dict[str, Any]) -> Requirements:
    traffic = {"mode": "realtime"} | GIVEN["traffic"]
    return parse(
        {k: v | sections.get(k, {}) for k, v in (GIVEN | {"traffic": traffic}).items()}
        | {k: v for k, v in sections.items() if k not in GIVEN}
    )


def request(option: str, wanted: Requirements, **more: Any) -> PlanRequest:
    ranked = recommend(wanted, options=[option], doubt=False).option(option)
    assert ranked is not None
    artifact = Artifact(
        path=Path("model.onnx"),
        format="onnx",
        size_bytes=1000,
        digest="cd" * 32,
        safety=SafetyReport(verdict="safe"),
    )
    return PlanRequest(name="fraud", artifact=artifact, need=wanted, ranked=ranked, **more)


def made(wanted: Wanted, kind: str) -> list[str]:
    """Logical ids of that type which the template makes under these parameters."""
    return [i for i, found in wanted.template.resources(wanted.parameters) if found.endswith(kind)]


@pytest.mark.parametrize(
    ("option", "kind"),
    [("ecs-fargate", EcsTarget), ("ecs-ec2", EcsTarget), ("ec2", Ec2Target), ("aws-batch", BatchTarget)],
)  # fmt: skip
def test_each_option_names_its_target(option: str, kind: type) -> None:
    found = target_for(option)
    assert isinstance(found, kind)
    assert isinstance(target(found.name), kind)


def test_arm_tasks_get_arm_images_and_spot_tasks_spot_capacity() -> None:
    arm = service(request("ecs-fargate", need(placement={"arm": True})), AwsSettings())
    x86 = service(request("ecs-fargate", need(placement={"arm": False})), AwsSettings())
    assert (arm.architecture, arm.parameters["Architecture"]) == ("arm64", "ARM64")
    assert (x86.architecture, x86.parameters["Architecture"]) == ("x86_64", "X86_64")
    assert x86.parameters["Purchase"] == "on-demand"
    spot = request("ecs-fargate", need(placement={"spot": True}))
    assert spot.ranked.purchase == "spot"
    assert service(spot, AwsSettings()).parameters["Purchase"] == "spot"


@pytest.mark.parametrize(
    ("public", "settings", "reach", "kinds"),
    [
        (False, {}, "private", set()),
        (True, {}, "gateway-iam", {"Api", "VpcLink"}),
        (
            True,
            {"jwt_issuer": "https://login.example.org", "jwt_audience": ("models",)},
            "gateway-jwt",
            {"Api", "VpcLink", "Authorizer"},
        ),
        (
            True,
            {"certificate_arn": "arn:aws:acm:us-east-1:1:certificate/1", "domain": "m.example.org"},
            "certificate",
            {"Secret"},
        ),
    ],
)
def test_reach_decides_what_stands_before_the_balancer(
    public: bool, settings: dict[str, Any], reach: str, kinds: set[str]
) -> None:
    wanted = service(request("ecs-fargate", need(), public=public), AwsSettings(**settings))
    assert wanted.parameters["Reach"] == reach
    for kind in ("Api", "VpcLink", "Authorizer", "Secret"):
        assert bool(made(wanted, f"::{kind}")) == (kind in kinds), kind
    assert (wanted.monthly_extra_usd > 0) == reach.startswith("gateway")
    world = [i for i in made(wanted, "SecurityGroupIngress") if i == "WorldIngress"]
    assert bool(world) == (reach == "certificate")


def test_a_sealed_network_has_endpoints_and_no_way_out() -> None:
    sealed = need(control={"private_network": True})
    wanted = service(request("ecs-fargate", sealed), AwsSettings())
    assert made(wanted, "InternetGateway") == []
    assert len(made(wanted, "VPCEndpoint")) == 4  # three interfaces, and S3's for nothing
    own = {
        "vpc_id": "vpc-1",
        "subnet_ids": ("subnet-1", "subnet-2"),
        "security_group_ids": ("sg-1",),
    }
    theirs = service(request("ecs-fargate", sealed), AwsSettings(**own))  # type: ignore[arg-type]
    assert made(theirs, "::VPC") + made(theirs, "VPCEndpoint") == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 80}, "'port' is no setting"),
        ({"vpc_id": "vpc-1"}, "give both"),
        ({"subnet_ids": ["subnet-1"]}, "give both"),
        ({"vpc_id": "vpc-1", "subnet_ids": ["subnet-1"]}, "who may call in vpc-1"),
        ({"certificate_arn": "mine"}, "certificate_arn is 'mine'"),
        ({"domain": 7}, "domain is 7"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], message: str) -> None:
    asked = replace(request("ecs-fargate", need()), settings=settings)
    with pytest.raises(InputError, match=message):
        service(asked, AwsSettings())


def test_names_that_are_long_still_fit(tmp_path: Path) -> None:
    long = "x" * 40
    for wanted in (
        service(replace(request("ecs-fargate", need()), name=long), AwsSettings()),
        machines(replace(request("ec2", need()), name=long), AwsSettings()),
    ):
        assert wanted.parameters["DeploymentName"] == long
        assert not made(wanted, "nothing")
        # Balancers and target groups take 32 characters: they are left for CloudFormation to name.
        for kind in ("LoadBalancer", "TargetGroup"):
            for logical_id in made(wanted, f"V2::{kind}"):
                assert "Name" not in wanted.template.content["Resources"][logical_id]["Properties"]


def test_a_queue_is_as_wide_as_the_recommendation() -> None:
    nightly = need(
        traffic={"mode": "batch", "pattern": "nightly"}, service={"p95_ms": None, "deadline_h": 4}
    )
    asked = request("aws-batch", nightly)
    wanted = queue(asked, AwsSettings())
    parameters, sizing = wanted.parameters, asked.ranked.sizing
    assert wanted.bundle == "batch"
    assert int(parameters["LongestJobSeconds"]) == 4 * 3600
    jobs = int(parameters["MaxVcpus"]) // int(parameters["JobVcpus"])
    assert jobs == asked.ranked.replicas.max * sizing.concurrency
