"""A sized recommendation as the parameters of the stacks of containers that answer requests."""

from __future__ import annotations

from advisor.errors import InputError
from deploy.aws.images import Architecture
from deploy.aws.machines import (
    balancer_usd,
    machine_of,
    machine_parameters,
    reserved_mb,
)
from deploy.aws.reach import gateway_usd, reach_parameters, said
from deploy.aws.scaling import SATURATED, invocations_target, saturation
from deploy.aws.session import AwsSettings
from deploy.aws.settings import PUBLIC_SETTINGS, settings_of
from deploy.aws.templates import Template, load
from deploy.aws.wanted import Wanted, common_parameters, number, stack_name, stack_tags
from deploy.requests import PlanRequest

FARGATE, MACHINES = "fargate", "ec2"
TEMPLATES = {FARGATE: "ecs-fargate.yaml", MACHINES: "ecs-ec2.yaml"}
ALLOWED = (
    "vpc_id", "subnet_ids", "security_group_ids", "alarm_topic_arn", *PUBLIC_SETTINGS,
)  # fmt: skip
MACHINES_TEMPLATE = "ec2.yaml"
CPU_UNITS = 1024  # of ECS, for a vCPU
ARM_LABEL = " ARM"  # ends the name of an ARM task size (advisor.sizing.candidates)


def service(request: PlanRequest, settings: AwsSettings) -> Wanted:
    """What the request means for an ECS service. Raises InputError for a wrong setting or tag."""
    ranked = request.ranked
    variant = ranked.deploy_variant or FARGATE
    template = load(TEMPLATES[variant])
    given = settings_of(request, settings, ALLOWED)
    low, high = ranked.replicas.min, ranked.replicas.max
    architecture = task_architecture(request)
    extra_usd = gateway_usd(request, given)
    on_machines: dict[str, str] = {}
    if variant == MACHINES:
        machine = machine_of(request)
        architecture = "arm64" if machine.arch == "arm64" else "x86_64"
        on_machines = machine_parameters(request) | {
            "Accelerator": "gpu" if machine.gpu_count else "none",
            "Gpus": str(machine.gpu_count),
            "MaxMachines": str(2 * high),
            "MemoryMb": str(reserved_mb(request)),
            "Cpu": "0",
        }
    parameters = (
        common_parameters(request)
        | bill_parameters(request, given, extra_usd)
        | network_parameters(request, given)
        | reach_parameters(request, given)
        | balancer_parameters(request, template)
        | {
            "Cpu": str(round((ranked.sizing.vcpu or 0) * CPU_UNITS)),
            "MemoryMb": str(round(ranked.sizing.memory_mb or 0)),
            "Architecture": "ARM64" if architecture == "arm64" else "X86_64",
            "MinTasks": str(low),
            "MaxTasks": str(high),
            "Scales": "true" if high > low else "false",
            "RequestsPerTaskTarget": number(invocations_target(request.need, ranked)),
            "CpuTargetPercent": number(100 * request.need.service.max_utilisation),
            "CpuAlarmPercent": number(100 * SATURATED),
            "GraceSeconds": str(
                template.bounded("GraceSeconds", 60 + 4 * request.need.model.load_time_s)
            ),
        }
        | on_machines
    )
    count = f"{low}" if low == high else f"{low}–{high}"
    public, callers_need = said(request, given)
    name = stack_name(request.name)
    return Wanted(
        template,
        parameters,
        stack_tags(request),
        architecture,
        public=public,
        callers_need=callers_need,
        known={
            "Cluster": (name, ""),
            "Service": (name, f"{count} × {ranked.machine}"),
            "Logs": (f"/mda/{request.name}", ""),
        },
        monthly_extra_usd=extra_usd,
    )


