"""A sized recommendation as the parameters of the stack of a function on Lambda."""

from __future__ import annotations

import math

import numpy as np

from advisor.catalog.loader import option as catalog_option
from advisor.requirements import HOURS_IN_WEEK
from advisor.sizing.provisioned import instances_kept_ready
from deploy.aws.containers import bill_parameters, task_architecture
from deploy.aws.reach import GATEWAY_IAM, GATEWAY_JWT, URL_IAM, said_of
from deploy.aws.release import release_digest
from deploy.aws.schedule import weekly
from deploy.aws.session import AwsSettings
from deploy.aws.settings import settings_of
from deploy.aws.templates import load
from deploy.aws.wanted import Wanted, common_parameters, number, stack_name, stack_tags
from deploy.requests import PlanRequest

TEMPLATE = "lambda.yaml"
API, URL = "apigateway", "url"
ALLOWED = ("alarm_topic_arn", "jwt_issuer", "jwt_audience")
ALIAS = "live"
ALL_AT_ONCE = "CodeDeployDefault.LambdaAllAtOnce"
CANARY = "CodeDeployDefault.LambdaCanary10Percent5Minutes"
# Of the calls at the busiest hour, at most this share may find the reservation used up.
TURNED_AWAY = 1e-6
LEAST_TIMEOUT_S = 30
# A change of these publishes a version; reservations, alarms and doors do not.
RELEASE = ("MemoryMb", "Architecture", "TimeoutSeconds", "EphemeralStorageMb")


def function(request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
    """What the request means for the template. Raises InputError for a wrong setting or tag."""
    need, ranked = request.need, request.ranked
    template = load(TEMPLATE)
    given = settings_of(request, settings, ALLOWED)
    hourly = ranked.sizing.hourly_replicas
    ready, by_clock = max(hourly, default=0), len(set(hourly)) > 1
    reach = function_reach(request, given)
    architecture = task_architecture(request)
    parameters = (
        common_parameters(request)
        | bill_parameters(request, given)
        | {
            "Reach": reach,
            "JwtIssuer": given.jwt_issuer if reach == GATEWAY_JWT else "",
            "JwtAudience": ",".join(given.jwt_audience) if reach == GATEWAY_JWT else "",
            "MemoryMb": str(round(ranked.sizing.memory_mb or 0)),
            "Architecture": architecture,
            "TimeoutSeconds": str(timeout_s(request)),
            "EphemeralStorageMb": "512",
            "ReservedConcurrency": str(reserved(request)),
            "ReadyAtFirst": str(ready),
            "ReadyByClock": "true" if by_clock else "false",
            "TrafficShift": CANARY if need.control.canary else ALL_AT_ONCE,
            "LatencyAlarmMs": number(need.service.p95_ms or 0),
            "LatencyPercentile": f"p{need.service.percentile:g}",
        }
    )
    parameters["Release"] = release_digest(
        bundle_hash, parameters, template, RELEASE, ("Function",)
    )
    public, callers_need = said_of(reach, given)
    name = stack_name(request.name)
    kept = f"{min(hourly)}–{ready}" if by_clock else f"{ready}"
    return Wanted(
        template,
        parameters,
        stack_tags(request),
        architecture,
        public=public,
        callers_need=callers_need,
        known={
            "Function": (name, ranked.machine),
            "Live": (f"{name}:{ALIAS}", f"{kept} instances kept ready" if ready else ""),
            "Releases": (name, ""),
            "ReleaseGroup": (name, parameters["TrafficShift"].partition(".")[2]),
            "Logs": (f"/mda/{request.name}", ""),
            "Api": (name, ""),
        },
        bundle="lambda",
        additions={"Ready": {"ScheduledActions": weekly(hourly)}} if by_clock else {},
    )


def function_reach(request: PlanRequest, given: AwsSettings) -> str:
    """One of the template's values for Reach. A function has no address inside a network: each door
    is on the internet and lets IAM-signed calls in, or tokens where public was asked for."""
    if request.ranked.deploy_variant == URL:
        return URL_IAM
    return GATEWAY_JWT if request.public and given.jwt_issuer else GATEWAY_IAM


def timeout_s(request: PlanRequest) -> int:
    """The function's time limit: of the catalog where a gateway waits; else twice the longest call
    and a start, as a start that takes more than ten seconds happens again within the call."""
    most = int(catalog_option(request.ranked.option).number("max_processing_s"))
    if request.ranked.deploy_variant == API:
        return most
    need, sizing = request.need, request.ranked.sizing
    longest_s = max(need.service.max_processing_s or 0, sizing.service_time_ms / 1000)
    return min(most, max(LEAST_TIMEOUT_S, math.ceil(2 * longest_s + 4 * need.model.load_time_s)))


def reserved(request: PlanRequest) -> int:
    """Calls at once to reserve: a cap for what a runaway caller can cost, wide enough for the
    traffic asked for.

    The fewest instances of which one call in a million finds none at the busiest hour, by Erlang's
    loss formula, even if each call waited for a start first; never fewer than are kept ready.
    """
    need, sizing = request.need, request.ranked.sizing
    busy_s = sizing.service_time_ms / 1000 + need.model.load_time_s
    week = np.full(HOURS_IN_WEEK, sizing.arrival_peak_per_s)
    counts = instances_kept_ready(week, busy_s, TURNED_AWAY)
    return max(int(counts.max()), max(sizing.hourly_replicas, default=0))
