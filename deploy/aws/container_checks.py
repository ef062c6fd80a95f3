"""What must be true of the account before containers are planned there. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from advisor.errors import DeployError
from advisor.vocabulary import Mode
from deploy.aws import reach
from deploy.aws.findings import bad, budget, credentials, good, model_file, name, region, unknown
from deploy.aws.session import Aws, AwsSettings, message_of, told
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import stack_name
from deploy.requests import PlanRequest
from deploy.target import Finding

ZONES = 2
FARGATE_QUOTA = ("fargate", "Fargate On-Demand vCPU resource count")


def service_findings(
    request: PlanRequest, given: AwsSettings, aws: Aws, stacks: Stacks, extra_usd: float
) -> list[Finding]:
    """One finding a check, for an ECS service; where region or credentials fail, AWS is not asked
    for more."""
    return _findings(
        request, given, aws, stacks, extra_usd, ("ecs", "ECS"), lambda: _cluster_name(request, aws)
    )


def machines_findings(
    request: PlanRequest, given: AwsSettings, aws: Aws, stacks: Stacks, extra_usd: float
) -> list[Finding]:
    """The same for machines that run a container each."""

    def free() -> Finding:
        return good("name", f"{stack_name(request.name)} is free")

    return _findings(request, given, aws, stacks, extra_usd, ("ec2", "EC2"), free)


def _findings(
    request: PlanRequest,
    given: AwsSettings,
    aws: Aws,
    stacks: Stacks,
    extra_usd: float,
    service: tuple[str, str],
    when_free: Callable[[], Finding],
) -> list[Finding]:
    before = [
        model_file(request),
        mode(request, Mode.realtime, "a service answers requests", "aws-batch"),
        budget(request, extra_usd),
        *reach.findings(request, given),
        region(request, aws, *service),
    ]
    if not before[-1].ok:
        return before
    who = credentials(aws)
    if not who.ok:
        return [*before, who]
    return [*before, who, name(request, stacks, when_free), *network(request, given, aws)]


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


def quota(code: str, quota_name: str, wanted: float, unit: str, aws: Aws) -> Finding:
    """Is `wanted` within the account's quota of that name? Not blocking when it cannot be read."""
    try:
        with told(f"read the quotas of {code}"):
            pages = aws.client("service-quotas").get_paginator("list_service_quotas")
            quotas = {
                found["QuotaName"]: float(found["Value"])
                for page in pages.paginate(ServiceCode=code)
                for found in page["Quotas"]
            }
    except DeployError as error:
        return unknown("quota", f"the quota {quota_name!r} could not be read: {error}")
    if quota_name not in quotas:
        return unknown("quota", f"Service Quotas names no quota {quota_name!r}")
    if quotas[quota_name] < wanted:
        return bad(
            "quota",
            f"the account may run {quotas[quota_name]:g} {unit} and the plan needs {wanted:g}",
            f"ask for more of {quota_name!r} under Service Quotas",
        )
    return good(
        "quota", f"{wanted:g} of {quotas[quota_name]:g} {unit}; what runs already counts too"
    )


def network(request: PlanRequest, given: AwsSettings, aws: Aws) -> list[Finding]:
    """Is the network that was chosen there, in two zones? Else what is made."""
    sealed = request.need.control.private_network
    if not given.vpc_id:
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


def _cluster_name(request: PlanRequest, aws: Aws) -> Finding:
    cluster = stack_name(request.name)
    with told(f"look for a cluster {cluster}"):
        found = aws.client("ecs").describe_clusters(clusters=[cluster])["clusters"]
    if any(c["status"] == "ACTIVE" for c in found):
        return bad("name", f"a cluster {cluster} exists outside any stack of this tool", "rename")
    return good("name", f"{cluster} is free")
