"""A sized recommendation as the parameters of a cluster's stack, and as what runs in the cluster."""

from __future__ import annotations

from dataclasses import replace

from advisor.catalog.loader import option
from deploy.aws.containers import (
    ALLOWED,
    balancer_parameters,
    bill_parameters,
    network_parameters,
)
from deploy.aws.limits import limit
from deploy.aws.machines import RESERVED_SHARE, machine_of, machine_parameters
from deploy.aws.reach import CERTIFICATE, gateway_usd, reach_of, reach_parameters, said
from deploy.aws.session import AwsSettings
from deploy.aws.settings import settings_of
from deploy.aws.templates import load
from deploy.aws.wanted import Wanted, common_parameters, number, stack_name, stack_tags
from deploy.bundle.pack import image_tag
from deploy.kubernetes.objects import Serving
from deploy.requests import PlanRequest

NEW, EXISTING = "eks.yaml", "eks-existing.yaml"
SETTINGS = (*ALLOWED, "cluster", "cluster_cidrs", "cluster_admin_arn")
NETWORK_CIDR, SUBNET_BITS = "10.77.0.0/16", 12  # each pod takes an address: 4,096 in each zone
HALF = 0.45  # of a node's room, so that a new pod starts beside the old one
HEADROOM = 1.2  # of the model's memory while it serves
LEAST_CPU_M, LEAST_MB = 50, 64


def cluster_wanted(request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
    """What the request means: a cluster of its own, or a place on one that is there.

    Raises InputError for a wrong setting or tag.
    """
    given = settings_of(request, settings, SETTINGS)
    made = _on_existing(request, given) if given.cluster else _of_its_own(request, given)
    # No resource runs the image, so that a new version would change nothing that has a preview.
    tags = made.template.content["Resources"]["Logs"]["Properties"]["Tags"]
    tag = image_tag(bundle_hash, made.architecture) if bundle_hash else "none"
    image = {"Key": "mda:image", "Value": tag}
    return replace(made, additions={"Logs": {"Tags": [*tags, image]}})


def serving_of(request: PlanRequest, settings: AwsSettings) -> Serving:
    """What runs in the cluster; its image, callers and token are known when it is brought in."""
    given = settings_of(request, settings, SETTINGS)
    ranked, need, machine = request.ranked, request.need, machine_of(request)
    vcpu = ranked.sizing.vcpu or machine.vcpu
    room_mb = _room_mb(request)
    room_m = vcpu * 1000 * (1 - limit("eks_reserved_cpu_share")) - limit("eks_agents_cpu_m")
    needed_mb = max(LEAST_MB, round(HEADROOM * need.model.memory_mb))
    beside = needed_mb <= HALF * room_mb and not machine.gpu_count
    own = not given.cluster
    return Serving(
        deployment=request.name,
        image="",
        replicas_min=ranked.replicas.min,
        replicas_max=ranked.replicas.max,
        cpu_request_m=max(LEAST_CPU_M, round((HALF if beside else 2 * HALF) * room_m)),
        memory_request_mb=min(needed_mb, room_mb),
        memory_limit_mb=max(room_mb, LEAST_MB),
        scale_at_cpu_m=max(1, round(need.service.max_utilisation * vcpu * 1000)),
        start_s=round(60 + 4 * need.model.load_time_s),
        architecture="arm64" if machine.arch == "arm64" else "amd64",
        gpus=machine.gpu_count,
        own_nodes=own,
        beside=beside,
        node_port=round(limit("eks_node_port")) if own else None,
        token=own and reach_of(request, given) == CERTIFICATE,
    )


def _room_mb(request: PlanRequest) -> int:
    """Memory of a node that its one replica may take."""
    memory_mb = request.ranked.sizing.memory_mb or 0
    overhead_mb = option(request.ranked.option).number("overhead_memory_mb")
    return max(1, round(min(memory_mb - overhead_mb, RESERVED_SHARE * memory_mb)))


def _of_its_own(request: PlanRequest, given: AwsSettings) -> Wanted:
    ranked, template, machine = request.ranked, load(NEW), machine_of(request)
    low, high = ranked.replicas.min, ranked.replicas.max
    extra_usd = gateway_usd(request, given)
    public, callers_need = said(request, given)
    if given.cluster_cidrs:
        door = (
            f"the cluster's API server, from {', '.join(given.cluster_cidrs)} only: each call is "
            "authenticated by IAM"
        )
        closed = public[0].startswith("nothing")
        public = (door, f"nothing else{public[0].removeprefix('nothing')}" if closed else public[0])
    arm = machine.arch == "arm64"
    system = "AL2023_ARM_64_STANDARD" if arm else "AL2023_x86_64_STANDARD"
    parameters = (
        common_parameters(request)
        | bill_parameters(request, given, extra_usd)
        | network_parameters(request, given)
        | reach_parameters(request, given)
        | balancer_parameters(request, template)
        | machine_parameters(request)
        | {
            "TargetType": "instance",
            "TargetPort": number(limit("eks_node_port")),
            "NetworkCidr": NETWORK_CIDR,
            "SubnetBits": str(SUBNET_BITS),
            "LaunchAddresses": "true",
            "AmiType": "BOTTLEROCKET_x86_64_NVIDIA" if machine.gpu_count else system,
            "MinNodes": str(low),
            "MaxNodes": str(high),
            "Scales": "true" if high > low else "false",
            "ApiCidrs": ",".join(given.cluster_cidrs),
        }
    )
    count = f"{low}" if low == high else f"{low}–{high}"
    name = stack_name(request.name)
    return Wanted(
        template,
        parameters,
        stack_tags(request),
        "arm64" if arm else "x86_64",
        public=public,
        callers_need=callers_need,
        known={
            "Cluster": (name, ""),
            "Nodes": (name, f"{count} × {ranked.machine}"),
            "Logs": (f"/mda/{request.name}", ""),
            "ControlLogs": (f"/aws/eks/{name}/cluster", ""),
        },
        monthly_extra_usd=extra_usd,
    )


def _on_existing(request: PlanRequest, given: AwsSettings) -> Wanted:
    arm = machine_of(request).arch == "arm64"
    return Wanted(
        load(EXISTING),
        common_parameters(request) | bill_parameters(request, given) | {"Cluster": given.cluster},
        stack_tags(request),
        "arm64" if arm else "x86_64",
        public=("nothing: the service has an address inside the cluster only",),
        callers_need=(
            "Whoever calls it runs in the cluster, or comes through an ingress that you add; no "
            "credentials are needed there."
        ),
        known={"Logs": (f"/mda/{request.name}", "")},
    )
