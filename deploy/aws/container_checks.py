"""What must be true of the account before containers are planned there. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from advisor.errors import DeployError
from advisor.vocabulary import Mode
from deploy.aws import reach
from deploy.aws.findings import (
    bad,
    budget,
    free,
    good,
    in_account,
    model_file,
    name,
    quota,
    quotas_of,
    unknown,
)  # fmt: skip
from deploy.aws.session import Aws, AwsSettings, message_of, told
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import stack_name
from deploy.requests import PlanRequest
from deploy.target import Finding

ZONES = 2
NETWORKS_QUOTA = "VPCs per Region"
FARGATE_QUOTA = ("fargate", "Fargate On-Demand vCPU resource count")


def service_findings(
    request: PlanRequest,
    given: AwsSettings,
    aws: Aws,
    stacks: Stacks,
    extra_usd: float,
    after: Callable[[], list[Finding]],
) -> list[Finding]:
    """One finding a check, for an ECS service; `after` adds what its hosts need."""
    return _findings(
        request, given, aws, stacks, extra_usd, ("ecs", "ECS"),
        lambda: _cluster_name(request, aws), after,
    )  # fmt: skip


def machines_findings(
    request: PlanRequest,
    given: AwsSettings,
    aws: Aws,
    stacks: Stacks,
    extra_usd: float,
    after: Callable[[], list[Finding]],
) -> list[Finding]:
    """The same for machines that run a container each."""
    return _findings(
        request, given, aws, stacks, extra_usd, ("ec2", "EC2"), lambda: free(request), after
    )


def _findings(
    request: PlanRequest,
    given: AwsSettings,
    aws: Aws,
    stacks: Stacks,
    extra_usd: float,
    service: tuple[str, str],
    when_free: Callable[[], Finding],
    after: Callable[[], list[Finding]],
) -> list[Finding]:
    before = [
        model_file(request),
        mode(request, Mode.realtime, "a service answers requests", "aws-batch"),
        budget(request, extra_usd),
        *reach.findings(request, given),
    ]
    return in_account(
        request, aws, before, service,
        lambda: [name(request, stacks, when_free), *network(request, given, aws), *after()],
    )  # fmt: skip


def mode(request: PlanRequest, wanted: Mode, why: str, other: str) -> Finding:
    """Does the target do what the requirements ask for?"""
    asked = request.need.traffic.mode
    if asked != wanted:
        return bad(
            "mode",
            f"the requirements ask for {asked.value}, and {why}",
            f"choose {other}, or answer traffic.mode with {wanted.value}",
        )
    return good("mode", f"{why}")


def fargate_quota(request: PlanRequest, aws: Aws) -> Finding:
    """vCPUs of all tasks at the busiest hour, against what the account may run."""
    wanted = (request.ranked.sizing.vcpu or 0) * request.ranked.replicas.max
    return quota(*FARGATE_QUOTA, wanted, "vCPU on Fargate", aws)


def network(request: PlanRequest, given: AwsSettings, aws: Aws) -> list[Finding]:
    """Is the network that was chosen there, in two zones? Else what is made."""
    if not given.vpc_id:
        return [
            *_network_of_its_own(sealed=request.need.control.private_network),
            _room(request, aws),
        ]
    try:
        with told(f"look at the subnets of {given.vpc_id}"):
            found = aws.client("ec2").describe_subnets(SubnetIds=list(given.subnet_ids))["Subnets"]
    except DeployError as error:
        return [bad("network", f"{message_of(error) or error}", "correct ADVISOR_AWS_SUBNET_IDS")]
    elsewhere = [s["SubnetId"] for s in found if s["VpcId"] != given.vpc_id]
    if elsewhere:
        return [
            bad(
                "network",
                f"{', '.join(elsewhere)} belong to another network than {given.vpc_id}",
                "name subnets of that network",
            )
        ]
    zones = {s["AvailabilityZone"] for s in found}
    if len(zones) < ZONES:
        return [
            bad(
                "network",
                f"the subnets lie in {', '.join(sorted(zones))} only and a load balancer needs "
                f"{ZONES} zones",
                "name a subnet in another zone as well",
            )
        ]
    return [
        good(
            "network",
            f"{', '.join(given.subnet_ids)} of {given.vpc_id}",
            "they need a way to the image registry and the logs: a NAT gateway or endpoints",
        )
    ]


def _network_of_its_own(*, sealed: bool) -> list[Finding]:
    if sealed:
        return [
            good(
                "network",
                "a network of its own, without a way to the internet",
                "callers come in by peering, VPN or a transit gateway; or name a VPC of yours "
                "(ADVISOR_AWS_VPC_ID, ADVISOR_AWS_SUBNET_IDS, ADVISOR_AWS_SECURITY_GROUP_IDS)",
            )
        ]
    return [good("network", "a network of its own; only the load balancer reaches the model")]


def _room(request: PlanRequest, aws: Aws) -> Finding:
    """May the account have another network here? Five is what a new one may have, its own included."""
    try:
        with told("count the networks"):
            pages = aws.client("ec2").get_paginator("describe_vpcs").paginate()
            found = [vpc for page in pages for vpc in page["Vpcs"]]
        allowed = quotas_of("vpc", aws).get(NETWORKS_QUOTA)
    except DeployError as error:
        return unknown(
            "networks", f"whether there is room for a network could not be read: {error}"
        )
    own = {"Key": "mda:deployment", "Value": request.name}
    if any(own in vpc.get("Tags", []) for vpc in found):
        return good("networks", "its network is there already")
    if allowed is None:
        return unknown("networks", f"Service Quotas names no quota {NETWORKS_QUOTA!r}")
    if len(found) >= allowed:
        return bad(
            "networks",
            f"the account may have {allowed:g} networks (VPCs) in {aws.region} and has {len(found)}; "
            "this deployment would make one",
            f"ask for more of {NETWORKS_QUOTA!r} under Service Quotas, or name a network of yours "
            "(ADVISOR_AWS_VPC_ID, ADVISOR_AWS_SUBNET_IDS, ADVISOR_AWS_SECURITY_GROUP_IDS)",
        )
    return good("networks", f"{len(found)} of {allowed:g} networks (VPCs) are there")


def _cluster_name(request: PlanRequest, aws: Aws) -> Finding:
    cluster = stack_name(request.name)
    with told(f"look for a cluster {cluster}"):
        found = aws.client("ecs").describe_clusters(clusters=[cluster])["clusters"]
    if any(c["status"] == "ACTIVE" for c in found):
        return bad("name", f"a cluster {cluster} exists outside any stack of this tool", "rename")
    return good("name", f"{cluster} is free")
