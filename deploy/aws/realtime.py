"""A sized recommendation as the parameters of the SageMaker real-time template."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from advisor.errors import InputError
from advisor.prices import Machine, load_book
from advisor.recommendation import Ranked
from advisor.requirements import Requirements
from advisor.traffic import weekly_rates
from deploy.aws.bootstrap import MANAGED_BY, PREFIX, Bootstrap
from deploy.aws.images import Architecture
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.templates import Template, load
from deploy.requests import PlanRequest

TEMPLATE = "sagemaker-realtime.yaml"
VARIANT = "realtime"
# Beyond this share of a replica's time no latency is promised: the sizing quotes none there either.
SATURATED = 0.85
SECONDS_IN_MINUTE = 60
# What a change of makes a new model and endpoint configuration; alarms and scaling do not.
RELEASE = (
    "InstanceType", "MinInstances", "StartupTimeoutSeconds", "ModelDownloadTimeoutSeconds",
    "SubnetIds", "SecurityGroupIds", "KmsKeyArn",
)  # fmt: skip
TAG_VALUE = re.compile(r"^[\w\s.:/=+@-]{0,256}$")
SETTINGS = ("subnet_ids", "security_group_ids", "kms_key_arn", "alarm_topic_arn")


@dataclass(frozen=True)
class Realtime:
    """The stack of one deployment: template, parameters known so far, tags, and its machine."""

    template: Template
    parameters: dict[str, str]
    tags: dict[str, str]
    machine: Machine

    @property
    def architecture(self) -> Architecture:
        return "arm64" if self.machine.arch == "arm64" else "x86_64"


def stack_name(deployment: str) -> str:
    """Of the stack and of the endpoint alike."""
    return f"{PREFIX}{deployment}"


def realtime(request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Realtime:
    """What the request means for the template; `in_account` adds what the account has to give.

    Raises InputError for a wrong setting or tag, UnknownPriceError for a machine nobody knows.
    """
    need, ranked = request.need, request.ranked
    template = load(TEMPLATE)
    machine = load_book().machine("sagemaker", ranked.region, ranked.machine)
    given = settings_of(request, settings)
    low, high = ranked.replicas.min, ranked.replicas.max
    load_s = need.model.load_time_s
    parameters = {
        "DeploymentName": request.name,
        "InstanceType": ranked.machine,
        "MinInstances": str(low),
        "MaxInstances": str(high),
        "Scales": "true" if high > low else "false",
        "InvocationsPerInstanceTarget": _number(invocations_target(need, ranked)),
        "SaturationInvocationsPerInstance": _number(saturation(ranked)),
        "LatencyAlarmMicroseconds": _number((need.service.p95_ms or 0) * 1000),
        "LatencyPercentile": f"p{need.service.percentile:g}",
        "CpuAlarmPercent": str(round(100 * SATURATED * machine.vcpu)),
        "StartupTimeoutSeconds": str(template.bounded("StartupTimeoutSeconds", 300 + 4 * load_s)),
        "TrafficShift": "CANARY" if need.control.canary and low > 1 else "ALL_AT_ONCE",
        "UseVpc": "true" if given.subnet_ids else "false",
        "SubnetIds": ",".join(given.subnet_ids),
        "SecurityGroupIds": ",".join(given.security_group_ids),
        "KmsKeyArn": given.kms_key_arn,
        "AlarmTopicArn": given.alarm_topic_arn,
        "Owner": _tag("owner", request.owner or "unknown"),
        "Scenario": _tag("scenario", request.tags.get("scenario", "unnamed")),
        "ExpiresOn": _tag("expires-on", request.tags.get("expires-on", "never")),
    }
    parameters["ReleaseName"] = _release(request.name, bundle_hash, parameters, template)
    own = {k: _tag(k, v) for k, v in request.tags.items() if k not in ("scenario", "expires-on")}
    tags = own | MANAGED_BY | {"mda:deployment": request.name}
    return Realtime(template, parameters, tags, machine)


def in_account(
    parameters: dict[str, str], tag: str, bootstrap: Bootstrap, aws: Aws
) -> dict[str, str]:
    """The parameters with what only the bootstrapped account knows: image, repository, boundary."""
    partition = bootstrap.workload_boundary_arn.split(":")[1]
    repository = f"arn:{partition}:ecr:{aws.region}:{aws.account}:repository"
    return parameters | {
        "ImageUri": f"{bootstrap.repository_uri}:{tag}",
        "RepositoryArn": f"{repository}/{bootstrap.repository_name}",
        "PermissionsBoundaryArn": bootstrap.workload_boundary_arn,
    }


def invocations_target(need: Requirements, ranked: Ranked) -> float:
    """Requests a minute and replica that target tracking should hold.

    The most that any replica gets in any hour of the sized week. The sizing runs ceil(load / r)
    replicas, r being the most that one can take, so this is at most r, and ceil(load / target)
    replicas are never fewer than sized. It reacts within minutes; it does not foresee.
    """
    rates = weekly_rates(need.traffic) * SECONDS_IN_MINUTE
    replicas = ranked.sizing.hourly_replicas
    if not replicas:
        return ranked.sizing.arrival_peak_per_s * SECONDS_IN_MINUTE / ranked.replicas.max
    return float(max(rate / count for rate, count in zip(rates, replicas, strict=True)))


def saturation(ranked: Ranked) -> float:
    """Requests a minute at which one replica is busy for the SATURATED share of its time."""
    sizing = ranked.sizing
    full = sizing.concurrency * SECONDS_IN_MINUTE * 1000 / sizing.service_time_ms
    return SATURATED * full


def settings_of(request: PlanRequest, settings: AwsSettings) -> AwsSettings:
    """The machine's settings, with what the request asks for in their place.

    Raises InputError for an unknown or wrong one.
    """
    given = dict(request.settings)
    unknown = sorted(set(given) - set(SETTINGS))
    if unknown:
        raise InputError(
            f"{unknown[0]!r} is no setting of this target; it takes {', '.join(SETTINGS)}"
        )

    def listed(name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = given.get(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise InputError(f"{name} is {value!r}; give a list of ids")
        return tuple(str(v) for v in value)

    def text(name: str, default: str) -> str:
        value = given.get(name, default)
        if not isinstance(value, str) or (value and not value.startswith("arn:")):
            raise InputError(f"{name} is {value!r}; give an ARN, or leave it out")
        return value

    return AwsSettings(
        role_arn=settings.role_arn,
        external_id=settings.external_id,
        kms_key_arn=text("kms_key_arn", settings.kms_key_arn),
        subnet_ids=listed("subnet_ids", settings.subnet_ids),
        security_group_ids=listed("security_group_ids", settings.security_group_ids),
        alarm_topic_arn=text("alarm_topic_arn", settings.alarm_topic_arn),
        poll_seconds=settings.poll_seconds,
    )


def _release(name: str, bundle_hash: str, parameters: dict[str, str], template: Template) -> str:
    """Name of model and endpoint configuration: a new one whenever either would be another."""
    content = {k: parameters.get(k, "") for k in RELEASE} | {
        "bundle": bundle_hash,
        "template": template.part_digest("Model", "EndpointConfig"),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{PREFIX}{name}-{digest[:12]}"


def _number(value: float) -> str:
    """For a Number parameter: never below the templates' least, 4 significant digits or more."""
    return f"{max(value, 0.01):.10g}"


def _tag(name: str, value: str) -> str:
    if not TAG_VALUE.match(value):
        raise InputError(
            f"the tag {name} is {value!r}; AWS takes at most 256 letters, digits, blanks and "
            "_ . : / = + - @"
        )
    return value
