"""What the SageMaker variants that run on machines share: machine, start, network and keys."""

from __future__ import annotations

from advisor.prices import load_book
from deploy.aws.images import Architecture
from deploy.aws.scaling import SATURATED
from deploy.aws.session import AwsSettings
from deploy.aws.templates import Template
from deploy.requests import PlanRequest


def machine_parameters(
    request: PlanRequest, given: AwsSettings, template: Template
) -> dict[str, str]:
    """Of endpoints on machines. Raises UnknownPriceError for a machine nobody knows."""
    ranked, load_s = request.ranked, request.need.model.load_time_s
    machine = load_book().machine("sagemaker", ranked.region, ranked.machine)
    return network_parameters(given) | {
        "InstanceType": ranked.machine,
        "CpuAlarmPercent": str(round(100 * SATURATED * machine.vcpu)),
        "StartupTimeoutSeconds": str(template.bounded("StartupTimeoutSeconds", 300 + 4 * load_s)),
    }


def network_parameters(given: AwsSettings) -> dict[str, str]:
    """Where the containers get addresses, whose key their disks have, and whom alarms tell."""
    return {
        "UseVpc": "true" if given.subnet_ids else "false",
        "SubnetIds": ",".join(given.subnet_ids),
        "SecurityGroupIds": ",".join(given.security_group_ids),
        "KmsKeyArn": given.kms_key_arn,
        "AlarmTopicArn": given.alarm_topic_arn,
    }


def architecture(request: PlanRequest) -> Architecture:
    """Processors of the machine. Raises UnknownPriceError for a machine nobody knows."""
    machine = load_book().machine("sagemaker", request.ranked.region, request.ranked.machine)
    return "arm64" if machine.arch == "arm64" else "x86_64"