def machines(request: PlanRequest, settings: AwsSettings) -> Wanted:
    """What the request means for machines that run a container each.

    Raises InputError for a wrong setting or tag, or a machine that such a container cannot use.
    """
    ranked, template = request.ranked, load(MACHINES_TEMPLATE)
    given = settings_of(request, settings, ALLOWED)
    machine = machine_of(request)
    if machine.gpu_count:
        raise InputError(
            f"{machine.name} has GPUs, and the system that is started here brings no drivers; "
            "deploy to ecs-ec2, whose machine image does"
        )
    count = ranked.replicas.max
    grace_s = template.bounded("GraceSeconds", 240 + 4 * request.need.model.load_time_s)
    extra_usd = gateway_usd(request, given) + balancer_usd(request)
    public, callers_need = said(request, given)
    return Wanted(
        template,
        common_parameters(request)
        | bill_parameters(request, given, extra_usd)
        | network_parameters(request, given)
        | reach_parameters(request, given)
        | balancer_parameters(request, template)
        | machine_parameters(request)
        | {
            "TargetType": "instance",
            "Architecture": "ARM64" if machine.arch == "arm64" else "X86_64",
            "Count": str(count),
            "CountWhileUpdating": str(count + 1),
            "CpuAlarmPercent": number(100 * SATURATED),
            "GraceSeconds": str(grace_s),
            "StartPause": f"PT{grace_s}S",
        },
        stack_tags(request),
        "arm64" if machine.arch == "arm64" else "x86_64",
        public=public,
        callers_need=callers_need,
        known={
            "Machines": (stack_name(request.name), f"{count} × {ranked.machine}"),
            "Logs": (f"/mda/{request.name}", ""),
        },
        monthly_extra_usd=extra_usd,
    )


def task_architecture(request: PlanRequest) -> Architecture:
    """Processors of the Fargate task size."""
    return "arm64" if request.ranked.machine.endswith(ARM_LABEL) else "x86_64"


def bill_parameters(
    request: PlanRequest, given: AwsSettings, extra_usd: float = 0.0
) -> dict[str, str]:
    """How it is bought, what the alarm on cost watches, and whom it tells."""
    high = request.ranked.monthly_usd.high + extra_usd
    return {
        "Purchase": "spot" if request.ranked.purchase == "spot" else "on-demand",
        "AlarmTopicArn": given.alarm_topic_arn,
        "BudgetUsd": number(high),
    }


def network_parameters(request: PlanRequest, given: AwsSettings) -> dict[str, str]:
    """The network that was chosen, or whether the one that is made has a way out.

    Raises InputError when only half of a network was named.
    """
    if bool(given.vpc_id) != bool(given.subnet_ids):
        raise InputError(
            f"vpc_id is {given.vpc_id!r} and subnet_ids are {list(given.subnet_ids)}; give both "
            "(ADVISOR_AWS_VPC_ID, ADVISOR_AWS_SUBNET_IDS), or neither to have a network made"
        )
    if given.vpc_id and not given.security_group_ids:
        raise InputError(
            f"who may call in {given.vpc_id} was not said; give security_group_ids "
            "(ADVISOR_AWS_SECURITY_GROUP_IDS), which the load balancer then carries"
        )
    return {
        "VpcId": given.vpc_id,
        "SubnetIds": ",".join(given.subnet_ids),
        "SecurityGroupIds": ",".join(given.security_group_ids if given.vpc_id else ()),
        "Sealed": "true" if request.need.control.private_network else "false",
    }


def balancer_parameters(request: PlanRequest, template: Template) -> dict[str, str]:
    """How long the balancer waits, and what its alarms ring at."""
    need = request.need
    longest_s = need.service.max_processing_s or request.ranked.sizing.service_time_ms / 1000
    wait_s = template.bounded("IdleTimeoutSeconds", max(60, 1.5 * longest_s))
    return {
        "IdleTimeoutSeconds": str(wait_s),
        "SaturationRequestsPerTarget": number(saturation(request.ranked)),
        "LatencyAlarmSeconds": f"{(need.service.p95_ms or 0) / 1000:.10g}",
        "LatencyPercentile": f"p{need.service.percentile:g}",
    }
