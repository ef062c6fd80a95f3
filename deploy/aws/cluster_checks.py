"""What must be true before a cluster, or a place on one, is planned. Changes nothing."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta

from advisor.errors import DeployError, PreflightError
from advisor.vocabulary import Mode
from deploy.aws import reach
from deploy.aws.cluster_access import admin_arn, cluster_of, described
from deploy.aws.container_checks import mode, network
from deploy.aws.findings import bad, budget, good, in_account, model_file, name, unknown
from deploy.aws.limits import limit
from deploy.aws.machines import machine_findings
from deploy.aws.session import Aws, AwsSettings, told
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import stack_name
from deploy.kubernetes.cluster import ClusterError
from deploy.requests import PlanRequest
from deploy.target import Finding

SERVICE = ("eks", "EKS")
ADMIN_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/\S+")


def own_cluster_findings(
    request: PlanRequest, given: AwsSettings, aws: Aws, stacks: Stacks, extra_usd: float
) -> list[Finding]:
    """One finding a check, for a cluster of its own."""
    before = [
        *_common(request, extra_usd),
        *reach.findings(request, given),
        _api_door(given),
        *_sealed(request, given),
    ]
    return in_account(
        request, aws, before, SERVICE,
        lambda: [
            name(request, stacks, lambda: _cluster_name(request, aws)),
            *network(request, given, aws),
            *machine_findings(request, aws),
            _default_version(aws),
            _administrator(given, aws),
        ],
    )  # fmt: skip


def existing_cluster_findings(
    request: PlanRequest, given: AwsSettings, aws: Aws, stacks: Stacks
) -> list[Finding]:
    """The same for a place on a cluster that is there."""
    before = [*_common(request, 0.0), *_not_on_existing(request)]
    return in_account(
        request, aws, before, SERVICE,
        lambda: [
            name(request, stacks, lambda: good("name", f"{stack_name(request.name)} is free")),
            *_existing(given.cluster, aws),
        ],
    )  # fmt: skip


def _common(request: PlanRequest, extra_usd: float) -> list[Finding]:
    return [
        model_file(request),
        mode(request, Mode.realtime, "pods answer requests", "aws-batch"),
        budget(request, extra_usd),
    ]


def _api_door(given: AwsSettings) -> Finding:
    """Can this machine reach the API server that the objects are applied through?"""
    wrong = [cidr for cidr in given.cluster_cidrs if not _is_network(cidr)]
    if wrong:
        return bad(
            "cluster API",
            f"ADVISOR_AWS_CLUSTER_CIDRS has {wrong[0]!r}, which is no network of addresses",
            "write the addresses that you deploy from, such as 203.0.113.7/32",
        )
    if given.cluster_cidrs:
        said = ", ".join(given.cluster_cidrs)
        return good("cluster API", f"reached from {said} and from inside the network")
    if given.vpc_id:
        return unknown(
            "cluster API",
            f"the cluster's API server will be reached from inside {given.vpc_id} only",
            "deploy from a machine in there, or set ADVISOR_AWS_CLUSTER_CIDRS",
        )
    return bad(
        "cluster API",
        "the cluster's API server would be reached from inside its new network only, where this "
        "machine is not",
        "set ADVISOR_AWS_CLUSTER_CIDRS to the addresses that you deploy from, such as "
        "203.0.113.7/32, or name a VPC that this machine is in",
    )


def _is_network(text: str) -> bool:
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        return False
    return isinstance(found, ipaddress.IPv4Network)


def _sealed(request: PlanRequest, given: AwsSettings) -> list[Finding]:
    """What scales the nodes comes from Kubernetes' own registry, which a sealed network hides."""
    replicas = request.ranked.replicas
    if given.vpc_id or not request.need.control.private_network or replicas.max == replicas.min:
        return []
    return [
        bad(
            "scaling",
            "the nodes are to scale, and what scales them cannot be pulled in a network without a "
            "way out",
            "name a VPC of yours that reaches registry.k8s.io (ADVISOR_AWS_VPC_ID, "
            "ADVISOR_AWS_SUBNET_IDS), or use an even traffic pattern",
        )
    ]


