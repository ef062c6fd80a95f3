"""A sized recommendation as the parameters of the SageMaker serverless template."""

from __future__ import annotations

from advisor.catalog.loader import option
from advisor.errors import InputError
from advisor.sizing.performance import cold_start
from advisor.sizing.provisioned import instances_kept_ready
from advisor.traffic import weekly_rates
from deploy.aws.clock import week_changes
from deploy.aws.endpoint_kind import EndpointKind
from deploy.aws.release import release_name
from deploy.aws.scaling import SATURATED
from deploy.aws.serverless_checks import findings
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.settings import settings_of
from deploy.aws.stacks import Stacks
from deploy.aws.templates import Template, load
from deploy.aws.wanted import Wanted, common_parameters, number, stack_name, stack_tags
from deploy.requests import PlanRequest
from deploy.target import Finding

TEMPLATE = "sagemaker-serverless.yaml"
ALLOWED = ("alarm_topic_arn",)
RELEASE = ("MemoryMb", "MaxConcurrency", "ReadyMax")
UNUSED = "-"  # fills the changes of the clock that a plan does not need


class Serverless(EndpointKind):
    """An endpoint whose instances start with the requests."""

    variant = "serverless"

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return serverless(request, bundle_hash, settings)

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        return findings(request, most_at_once(request), aws, stacks)


def serverless(request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
    """What the request means for the template. Raises InputError for a wrong setting or tag, or a
    memory size that the service does not have."""
    ranked, need = request.ranked, request.need
    template, given = load(TEMPLATE), settings_of(request, settings, ALLOWED)
    memory_mb = round(ranked.sizing.memory_mb or 0)
    steps = template.content["Parameters"]["MemoryMb"]["AllowedValues"]
    if memory_mb not in steps:
        raise InputError(
            f"a serverless endpoint of {memory_mb:,} MB cannot be had; it has one of "
            f"{', '.join(f'{step:,}' for step in steps)} MB"
        )
    ready = ready_hours(request)
    parameters = common_parameters(request) | {
        "MemoryMb": str(memory_mb),
        "MaxConcurrency": str(template.bounded("MaxConcurrency", most_at_once(request))),
        "SaturatedShare": number(SATURATED),
        **_clock(ready, template),
        "LatencyAlarmMicroseconds": number((need.service.p95_ms or 0) * 1000),
        "LatencyPercentile": f"p{need.service.percentile:g}",
        "AlarmTopicArn": given.alarm_topic_arn,
    }
    release = release_name(request.name, bundle_hash, parameters, template, RELEASE)
    parameters["ReleaseName"] = release
    size = f"{memory_mb:,} MB, at most {parameters['MaxConcurrency']} requests at once"
    kept = f"{min(ready)}–{max(ready)} instances by the clock" if ready else ""
    return Wanted(
        template,
        parameters,
        stack_tags(request),
        "x86_64",
        public=("nothing: the endpoint answers IAM-signed calls only",),
        callers_need="Whoever calls it needs sagemaker:InvokeEndpoint on it.",
        known={
            "Endpoint": (stack_name(request.name), size),
            "Model": (release, ""),
            "EndpointConfig": (release, size),
            "ReadyTarget": (stack_name(request.name), kept),
        },
    )


def most_at_once(request: PlanRequest) -> int:
    """Requests that the endpoint must take at once: as many as are sized, and so many that fewer
    than one in a thousand of the busiest hour is turned away (`ready_spill` of the catalog).

    A request holds an instance for its service time and, at the sizing's share of cold starts, for
    the start; nothing queues, hence Erlang's loss formula.
    """
    ranked, chosen = request.ranked, option(request.ranked.option)
    start_s = cold_start(chosen.id).cold_s.expected + request.need.model.load_time_s
    held_s = ranked.sizing.service_time_ms / 1000 + ranked.sizing.cold_start_share * start_s
    rates = weekly_rates(request.need.traffic)
    hours = instances_kept_ready(rates, held_s, chosen.number("ready_spill"))
    return max(1, ranked.replicas.max, int(hours.max()))


def ready_hours(request: PlanRequest) -> tuple[int, ...]:
    """Instances that the clock keeps ready in each hour of the week; empty for none. The service
    keeps one at least once it keeps any."""
    return tuple(max(1, n) for n in request.ranked.sizing.hourly_replicas)


def _clock(ready: tuple[int, ...], template: Template) -> dict[str, str]:
    room = str(template.content["Parameters"]["ReadyTimes"]["Default"]).split(",")
    if not ready:
        return {}
    changes, counts = week_changes(ready, len(room))
    unused = [(UNUSED, UNUSED)] * (len(room) - len(changes))
    filled = [*((when, str(count)) for when, count in changes), *unused]
    return {
        "ReadyMin": str(min(counts)),
        "ReadyMax": str(max(counts)),
        "ReadyTimes": ",".join(when for when, _ in filled),
        "ReadyCounts": ",".join(count for _, count in filled),
    }
