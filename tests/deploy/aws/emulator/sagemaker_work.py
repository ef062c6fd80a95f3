"""SageMaker's work on files: requests of asynchronous endpoints.

Files are read and written under the execution role's own policy, as the service does.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from builds import session_of
from containers import invoke
from faults import FAULTS
from ministack.core.responses import get_region

Answer = tuple[int, dict[str, str], bytes]


def client_of(role_arn: str, service: str, endpoint: str) -> Any:
    """A client with a session of the role, so that the role's policy decides."""
    keys = session_of(role_arn)
    return botocore.session.get_session().create_client(
        service,
        region_name=get_region(),
        endpoint_url=endpoint,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=keys["AWS_SESSION_TOKEN"],
    )


class Files:
    """Objects in S3 as a role of the account may see them."""

    def __init__(self, endpoint: str, role_arn: str) -> None:
        self._client = client_of(role_arn, "s3", endpoint)

    def read(self, location: str) -> bytes:
        bucket, key = _split(location)
        body: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def write(self, location: str, body: bytes, content_type: str) -> None:
        bucket, key = _split(location)
        self._client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def below(self, location: str) -> list[str]:
        bucket, prefix = _split(location)
        found = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return [f"s3://{bucket}/{item['Key']}" for item in found]


class WorkCalls:
    """The operations of SageMaker that work on files."""

    world: Any
    endpoint = ""

    def invoke_async(self, given: dict[str, Any], found: Any) -> Answer:
        """202 at once; the answer, or what went wrong, becomes an object."""
        from resources import CONFIG, MODEL

        config = self.world.get(CONFIG, found.properties["EndpointConfigName"]).properties
        model = self.world.get(MODEL, config["ProductionVariants"][0]["ModelName"])
        places = config["AsyncInferenceConfig"]["OutputConfig"]
        number = uuid.uuid4().hex
        answer = f"{places['S3OutputPath']}{number}.out"
        failure = f"{places['S3FailurePath']}{number}-error.out"
        files = Files(self.endpoint, model.properties["ExecutionRoleArn"])
        kind = given.get("ContentType", "application/octet-stream")
        threading.Thread(
            target=_answered,
            args=(files, given["InputLocation"], kind, found.container, answer, failure),
            daemon=True,
        ).start()
        headers = {
            "content-type": "application/json",
            "x-amzn-sagemaker-outputlocation": answer,
            "x-amzn-sagemaker-failurelocation": failure,
        }
        return 202, headers, json.dumps({"InferenceId": given.get("InferenceId", number)}).encode()


def _answered(
    files: Files, request: str, kind: str, container: Any, answer: str, failure: str
) -> None:
    fault = FAULTS.take("async")
    try:
        if fault:
            raise ValueError(fault.message)
        status, content_type, body = invoke(
            container, files.read(request), {"Content-Type": kind, "Accept": "*/*"}
        )
        if status >= 400:
            told = body.decode(errors="replace")
            raise ValueError(
                f'Received client error ({status}) from primary with message "{told}".'
            )
        files.write(answer, body, content_type)
    except (ValueError, OSError, ClientError) as error:
        files.write(failure, str(error).encode(), "text/plain")


def _split(location: str) -> tuple[str, str]:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, key
