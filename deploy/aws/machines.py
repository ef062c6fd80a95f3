"""EC2 machines under containers: parameters from the sizing, what they need, what they may run."""

from __future__ import annotations

from advisor.catalog.loader import option
from advisor.costs.usage import parse_usage, price_usage
from advisor.errors import DeployError
from advisor.prices import Machine, load_book
from advisor.requirements import HOURS_IN_MONTH
from deploy.aws.findings import bad, good, quota, unknown
from deploy.aws.session import Aws, told
from deploy.aws.wanted import number
from deploy.requests import PlanRequest
from deploy.target import Finding

ZONES = 2
MB_PER_GB = 1024
# Of a machine's memory the system and the agent keep some; a task that reserves more never starts.
RESERVED_SHARE = 0.7
# The names that Service Quotas gives the vCPUs of machine families (first letters).
QUOTAS = {
    "standard": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    "g": "Running On-Demand G and VT instances",
    "p": "Running On-Demand P instances",
    "inf": "Running On-Demand Inf instances",
    "trn": "Running On-Demand Trn instances",
    "x": "Running On-Demand X instances",
    "f": "Running On-Demand F instances",
    "dl": "Running On-Demand DL instances",
    "u": "Running On-Demand High Memory instances",
    "hpc": "Running On-Demand HPC instances",
}


def machine_of(request: PlanRequest) -> Machine:
    """The machine as the price book knows it. Raises UnknownPriceError."""
    return load_book().machine("ec2", request.ranked.region, request.ranked.machine)


def machine_parameters(request: PlanRequest) -> dict[str, str]:
    """Machine and disk."""
    disk_gb = option(request.ranked.option).number("disk_gb")
    return {
        "Machine": request.ranked.machine,
        "DiskGb": number(disk_gb),
    }


def reserved_mb(request: PlanRequest) -> int:
    """Memory that a machine keeps free for its task."""
    return round(RESERVED_SHARE * (request.ranked.sizing.memory_mb or 0))


def balancer_usd(request: PlanRequest) -> float:
    """What the load balancer costs a month where the recommendation has none: in front of a single
    machine, which it gives an address that outlives the machine."""
    known = option(request.ranked.option)
    if request.ranked.replicas.max > 1 or known.flag("always_balanced"):
        return 0.0
    traffic = request.need.traffic
    gb = traffic.requests_per_month * (traffic.request_mb + traffic.response_mb) / MB_PER_GB
    item = {"service": "alb", "hours": HOURS_IN_MONTH, "gb": gb}
    return price_usage(parse_usage({"region": request.ranked.region, "items": [item]})).total_usd


def machine_findings(request: PlanRequest, aws: Aws) -> list[Finding]:
    """Is the machine offered in two zones of the region, and may the account run so many?"""
    machine = machine_of(request)
    if machine.gpu_count and machine.arch == "arm64":
        return [
            bad(
                "machine",
                f"{machine.name} has ARM processors and GPUs, for which there is no machine image "
                "that this product knows",
                "answer placement.arm with false",
            )
        ]
    vcpu = machine.vcpu * request.ranked.replicas.max
    return [_offered(machine.name, aws), quota("ec2", quota_name(machine.name), vcpu, "vCPU", aws)]


def zones_with(machine: str, aws: Aws) -> set[str]:
    """Names of the region's zones that offer the machine. Raises DeployError."""
    with told(f"look where {machine} is offered"):
        pages = aws.client("ec2").get_paginator("describe_instance_type_offerings")
        return {
            offering["Location"]
            for page in pages.paginate(
                LocationType="availability-zone",
                Filters=[{"Name": "instance-type", "Values": [machine]}],
            )
            for offering in page["InstanceTypeOfferings"]
        }


def quota_name(machine: str) -> str:
    """What Service Quotas calls the vCPUs of the machine's family."""
    family = machine.partition(".")[0].lower()
    for start in ("inf", "trn", "hpc", "dl", "vt", "g", "p", "x", "f", "u"):
        if family.startswith(start):
            return QUOTAS["g" if start == "vt" else start]
    return QUOTAS["standard"]


def _offered(machine: str, aws: Aws) -> Finding:
    try:
        zones = zones_with(machine, aws)
    except DeployError as error:
        return unknown("machine", f"where {machine} is offered could not be read: {error}")
    if not zones:
        return bad("machine", f"{machine} is not offered in {aws.region}", "choose another region")
    if len(zones) < ZONES:
        return unknown(
            "machine",
            f"{machine} is offered in {', '.join(zones)} only: all machines will run there",
            "choose another machine for two zones",
        )
    return good("machine", f"{machine} is offered in {len(zones)} zones of {aws.region}")
