"""A sized recommendation as a queue of AWS Batch; one job through it; and what a job leaves."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from advisor.errors import DeployError, InputError
from deploy.aws.containers import bill_parameters, network_parameters
from deploy.aws.machines import machine_of, machine_parameters, reserved_mb
from deploy.aws.session import Aws, AwsSettings, code_of, told
from deploy.aws.settings import settings_of
from deploy.aws.stack_models import Stack
from deploy.aws.templates import load
from deploy.aws.tidy import afterwards
from deploy.aws.wanted import Wanted, common_parameters, stack_name, stack_tags
from deploy.requests import PlanRequest
from deploy.target import Prediction

TEMPLATE = "batch.yaml"
ALLOWED = ("vpc_id", "subnet_ids", "security_group_ids", "alarm_topic_arn")
SECONDS_IN_HOUR = 3600
LIMIT_S = 1800.0
ENDED = ("SUCCEEDED", "FAILED")
ALIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
JSON_LINES = ("application/jsonlines", "application/x-ndjson", "application/jsonl")


def queue(request: PlanRequest, settings: AwsSettings) -> Wanted:
    """What the request means for the queue. Raises InputError for a wrong setting or tag."""
    ranked, sizing = request.ranked, request.ranked.sizing
    given = settings_of(request, settings, ALLOWED)
    machine = machine_of(request)
    jobs = max(1, sizing.concurrency)  # at once on one machine
    name = stack_name(request.name)
    return Wanted(
        load(TEMPLATE),
        common_parameters(request)
        | bill_parameters(request, given)
        | network_parameters(request, given)
        | machine_parameters(request)
        | {
            "BucketName": "",  # the bootstrap stack knows it
            "MaxVcpus": str(round(machine.vcpu * ranked.replicas.max)),
            "JobVcpus": str(max(1, round(machine.vcpu // jobs))),
            "JobMemoryMb": str(reserved_mb(request) // jobs),
            "JobGpus": str(machine.gpu_count // jobs if machine.gpu_count else 0),
            "LongestJobSeconds": str(round(request.need.service.deadline_h * SECONDS_IN_HOUR)),
        },
        stack_tags(request),
        "arm64" if machine.arch == "arm64" else "x86_64",
        public=("nothing: jobs read and write files, and nobody reaches them",),
        callers_need="Whoever submits jobs needs batch:SubmitJob on the queue and the files' prefix.",
        known={
            "Machines": (name, f"0–{ranked.replicas.max} × {ranked.machine}"),
            "Queue": (name, ""),
            "Job": (name, f"{jobs} at once on a machine"),
            "Logs": (f"/mda/{request.name}", ""),
        },
        bundle="batch",
    )


def run_once(stack: Stack, deployment: str, body: bytes, content_type: str, aws: Aws) -> Prediction:
    """One job over these rows, and its answers; blocks until it has ended, minutes when a machine
    has to start. The latency is that whole time. Its files are removed again.

    Raises InputError for rows that are neither JSON, JSON lines nor CSV, DeployError with the
    job's own last words.
    """
    name, rows = rows_of(body, content_type)
    bucket = stack.outputs["BucketName"]
    own = f"ask-{uuid.uuid4().hex[:12]}"
    prefix, job_name = f"jobs/{deployment}/{own}", f"{deployment}-{own}"
    place = f"s3://{bucket}/{prefix}"
    began = time.monotonic()
    with afterwards(
        lambda: _end_twins(job_name, stack, aws), lambda: remove_files(bucket, f"{prefix}/", aws)
    ):
        with told(f"upload the rows to {place}"):
            aws.client("s3").put_object(
                Bucket=bucket, Key=f"{prefix}/in/{name}", Body=rows, ExpectedBucketOwner=aws.account
            )
        with told(f"submit a job to {stack.outputs['QueueName']}"):
            job = aws.client("batch").submit_job(
                jobName=job_name,
                jobQueue=stack.outputs["QueueName"],
                jobDefinition=stack.outputs["JobDefinition"],
                parameters={"input": f"{place}/in/", "output": f"{place}/out/"},
            )["jobId"]
        _succeeded(job, stack, aws)
        with told(f"read the answers at {place}"):
            found = aws.client("s3").get_object(
                Bucket=bucket,
                Key=f"{prefix}/out/{name}.predictions.jsonl",
                ExpectedBucketOwner=aws.account,
            )
            lines = found["Body"].read().decode().splitlines()
    return Prediction(
        body={"predictions": [json.loads(line) for line in lines]},
        content_type="application/json",
        status_code=200,
        latency_ms=round((time.monotonic() - began) * 1000, 3),
    )


def stop_jobs(stack: Stack, aws: Aws) -> list[str]:
    """End every job of the queue, because a queue with jobs cannot be deleted; what was ended."""
    client, ended = aws.client("batch"), []
    with told(f"end the jobs of {stack.outputs['QueueName']}"):
        for status in ALIVE:
            pages = client.get_paginator("list_jobs").paginate(
                jobQueue=stack.outputs["QueueName"], jobStatus=status
            )
            for job in [j for page in pages for j in page["jobSummaryList"]]:
                client.terminate_job(jobId=job["jobId"], reason="the deployment is destroyed")
                ended.append(f"job {job['jobId']}")
    return ended


def _end_twins(name: str, stack: Stack, aws: Aws) -> None:
    """End the jobs of that name that still run: Batch takes no token, so a request whose answer was
    lost has made one more."""
    client = aws.client("batch")
    with told(f"look for the jobs named {name}"):
        pages = client.get_paginator("list_jobs").paginate(
            jobQueue=stack.outputs["QueueName"],
            filters=[{"name": "JOB_NAME", "values": [name]}],
        )
        for job in [j for page in pages for j in page["jobSummaryList"]]:
            if job["status"] not in ENDED:
                client.terminate_job(jobId=job["jobId"], reason="another of that name answered")


def remove_files(bucket: str, prefix: str, aws: Aws) -> int:
    """Delete every version of what lies below the prefix; how many there were."""
    client, owner = aws.client("s3"), {"ExpectedBucketOwner": aws.account}
    with told(f"remove s3://{bucket}/{prefix}"):
        pages = client.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=prefix, **owner
        )
        found = [
            (item["Key"], item["VersionId"])
            for page in pages
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
        for key, version in found:
            client.delete_object(Bucket=bucket, Key=key, VersionId=version, **owner)
    return len(found)


def batch_left(deployment: str, aws: Aws) -> Iterator[str]:
    """Queue, machines, job definitions."""
    name, client = stack_name(deployment), aws.client("batch")
    for kind, found in (
        (
            "compute environment",
            client.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"],
        ),
        ("job queue", client.describe_job_queues(jobQueues=[name])["jobQueues"]),
    ):
        yield from (f"{kind} {name}" for item in found if item.get("status") != "DELETED")
    pages = client.get_paginator("describe_job_definitions").paginate(
        jobDefinitionName=name, status="ACTIVE"
    )
    for page in pages:
        for item in page["jobDefinitions"]:
            yield f"job definition {name}:{item['revision']}"


def forget_older(stack: Stack, aws: Aws) -> list[str]:
    """Deregister all revisions of the job definition but the newest, which is the stack's."""
    client, name = aws.client("batch"), stack.outputs["JobDefinition"]
    with told(f"look at the revisions of {name}"):
        pages = client.get_paginator("describe_job_definitions").paginate(
            jobDefinitionName=name, status="ACTIVE"
        )
        found = sorted(item["revision"] for page in pages for item in page["jobDefinitions"])
        for revision in found[:-1]:
            client.deregister_job_definition(jobDefinition=f"{name}:{revision}")
    return [f"job definition {name}:{revision}" for revision in found[:-1]]


