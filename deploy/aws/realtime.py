"""A sized recommendation as the parameters of the SageMaker real-time template."""

from __future__ import annotations

from deploy.aws import checks
from deploy.aws.endpoint_kind import EndpointKind
from deploy.aws.release import release_name
from deploy.aws.sagemaker_machines import architecture, machine_parameters
from deploy.aws.scaling import invocations_target, saturation
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.settings import settings_of
from deploy.aws.stacks import Stacks
from deploy.aws.templates import load
from deploy.aws.wanted import Wanted, common_parameters, number, stack_name, stack_tags
from deploy.requests import PlanRequest
from deploy.target import Finding

TEMPLATE = "sagemaker-realtime.yaml"
# What a change of makes a new model and endpoint configuration; alarms and scaling do not.
RELEASE = (
    "InstanceType", "MinInstances", "StartupTimeoutSeconds", "ModelDownloadTimeoutSeconds",
    "SubnetIds", "SecurityGroupIds", "KmsKeyArn",
)  # fmt: skip


class Realtime(EndpointKind):
    """An endpoint on machines that always run."""

    variant = "realtime"

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return realtime(request, bundle_hash, settings)

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        return checks.findings(request, aws, stacks)


def realtime(request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
    """What the request means for the template; `in_account` adds what the account has to give.

    Raises InputError for a wrong setting or tag, UnknownPriceError for a machine nobody knows.
    """
    need, ranked = request.need, request.ranked
    template = load(TEMPLATE)
    given = settings_of(request, settings)
    low, high = ranked.replicas.min, ranked.replicas.max
    parameters = (
        common_parameters(request)
        | machine_parameters(request, given, template)
        | {
            "MinInstances": str(low),
            "MaxInstances": str(high),
            "Scales": "true" if high > low else "false",
            "InvocationsPerInstanceTarget": number(invocations_target(need, ranked)),
            "SaturationInvocationsPerInstance": number(saturation(ranked)),
            "LatencyAlarmMicroseconds": number((need.service.p95_ms or 0) * 1000),
            "LatencyPercentile": f"p{need.service.percentile:g}",
            "TrafficShift": "CANARY" if need.control.canary and low > 1 else "ALL_AT_ONCE",
        }
    )
    parameters["ReleaseName"] = release_name(
        request.name, bundle_hash, parameters, template, RELEASE
    )
    count = f"{low}" if low == high else f"{low}–{high}"
    release = parameters["ReleaseName"]
    return Wanted(
        template,
        parameters,
        stack_tags(request),
        architecture(request),
        public=("nothing: the endpoint answers IAM-signed calls only",),
        callers_need="Whoever calls it needs sagemaker:InvokeEndpoint on it.",
        known={
            "Endpoint": (stack_name(request.name), f"{count} × {ranked.machine}"),
            "Model": (release, "network isolation on"),
            "EndpointConfig": (release, ranked.machine),
        },
    )