def _not_on_existing(request: PlanRequest) -> list[Finding]:
    found = []
    if request.public:
        found.append(
            bad(
                "reach",
                "public was asked for, and on a cluster that is there only its own ingress can do "
                "that",
                "leave public out and add an Ingress, or deploy a cluster of its own",
            )
        )
    if isinstance(request.expires_in, timedelta):
        found.append(
            bad(
                "expiry",
                "an expiry was asked for, and the account's schedule reaches no object inside a "
                "cluster that stays",
                "leave it out and destroy it by name",
            )
        )
    return found


def _cluster_name(request: PlanRequest, aws: Aws) -> Finding:
    cluster = stack_name(request.name)
    if described(cluster, aws) is not None:
        return bad("name", f"a cluster {cluster} exists outside any stack of this tool", "rename")
    return good("name", f"{cluster} is free")


def _default_version(aws: Aws) -> Finding:
    """A new cluster gets EKS's own default version: is that one known, and new enough?"""
    try:
        with told("read the versions of Kubernetes that EKS offers"):
            found = aws.client("eks").describe_cluster_versions(defaultOnly=True)["clusterVersions"]
    except DeployError as error:
        return unknown("version", f"the version of Kubernetes could not be read: {error}")
    return _version(found[0]["clusterVersion"], "EKS makes a cluster of Kubernetes")


def _version(version: str, said: str) -> Finding:
    least = limit("eks_least_version")
    if _number(version) < _number(f"{least:.2f}"):
        return bad(
            "version",
            f"{said} {version} and the objects need {least:.2f}",
            "renew the cluster, or choose another region",
        )
    return good("version", f"{said} {version}")


def _number(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor or 0)


def _administrator(given: AwsSettings, aws: Aws) -> Finding:
    if given.cluster_admin_arn:
        if not ADMIN_ARN.fullmatch(given.cluster_admin_arn):
            return bad(
                "administrator",
                f"ADVISOR_AWS_CLUSTER_ADMIN_ARN is {given.cluster_admin_arn!r}, which is no role or "
                "user",
                "write it like arn:aws:iam::123456789012:role/deploy",
            )
        return good("administrator", f"{given.cluster_admin_arn} will administer the cluster")
    try:
        return good("administrator", f"{admin_arn(aws)} will administer the cluster")
    except PreflightError as error:
        return bad("administrator", str(error))


def _existing(cluster: str, aws: Aws) -> list[Finding]:
    """Is it there, new enough, and does it let this machine in?"""
    found = described(cluster, aws)
    if found is None:
        return [
            bad(
                "cluster",
                f"there is no EKS cluster {cluster!r} in {aws.region}",
                "correct ADVISOR_AWS_CLUSTER, or choose its region",
            )
        ]
    out = [_version(found["version"], f"the cluster {cluster} runs Kubernetes")]
    try:
        nodes = cluster_of(cluster, aws).listed("Node")
    except ClusterError as error:
        allow = "give this machine's role an access entry of the cluster with an admin policy"
        return [*out, bad("cluster", f"{error}", allow if error.status in (401, 403) else "")]
    if not nodes:
        return [*out, unknown("cluster", f"{cluster} has no node yet: pods wait for one")]
    return [*out, good("cluster", f"{cluster} lets this machine in and has {len(nodes)} nodes")]


def callers(network_id: str, aws: Aws) -> list[str]:
    """The addresses of the network, from which balancer and API server call pods."""
    with told(f"read the addresses of {network_id}"):
        (found,) = aws.client("ec2").describe_vpcs(VpcIds=[network_id])["Vpcs"]
    blocks = [b["CidrBlock"] for b in found.get("CidrBlockAssociationSet", [])]
    return sorted(set(blocks or [found["CidrBlock"]]))
