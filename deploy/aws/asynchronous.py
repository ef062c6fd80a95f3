"""A sized recommendation as the parameters of the SageMaker asynchronous template."""

from __future__ import annotations

from advisor.catalog.loader import option
from advisor.catalog.schema import Estimate
from advisor.sizing.batch import RESERVE
from advisor.vocabulary import Mode
from deploy.aws import checks
from deploy.aws.async_call import ask, snippets
from deploy.aws.container_checks import mode
from deploy.aws.endpoint_kind import EndpointKind
from deploy.aws.jobs import SECONDS_IN_HOUR, remove_files
from deploy.aws.realtime import RELEASE as ON_MACHINES
from deploy.aws.release import release_name
from deploy.aws.sagemaker_machines import architecture, machine_parameters
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.settings import settings_of
from deploy.aws.stack_models import Stack
from deploy.aws.stacks import Stacks
from deploy.aws.templates import load
from deploy.aws.wanted import Wanted, common_parameters, number, stack_name, stack_tags
from deploy.requests import PlanRequest
from deploy.target import Emit, Finding, Plan, Prediction

TEMPLATE = "sagemaker-async.yaml"
RELEASE = (*ON_MACHINES, "RequestsAtOncePerInstance")


class Asynchronous(EndpointKind):
    """A queue in front of machines that leave when it is empty."""

    variant = "async"
    path = "async-invocations"

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return queued(request, bundle_hash, settings)

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        why = "a queue answers later"
        return [
            mode(request, Mode.asynchronous, why, "sagemaker-realtime"),
            *checks.findings(request, aws, stacks),
        ]

    def predict(self, plan: Plan, body: bytes, content_type: str, aws: Aws) -> Prediction:
        """One request through the queue; minutes when an instance has to start."""
        return ask(Stacks(aws).get(stack_name(plan.name)), plan.name, body, content_type, aws)

    def snippets(self, plan: Plan, stack: Stack, url: str) -> dict[str, str]:
        return snippets(plan, stack)

    def before_delete(self, plan: Plan, stack: Stack, aws: Aws, emit: Emit) -> list[str]:
        """Remove requests and answers."""
        if not stack.outputs:
            return []  # its create failed: nobody asked it anything
        bucket, prefix = stack.outputs["BucketName"], f"work/{plan.name}/"
        files = remove_files(bucket, prefix, aws)
        return [f"{files} files of s3://{bucket}/{prefix}"] if files else []


def queued(request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
    """What the request means for the template; `in_account` adds what the account has to give.

    Raises InputError for a wrong setting or tag, UnknownPriceError for a machine nobody knows.
    """
    ranked = request.ranked
    low, high = ranked.replicas.min, ranked.replicas.max
    template, given = load(TEMPLATE), settings_of(request, settings)
    parameters = (
        common_parameters(request)
        | machine_parameters(request, given, template)
        | {
            "BucketName": "",  # the bootstrap stack knows it
            "MinInstances": str(low),
            "MaxInstances": str(high),
            "RequestsAtOncePerInstance": str(
                template.bounded("RequestsAtOncePerInstance", ranked.sizing.concurrency)
            ),
            "BacklogPerInstanceTarget": number(backlog_target(request)),
            "BacklogAgeAlarmSeconds": number(longest_wait_s(request)),
        }
    )
    parameters["ReleaseName"] = release_name(
        request.name, bundle_hash, parameters, template, RELEASE
    )
    release, count = parameters["ReleaseName"], f"{low}" if low == high else f"{low}–{high}"
    return Wanted(
        template,
        parameters,
        stack_tags(request),
        architecture(request),
        public=("nothing: the endpoint answers IAM-signed calls only",),
        callers_need="Whoever calls it needs sagemaker:InvokeEndpointAsync on it, and to write "
        f"below work/{request.name}/in/ and read below work/{request.name}/ in the bucket.",
        known={
            "Endpoint": (stack_name(request.name), f"{count} × {ranked.machine}"),
            "Model": (release, "network isolation on"),
            "EndpointConfig": (release, ranked.machine),
        },
    )


def backlog_target(request: PlanRequest) -> float:
    """Requests waiting for each replica that scaling should hold.

    As many as a replica works off while another would start (`scale_out_s` of the catalog), or in
    half of the time that an answer may take if that is shorter: for a shorter queue a new replica
    would come too late to help. A replica works off concurrency / service time.
    """
    ranked = request.ranked
    sizing, start = ranked.sizing, option(ranked.option).fact("scale_out_s").value
    start_s = start.expected if isinstance(start, Estimate) else 0.0
    wait_s = min(start_s, request.need.service.deadline_h * SECONDS_IN_HOUR / 2)
    return max(1.0, wait_s * 1000 / sizing.service_time_ms * sizing.concurrency)


def longest_wait_s(request: PlanRequest) -> float:
    """Age of a waiting request at which somebody should look: the deadline less the share that the
    sizing keeps in reserve, or that of the time after which the service drops requests."""
    dropped_s = option(request.ranked.option).number("queue_ttl_s")
    deadline_s = request.need.service.deadline_h * SECONDS_IN_HOUR
    return (1 - RESERVE) * min(deadline_s, dropped_s)
