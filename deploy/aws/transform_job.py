"""SageMaker transform jobs of a deployment: one over a few rows, the last one, their end."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

from advisor.errors import DeployError
from deploy.aws.bootstrap import MANAGED_BY
from deploy.aws.jobs import last_words, remove_files, rows_of
from deploy.aws.session import Aws, code_of, told
from deploy.aws.stack_models import Stack
from deploy.aws.tidy import afterwards
from deploy.aws.wanted import stack_name
from deploy.target import Plan, Prediction

LIMIT_S = 1800.0  # a machine has to start and to fetch the image
STOP_LIMIT_S = 600.0
JSON_LINES = "application/jsonlines"
ALIVE = ("InProgress", "Stopping")


def ask(stack: Stack, deployment: str, body: bytes, content_type: str, aws: Aws) -> Prediction:
    """One job over these rows on one machine, and its answers. Blocks until it has ended; the
    latency is that whole time. Its files are removed again.

    Raises InputError for rows that are neither JSON, JSON lines nor CSV, DeployError with the
    job's own reason and last words, or when it has not ended within LIMIT_S (it is stopped then).
    """
    file, rows = rows_of(body, content_type)
    bucket, number = stack.outputs["BucketName"], uuid.uuid4().hex[:12]
    prefix, job = f"work/{deployment}/ask-{number}", f"{stack_name(deployment)}-ask-{number}"
    kind = "text/csv" if file.endswith(".csv") else JSON_LINES
    began = time.monotonic()
    with afterwards(lambda: remove_files(bucket, f"{prefix}/", aws)):
        with told(f"upload the rows to s3://{bucket}/{prefix}"):
            aws.client("s3").put_object(
                Bucket=bucket, Key=f"{prefix}/in/{file}", Body=rows, ExpectedBucketOwner=aws.account
            )
        given = _job(stack, job, f"s3://{bucket}/{prefix}", kind) | _tags(deployment)
        try:
            with told(f"start the transform job {job}"):
                aws.client("sagemaker").create_transform_job(**given)
        except DeployError as error:
            if code_of(error) != "ResourceInUse":  # then an earlier try made it: the name is ours
                raise
        _completed(job, stack, aws)
        with told(f"read the answers at s3://{bucket}/{prefix}/out/"):
            found = aws.client("s3").get_object(
                Bucket=bucket, Key=f"{prefix}/out/{file}.out", ExpectedBucketOwner=aws.account
            )
            lines = found["Body"].read().decode().splitlines()
    return Prediction(
        body={"predictions": [json.loads(line) for line in lines if line]},
        content_type="application/json",
        status_code=200,
        latency_ms=round((time.monotonic() - began) * 1000, 3),
    )


def last_job(deployment: str, aws: Aws) -> str:
    """The newest job and how it ended, in words."""
    newest = next(_jobs(deployment, aws), None)
    if newest is None:
        return "no job has run yet"
    name, status = newest["TransformJobName"], newest["TransformJobStatus"]
    why = newest.get("FailureReason", "")
    words = {"InProgress": "is in progress"}.get(status, f"is {status.lower()}")
    return f"the last job, {name}, {words}{f': {why}' if why else ''}"


def stop_jobs(deployment: str, aws: Aws) -> list[str]:
    """Stop what runs and wait for its end; what was stopped. Raises DeployError when it goes on."""
    client, until = aws.client("sagemaker"), time.monotonic() + STOP_LIMIT_S
    stopped: dict[str, None] = {}
    while alive := [j for j in _jobs(deployment, aws) if j["TransformJobStatus"] in ALIVE]:
        for job in alive:
            name = job["TransformJobName"]
            if name not in stopped and job["TransformJobStatus"] == "InProgress":
                with told(f"stop the transform job {name}"):
                    _stop(name, client)
                stopped[name] = None
        if time.monotonic() > until:
            raise DeployError(
                f"{', '.join(j['TransformJobName'] for j in alive)} did not stop within "
                f"{STOP_LIMIT_S / 60:.0f} minutes; destroy again later"
            )
        time.sleep(aws.settings.poll_seconds)
    return [f"transform job {name} (stopped)" for name in stopped]


def forget_logs(deployment: str, group: str, aws: Aws) -> int:
    """Delete the log streams of the deployment's jobs; how many there were. The group is the
    account's, shared by all transform jobs, and stays."""
    client, own = aws.client("logs"), _own(deployment)
    with told(f"remove the logs of {deployment}"):
        streams = [s for s in _streams(group, f"{stack_name(deployment)}-", aws)
                   if own.fullmatch(s.partition("/")[0])]  # fmt: skip
        for stream in streams:
            client.delete_log_stream(logGroupName=group, logStreamName=stream)
    return len(streams)


