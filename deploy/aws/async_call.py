"""One request through an asynchronous endpoint: upload, ask, wait for the answer's object."""

from __future__ import annotations

import time
import uuid
from typing import Any

from advisor.errors import DeployError
from deploy.aws.endpoint_kind import TOLD_ERROR_CHARACTERS, prediction
from deploy.aws.jobs import remove_files
from deploy.aws.session import Aws, code_of, told
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import sample_body
from deploy.aws.tidy import afterwards
from deploy.target import Plan, Prediction

LIMIT_S = 1800.0  # an instance may have to start first
ACCEPTED_MISSING = ("NoSuchKey", "404")


def ask(stack: Stack, deployment: str, body: bytes, content_type: str, aws: Aws) -> Prediction:
    """The answer to this body. Blocks until it is there; the latency is that whole time. Request
    and answer are removed again.

    Raises DeployError with the model server's own words, or when nothing came within LIMIT_S.
    """
    bucket, name = stack.outputs["BucketName"], stack.outputs["EndpointName"]
    number = f"ask-{uuid.uuid4().hex[:12]}"
    key = f"work/{deployment}/in/{number}"
    keys, began = [key], time.monotonic()

    def tidy() -> None:
        for left in keys:
            remove_files(bucket, left, aws)

    with afterwards(tidy):
        with told(f"upload the request to s3://{bucket}/{key}"):
            aws.client("s3").put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                ExpectedBucketOwner=aws.account,
            )
        with told(f"call the endpoint {name}"):
            queued = aws.client("sagemaker-runtime").invoke_endpoint_async(
                EndpointName=name,
                InputLocation=f"s3://{bucket}/{key}",
                ContentType=content_type,
                InferenceId=number,
            )
        answer, failure = _key(queued["OutputLocation"]), _key(queued["FailureLocation"])
        keys += [answer, failure]
        content, kind = _awaited(bucket, answer, failure, name, aws)
    return prediction(content, kind, 200, (time.monotonic() - began) * 1000)


def snippets(plan: Plan, stack: Stack) -> dict[str, str]:
    """How to ask, as commands and as Python."""
    files, name = stack.outputs["WorkFiles"], stack.outputs["EndpointName"]
    body = sample_body(plan.parameters)
    quoted = body.replace("'", "'\\''")
    return {
        "aws": (
            f"printf %s '{quoted}' | aws s3 cp - {files}in/request-1.json\n"
            f"aws sagemaker-runtime invoke-endpoint-async --region {plan.region} "
            f"--endpoint-name {name} --content-type application/json "
            f"--input-location {files}in/request-1.json\n"
            "# prints OutputLocation, where the answer will be, and FailureLocation"
        ),
        "python": "\n".join(
            [
                "import boto3",
                "",
                f'bucket, folder = "{stack.outputs["BucketName"]}", "work/{plan.name}"',
                f'boto3.client("s3", region_name="{plan.region}").put_object(',
                '    Bucket=bucket, Key=f"{folder}/in/request-1.json",',
                f"    Body={body.encode()!r},",
                ")",
                f'runtime = boto3.client("sagemaker-runtime", region_name="{plan.region}")',
                "queued = runtime.invoke_endpoint_async(",
                f'    EndpointName="{name}", ContentType="application/json",',
                '    InputLocation=f"s3://{bucket}/{folder}/in/request-1.json",',
                ")",
                'print(queued["OutputLocation"], queued["FailureLocation"])',
            ]
        ),
    }


def _awaited(bucket: str, answer: str, failure: str, name: str, aws: Aws) -> tuple[bytes, str]:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        found = _object(bucket, answer, aws)
        if found:
            return found
        failed = _object(bucket, failure, aws)
        if failed:
            words = failed[0].decode(errors="replace")[:TOLD_ERROR_CHARACTERS]
            raise DeployError(f"{name} could not answer: {words}")
        time.sleep(aws.settings.poll_seconds)
    raise DeployError(
        f"{name} has not answered within {LIMIT_S / 60:.0f} minutes; look at its backlog and at the "
        "quota of its machines"
    )


def _object(bucket: str, key: str, aws: Aws) -> tuple[bytes, str] | None:
    try:
        with told(f"read s3://{bucket}/{key}"):
            found: dict[str, Any] = aws.client("s3").get_object(
                Bucket=bucket, Key=key, ExpectedBucketOwner=aws.account
            )
            return found["Body"].read(), found["ContentType"]
    except DeployError as error:
        if code_of(error) in ACCEPTED_MISSING:
            return None
        raise


def _key(location: str) -> str:
    """ "s3://bucket/key" as the key."""
    return location.removeprefix("s3://").partition("/")[2]
