"""The two zones of a network that a stack makes: where its services and its machine are offered.

CloudFormation's own first two (`Fn::GetAZs`) are other ones in each account, and in one of three
accounts of us-east-1 a zone is among them that has neither EKS nor VPC links.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from advisor.errors import DeployError
from deploy.aws.findings import unknown
from deploy.aws.machines import zones_with
from deploy.aws.session import Aws, told
from deploy.aws.stack_models import Stack
from deploy.target import Finding

PARAMETERS = ("ZoneA", "ZoneB")
LISTED = Path(__file__).with_name("zones.yaml")


def zones_of(
    parameters: dict[str, str], stack: Stack | None, aws: Aws
) -> tuple[dict[str, str], list[Finding]]:
    """Both parameters, empty where CloudFormation is to choose, and what could not be found out.

    A network that stands keeps its zones: others would replace its subnets. Asks AWS.
    """
    if stack is not None and not stack.is_review and not stack.never_stood:
        return kept(stack), []
    if parameters["VpcId"]:
        return dict.fromkeys(PARAMETERS, ""), []
    try:
        found = _fit(parameters.get("Machine", ""), aws)
    except DeployError as error:
        said = f"the zones of {aws.region} could not be read, and CloudFormation chooses: {error}"
        return dict.fromkeys(PARAMETERS, ""), [unknown("zones", said)]
    chosen = found[: len(PARAMETERS)] if len(found) >= len(PARAMETERS) else ("", "")
    return dict(zip(PARAMETERS, chosen, strict=True)), []


def kept(stack: Stack) -> dict[str, str]:
    """Those of a stack that stands."""
    return {name: stack.parameters.get(name, "") for name in PARAMETERS}


@cache
def avoided() -> frozenset[str]:
    """Ids of the zones that get no subnet."""
    listed = yaml.safe_load(LISTED.read_text(encoding="utf-8"))["avoided"]
    return frozenset(zone["id"] for zone in listed)


def _fit(machine: str, aws: Aws) -> list[str]:
    """Names of the zones where a network may lie, in order."""
    with told(f"look at the zones of {aws.region}"):
        found = aws.client("ec2").describe_availability_zones(
            Filters=[
                {"Name": "zone-type", "Values": ["availability-zone"]},
                {"Name": "state", "Values": ["available"]},
            ]
        )["AvailabilityZones"]
    names = sorted(z["ZoneName"] for z in found if z.get("ZoneId") not in avoided())
    if not machine:
        return names
    try:
        offered = zones_with(machine, aws)
    except DeployError:
        return names  # preflight says that it could not be read where the machine is offered
    return [name for name in names if name in offered]
