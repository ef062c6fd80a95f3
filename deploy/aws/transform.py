"""A sized recommendation as the parameters of the SageMaker batch transform template."""

from __future__ import annotations

import math

from advisor.errors import DeployError
from advisor.traffic import weekly_rates
from advisor.vocabulary import Mode
from deploy.aws import checks
from deploy.aws.clock import DAYS, week_changes
from deploy.aws.container_checks import mode
from deploy.aws.findings import bad, budget, free, good, in_account, model_file, name, quota
from deploy.aws.jobs import remove_files
from deploy.aws.release import release_name
from deploy.aws.sagemaker_kind import Kind
from deploy.aws.sagemaker_machines import architecture, network_parameters
from deploy.aws.session import Aws, AwsSettings, told
from deploy.aws.settings import settings_of
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen
from deploy.aws.stacks import Stacks
from deploy.aws.templates import load
from deploy.aws.transform_job import ask, forget_logs, last_job, snippets, stop_jobs
from deploy.aws.wanted import Wanted, common_parameters, stack_name, stack_tags
from deploy.requests import PlanRequest
from deploy.target import Emit, Finding, Plan, Prediction

TEMPLATE = "sagemaker-batch.yaml"
QUOTA = "{machine} for transform job usage"  # the name that Service Quotas gives it
RELEASE = ("SubnetIds", "SecurityGroupIds")  # whatever else of a job is said when it starts
BATCH_MB = 6  # of a mini-batch where its time allows: what the service itself takes unasked
AT_ONCE_MB = 100  # of all mini-batches at once on a machine (CreateTransformJob, 2026-11-22)
PATIENCE = 4  # times the expected time of a mini-batch until it is given up
START_ROOM = 3 * len(DAYS)


class Transform(Kind):
    """Jobs that run the model over files; between them nothing runs."""

    variant = "batch"

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        ranked = request.ranked
        machines = (ranked.replicas.max, f"× {ranked.machine} for transform jobs")
        before = [
            model_file(request),
            mode(request, Mode.batch, "a job answers nobody who waits", "sagemaker-realtime"),
            budget(request),
            checks.reach(request),
            _record(request),
        ]
        return in_account(
            request,
            aws,
            before,
            ("sagemaker", "SageMaker"),
            lambda: [
                name(request, stacks, lambda: free(request)),
                checks.machine(request, aws, "TransformInstanceType"),
                quota("sagemaker", QUOTA.format(machine=ranked.machine), *machines, aws),
                *checks.network(request, aws, "sagemaker.api"),
            ],
        )

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return transform(request, bundle_hash, settings)

    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None:
        """The model names the image under the tag that can name no other than the built one."""
        model = stack.outputs["ModelName"]
        with told(f"look at the model {model}"):
            seen = aws.client("sagemaker").describe_model(ModelName=model)
        runs = seen["PrimaryContainer"]["Image"]
        if runs != stack.outputs["ImageUri"]:
            raise DeployError(
                f"the model {model} runs {runs} and not the image that was built, "
                f"{stack.outputs['ImageUri']} ({digest})"
            )

    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen:
        model = stack.outputs["ModelName"]
        with told("list the models"):
            pages = (
                aws.client("sagemaker").get_paginator("list_models").paginate(NameContains=model)
            )
            there = any(m["ModelName"] == model for page in pages for m in page["Models"])
        if not there:
            return Seen("failed", f"the model {model} is out: it was deleted by hand")
        when = stack.parameters.get("Nightly", "")
        nightly = f"runs at {when} UTC" if when else "runs when a job is started"
        return Seen(
            "running",
            f"{model} {nightly}; {last_job(plan.name, aws)}",
            f"{stack.outputs['WorkFiles']}in/",
            snippets(plan, stack),
        )

    def predict(self, plan: Plan, body: bytes, content_type: str, aws: Aws) -> Prediction:
        """One small job over the rows of the body; minutes, because a machine has to start."""
        return ask(Stacks(aws).get(stack_name(plan.name)), plan.name, body, content_type, aws)

    def before_delete(self, plan: Plan, stack: Stack, aws: Aws, emit: Emit) -> list[str]:
        """End jobs, remove the deployment's files and what its jobs wrote to the log."""
        if not stack.outputs:
            return []  # its create failed: there was nothing to run
        removed = stop_jobs(plan.name, aws)
        bucket, prefix = stack.outputs["BucketName"], f"work/{plan.name}/"
        files = remove_files(bucket, prefix, aws)
        streams = forget_logs(plan.name, stack.outputs["LogGroup"], aws)
        removed += [f"{files} files of s3://{bucket}/{prefix}"] if files else []
        return removed + ([f"{streams} log streams of jobs"] if streams else [])


