"""A network of a stack's own lies where all that runs in it is offered, and stays where it lies."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import yaml
from botocore.stub import Stubber
from emulator.client import Emulator
from template_views import decided

from deploy.aws.session import Aws, AwsSettings
from deploy.aws.stack_models import Stack
from deploy.aws.templates import load
from deploy.aws.zones import LISTED, avoided, zones_of

MADE = {"VpcId": ""}
NETWORKS = ["ecs-fargate.yaml", "ecs-ec2.yaml", "ec2.yaml", "batch.yaml", "eks.yaml"]
FILTERS = [
    {"Name": "zone-type", "Values": ["availability-zone"]},
    {"Name": "state", "Values": ["available"]},
]


@pytest.mark.emulator
def test_a_zone_without_the_services_gets_no_subnet(emulator: Emulator) -> None:
    assert "usw1-az2" in avoided()  # us-west-1b in the emulated account
    aws = Aws("us-west-1", AwsSettings())
    found = {"ZoneA": "us-west-1a", "ZoneB": "us-west-1c"}
    assert zones_of(MADE, None, aws) == (found, [])
    assert zones_of(MADE | {"Machine": "m5.large"}, None, aws) == (found, [])
    assert zones_of({"VpcId": "vpc-1"}, None, aws)[0] == {"ZoneA": "", "ZoneB": ""}


def stubbed(zones: dict[str, str], offered: list[str] | None = None) -> tuple[Aws, Stubber]:
    """An account whose zones have these names and ids, and that offers a machine in some."""
    aws = Aws("us-east-1", AwsSettings())
    stub = Stubber(aws.client("ec2"))
    listed = [{"ZoneName": name, "ZoneId": number} for name, number in zones.items()]
    stub.add_response(
        "describe_availability_zones", {"AvailabilityZones": listed}, {"Filters": FILTERS}
    )
    if offered is not None:
        stub.add_response(
            "describe_instance_type_offerings",
            {
                "InstanceTypeOfferings": [
                    {"InstanceType": "m7i.large", "Location": z} for z in offered
                ]
            },
        )
    return aws, stub


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def test_names_say_nothing_of_where_a_zone_is_and_machines_decide_too() -> None:
    names = {"us-east-1a": "use1-az3", "us-east-1b": "use1-az1", "us-east-1c": "use1-az6",
             "us-east-1d": "use1-az2"}  # fmt: skip
    aws, stub = stubbed(names)
    with stub:
        assert zones_of(MADE, None, aws)[0] == {"ZoneA": "us-east-1b", "ZoneB": "us-east-1c"}
    aws, stub = stubbed(names, ["us-east-1a", "us-east-1b", "us-east-1d"])
    with stub:
        found, unread = zones_of(MADE | {"Machine": "m7i.large"}, None, aws)
    assert (found, unread) == ({"ZoneA": "us-east-1b", "ZoneB": "us-east-1d"}, [])
    aws, stub = stubbed({"us-east-1a": "use1-az3", "us-east-1b": "use1-az1"})
    with stub:  # no two are left: what CloudFormation chooses may do, and its refusal says why not
        assert zones_of(MADE, None, aws)[0] == {"ZoneA": "", "ZoneB": ""}


def test_whoever_may_not_look_is_told_and_goes_on() -> None:
    aws = Aws("us-east-1", AwsSettings())
    with Stubber(aws.client("ec2")) as stub:
        stub.add_client_error("describe_availability_zones", "UnauthorizedOperation", "no")
        found, unread = zones_of(MADE, None, aws)
    assert found == {"ZoneA": "", "ZoneB": ""}
    assert [(f.check, f.blocking and not f.ok) for f in unread] == [("zones", False)]
    assert "CloudFormation chooses" in unread[0].message


@pytest.mark.parametrize(
    ("status", "given", "kept"),
    [
        ("UPDATE_COMPLETE", {"ZoneA": "us-east-1d", "ZoneB": "us-east-1f"}, True),
        ("CREATE_COMPLETE", {}, True),  # of before: other zones would replace its subnets
        ("ROLLBACK_COMPLETE", {"ZoneA": "us-east-1d", "ZoneB": "us-east-1f"}, False),
    ],
)
def test_a_network_that_stands_stays_where_it_is(
    status: str, given: dict[str, str], kept: bool
) -> None:
    stack = Stack("arn:1", "mda-fraud", status, "", parameters=given)
    aws, stub = stubbed({"us-east-1a": "use1-az1", "us-east-1b": "use1-az2"})
    with stub:
        found, _ = zones_of(MADE, stack, aws)
    wanted = given or {"ZoneA": "", "ZoneB": ""}
    assert found == (wanted if kept else {"ZoneA": "us-east-1a", "ZoneB": "us-east-1b"})


@pytest.mark.parametrize("name", NETWORKS)
def test_subnets_lie_where_the_plan_says(name: str) -> None:
    def zones(**given: str) -> list[Any]:
        made = decided(load(name), {"VpcId": "", **given})["Resources"]
        return [made[s]["Properties"]["AvailabilityZone"] for s in ("SubnetA", "SubnetB")]

    assert zones(ZoneA="x-1c", ZoneB="x-1d") == [{"Ref": "ZoneA"}, {"Ref": "ZoneB"}]
    assert zones() == [{"Fn::Select": [n, {"Fn::GetAZs": ""}]} for n in (0, 1)]


def test_each_zone_that_is_avoided_says_why_and_from_where() -> None:
    for zone in yaml.safe_load(LISTED.read_text())["avoided"]:
        assert zone["why"]
        assert zone["source"].startswith("https://docs.aws.amazon.com/")
        assert isinstance(zone["checked"], date)
