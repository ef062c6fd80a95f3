"""An account takes a handful of networks in a region; each deployment without a chosen one makes one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aws_support import asked
from botocore.stub import Stubber

from deploy.aws import container_checks
from deploy.aws.container_checks import network
from deploy.aws.session import Aws, AwsSettings
from deploy.requests import PlanRequest
from deploy.target import Finding

QUOTA = "VPCs per Region"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def request_(onnx_model: Path) -> PlanRequest:
    return asked(onnx_model, option="ecs-fargate")


def room(
    request: PlanRequest, tagged: list[dict[str, str]], quotas: dict[str, float] | None
) -> Finding:
    """The finding in an account with one network for each mapping of tags; None: quotas denied."""
    aws = Aws("us-east-1", AwsSettings())
    vpcs = [
        {"VpcId": f"vpc-{n}", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
        for n, tags in enumerate(tagged)
    ]
    with Stubber(aws.client("ec2")) as ec2, Stubber(aws.client("service-quotas")) as limits:
        ec2.add_response("describe_vpcs", {"Vpcs": vpcs}, {})
        if quotas is None:
            limits.add_client_error("list_service_quotas", "AccessDeniedException", "no")
        else:
            listed: list[dict[str, Any]] = [
                {"QuotaName": name, "Value": value} for name, value in quotas.items()
            ]
            limits.add_response("list_service_quotas", {"Quotas": listed}, {"ServiceCode": "vpc"})
        given: Any = SimpleNamespace(vpc_id="")
        found = {f.check: f for f in network(request, given, aws)}
    assert found["network"].ok
    return found["networks"]


def test_a_full_region_is_found_before_anything_is_made(request_: PlanRequest) -> None:
    full = room(request_, [{}, {}, {}, {}, {}], {"Routes": 50, QUOTA: 5})
    assert (full.ok, full.blocking) == (False, True)
    assert "may have 5 networks (VPCs) in us-east-1 and has 5" in full.message
    assert "ADVISOR_AWS_VPC_ID" in full.fix
    assert QUOTA in full.fix


def test_room_for_one_is_enough(request_: PlanRequest) -> None:
    assert room(request_, [{}, {}, {}, {}], {QUOTA: 5}).ok
    assert container_checks.NETWORKS_QUOTA == QUOTA


def test_an_update_makes_no_other_network(request_: PlanRequest) -> None:
    own = {"mda:deployment": request_.name}
    assert room(request_, [own, {}, {}, {}, {}], {QUOTA: 5}).ok
    other = {"mda:deployment": f"{request_.name}-2"}
    assert not room(request_, [other, {}, {}, {}, {}], {QUOTA: 5}).ok


@pytest.mark.parametrize("quotas", [None, {"Routes": 50.0}])
def test_what_cannot_be_read_stops_nothing(
    request_: PlanRequest, quotas: dict[str, float] | None
) -> None:
    unread = room(request_, [{}] * 9, quotas)
    assert (unread.ok, unread.blocking) == (False, False)


def test_a_chosen_network_needs_no_other(request_: PlanRequest) -> None:
    aws = Aws("us-east-1", AwsSettings())
    given: Any = SimpleNamespace(vpc_id="vpc-1", subnet_ids=("subnet-1", "subnet-2"))
    with Stubber(aws.client("ec2")) as ec2:
        subnets = [
            {"SubnetId": f"subnet-{n}", "VpcId": "vpc-1", "AvailabilityZone": f"us-east-1{zone}"}
            for n, zone in ((1, "a"), (2, "b"))
        ]
        ec2.add_response("describe_subnets", {"Subnets": subnets})
        assert [f.check for f in network(request_, given, aws)] == ["network"]