def transform(request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
    """What the request means for the template; `in_account` adds what the account has to give.

    Raises InputError for a wrong setting or tag, UnknownPriceError for a machine nobody knows.
    """
    ranked, template = request.ranked, load(TEMPLATE)
    given = settings_of(request, settings)
    payload_mb, records = mini_batch(request)
    nightly, count = nightly_start(request), ranked.replicas.max
    answer_s = PATIENCE * _seconds(request, records)
    parameters = (
        common_parameters(request)
        | network_parameters(given)
        | {
            "BucketName": "",  # the bootstrap stack knows it
            "Runs": "jobs",
            "InstanceType": ranked.machine,
            "InstanceCount": str(count),
            "RequestsAtOnce": str(template.bounded("RequestsAtOnce", ranked.sizing.concurrency)),
            "PayloadMb": str(template.bounded("PayloadMb", payload_mb)),
            "BatchStrategy": "MultiRecord" if records > 1 else "SingleRecord",
            "AnswerSeconds": str(template.bounded("AnswerSeconds", answer_s)),
            "ContentType": "text/csv",
            "Nightly": nightly,
        }
    )
    built_for = architecture(request)
    released = bundle_hash if built_for == "x86_64" else f"{bundle_hash}-{built_for}"
    parameters["ReleaseName"] = release_name(
        request.name, released, parameters, template, RELEASE, ("Model",)
    )
    shared = f", in {count} files or more, because machines share files out" if count > 1 else ""
    return Wanted(
        template,
        parameters,
        stack_tags(request),
        built_for,
        public=("nothing: jobs read and write files, and nobody reaches them",),
        callers_need="Whoever starts jobs needs sagemaker:CreateTransformJob and AddTags on "
        f"transform-job/{stack_name(request.name)}-*, and to write below work/{request.name}/in/ "
        f"of the bucket{shared}.",
        known={
            "Model": (parameters["ReleaseName"], "network isolation on"),
            "NightlyRun": (stack_name(request.name), f"{nightly} UTC, {count} × {ranked.machine}"),
        },
    )


def mini_batch(request: PlanRequest) -> tuple[int, int]:
    """(MB, records) of a mini-batch.

    The service's usual size or a single record if that is larger, all workers' mini-batches within
    AT_ONCE_MB; smaller where records are slow, so that one is answered within the longest wait
    with patience to spare, one after the other at the sized service time. A single record when not
    even 1 MB of them is.
    """
    record_mb = request.need.traffic.request_mb
    if record_mb >= 1:  # of a row; what MB cannot tell apart is sent alone
        return math.ceil(record_mb), 1
    longest_s = load(TEMPLATE).content["Parameters"]["AnswerSeconds"]["MaxValue"] / PATIENCE
    most_mb = min(BATCH_MB, AT_ONCE_MB // max(1, request.ranked.sizing.concurrency))
    for payload_mb in range(most_mb, 0, -1):
        # Rows of no stated size are taken for 1 KB.
        records = math.ceil(payload_mb / max(record_mb, 0.001))
        if records > 1 and _seconds(request, records) <= longest_s:
            return payload_mb, records
    return 1, 1


def nightly_start(request: PlanRequest) -> str:
    """When work begins to arrive after quiet hours, as a cron expression in UTC; "" where the week
    has no such hour, or more than one."""
    arrives = [int(rate > 0) for rate in weekly_rates(request.need.traffic)]
    changes, _ = week_changes(arrives, START_ROOM)
    starts = [when for when, count in changes if count]
    return starts[0] if len(starts) == 1 else ""


def _seconds(request: PlanRequest, records: int) -> float:
    return records * request.ranked.sizing.service_time_ms / 1000


def _record(request: PlanRequest) -> Finding:
    """A record each for all workers of a machine, against what a job may hold at once."""
    at_once = load(TEMPLATE).bounded("RequestsAtOnce", request.ranked.sizing.concurrency)
    wanted_mb = math.ceil(request.need.traffic.request_mb) * at_once
    if wanted_mb > AT_ONCE_MB:
        return bad(
            "record size",
            f"{at_once} records of {request.need.traffic.request_mb:g} MB at once are "
            f"{wanted_mb:,} MB, and a machine of a transform job is sent {AT_ONCE_MB} MB",
            "choose aws-batch, or make records smaller (traffic.request_mb)",
        )
    return good("record size", f"{wanted_mb:,} of {AT_ONCE_MB} MB at once")