def rows_of(body: bytes, content_type: str) -> tuple[str, bytes]:
    """A file's name and content for the batch command."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/csv":
        return "rows.csv", body
    if kind in JSON_LINES:
        return "rows.jsonl", body
    try:
        given: Any = json.loads(body)
    except ValueError as wrong:
        raise InputError(
            f"the rows are {kind or 'of no type'} and no JSON ({wrong}); give JSON, JSON lines or CSV"
        ) from None
    rows = given.get("instances") if isinstance(given, dict) else given
    if not isinstance(rows, list) or not rows:
        raise InputError('the JSON holds no rows; give {"instances": [[…], …]} or a list of rows')
    return "rows.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def _succeeded(job: str, stack: Stack, aws: Aws) -> None:
    until = time.monotonic() + LIMIT_S
    client = aws.client("batch")
    while time.monotonic() < until:
        with told("look at the job"):
            found = client.describe_jobs(jobs=[job])["jobs"]
        status = found[0]["status"] if found else "SUBMITTED"
        if status == "SUCCEEDED":
            return
        if status == "FAILED":
            container = found[0].get("container", {})
            why = container.get("reason") or found[0].get("statusReason", "no reason was given")
            words = last_words(stack.outputs["LogGroup"], container.get("logStreamName"), aws)
            raise DeployError(f"the job failed: {why}{f': {words}' if words else ''}")
        time.sleep(aws.settings.poll_seconds)
    with told("end the job"):
        client.terminate_job(jobId=job, reason="it took too long")
    raise DeployError(
        f"the job has not ended within {LIMIT_S / 60:.0f} minutes (it is {status.lower()}); look at "
        "the quota of the machines"
    )


def last_words(group: str, stream: str | None, aws: Aws) -> str:
    if not stream:
        return ""
    try:
        with told(f"read {stream}"):
            events = aws.client("logs").get_log_events(
                logGroupName=group, logStreamName=stream, startFromHead=False
            )["events"]
    except DeployError as error:
        if code_of(error) == "ResourceNotFoundException":
            return ""  # it ended before it could write a line
        raise
    return str(events[-1]["message"])[:500] if events else ""