def snippets(plan: Plan, stack: Stack) -> dict[str, str]:
    """How to start a job, as commands and as Python. Names of jobs are used up for ever."""
    files, job = stack.outputs["WorkFiles"], f"{stack_name(plan.name)}-r-1"
    given = _job(stack, job, files.rstrip("/"), stack.parameters["ContentType"])
    given["TransformResources"]["InstanceCount"] = int(stack.parameters["InstanceCount"])
    return {
        "aws": (
            f"aws s3 cp rows.csv {files}in/rows.csv\n"
            f"aws sagemaker create-transform-job --region {plan.region} "
            f"--cli-input-json '{json.dumps(given)}'\n"
            f"# then {files}out/rows.csv.out"
        ),
        "python": "\n".join(
            [
                "import boto3",
                "",
                f'client = boto3.client("sagemaker", region_name="{plan.region}")',
                f"client.create_transform_job(**{given!r})",
            ]
        ),
    }


def _job(stack: Stack, job: str, place: str, kind: str) -> dict[str, Any]:
    """A job on one machine from PLACE/in/ to PLACE/out/, with the sizing's mini-batches."""
    given = stack.parameters
    key = given.get("KmsKeyArn", "")
    return {
        "TransformJobName": job,
        "ModelName": stack.outputs["ModelName"],
        "MaxConcurrentTransforms": int(given["RequestsAtOnce"]),
        "MaxPayloadInMB": int(given["PayloadMb"]),
        "BatchStrategy": given["BatchStrategy"],
        "ModelClientConfig": {
            "InvocationsTimeoutInSeconds": int(given["AnswerSeconds"]),
            "InvocationsMaxRetries": 3,
        },
        "TransformInput": {
            "ContentType": kind,
            "SplitType": "Line",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{place}/in/"}},
        },
        "TransformOutput": {
            "S3OutputPath": f"{place}/out/",
            "Accept": JSON_LINES,
            "AssembleWith": "Line",
            **({"KmsKeyId": key} if key else {}),
        },
        "TransformResources": {
            "InstanceType": given["InstanceType"],
            "InstanceCount": 1,
            **({"VolumeKmsKeyId": key} if key else {}),
        },
    }


def _tags(deployment: str) -> dict[str, Any]:
    tags = MANAGED_BY | {"mda:deployment": deployment}
    return {"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}


def _completed(job: str, stack: Stack, aws: Aws) -> None:
    client, until = aws.client("sagemaker"), time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        with told(f"look at the transform job {job}"):
            found = client.describe_transform_job(TransformJobName=job)
        status = found["TransformJobStatus"]
        if status == "Completed":
            return
        if status in ("Failed", "Stopped"):
            why = found.get("FailureReason", "no reason was given")
            words = _words(job, stack.outputs["LogGroup"], aws)
            raise DeployError(
                f"the job {job} {status.lower()}: {why}{f': {words}' if words else ''}"
            )
        time.sleep(aws.settings.poll_seconds)
    with told(f"stop the transform job {job}"):
        _stop(job, client)
    raise DeployError(
        f"the job {job} has not ended within {LIMIT_S / 60:.0f} minutes and was stopped; look at "
        "the quota of its machines"
    )


def _stop(job: str, client: Any) -> None:
    """Fine for one that has just ended: there is nothing to stop then."""
    try:
        with told(f"stop the transform job {job}"):
            client.stop_transform_job(TransformJobName=job)
    except DeployError:
        now = client.describe_transform_job(TransformJobName=job)["TransformJobStatus"]
        if now in ALIVE:
            raise


def _jobs(deployment: str, aws: Aws) -> Iterator[dict[str, Any]]:
    """The deployment's own jobs, the newest first."""
    own, name = _own(deployment), stack_name(deployment)
    with told(f"list the transform jobs of {deployment}"):
        pages = (
            aws.client("sagemaker")
            .get_paginator("list_transform_jobs")
            .paginate(NameContains=f"{name}-", SortBy="CreationTime", SortOrder="Descending")
        )
        for page in pages:
            for job in page["TransformJobSummaries"]:
                if own.fullmatch(job["TransformJobName"]):
                    yield job


def _own(deployment: str) -> re.Pattern[str]:
    """Names of jobs asked here (ask), at night (n) and by hand (r), but none of a deployment whose
    own name begins alike."""
    return re.compile(re.escape(stack_name(deployment)) + r"-(ask|n|r)-[0-9a-zA-Z]+")


def _words(job: str, group: str, aws: Aws) -> str:
    """The last line of what the job wrote; the service tells errors of the model only there."""
    streams = _streams(group, f"{job}/", aws)
    told_last = [last_words(group, stream, aws) for stream in sorted(streams)]
    return next((line for line in reversed(told_last) if line), "")


def _streams(group: str, prefix: str, aws: Aws) -> list[str]:
    try:
        with told(f"look for the logs of {prefix}"):
            pages = (
                aws.client("logs")
                .get_paginator("describe_log_streams")
                .paginate(logGroupName=group, logStreamNamePrefix=prefix)
            )
            return [s["logStreamName"] for page in pages for s in page["logStreams"]]
    except DeployError as error:
        if code_of(error) == "ResourceNotFoundException":
            return []  # no job of the account has written yet
        raise
