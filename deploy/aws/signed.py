"""Calls to an address of the deployment's own, rather than to an API of AWS."""

from __future__ import annotations

import json
import os
import time
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import (
    ConnectionError as SdkConnectionError,
)
from botocore.exceptions import HTTPClientError, NoCredentialsError

from advisor.errors import DeployError
from deploy.aws.session import Aws, told
from deploy.target import Prediction

TOLD_ERROR_CHARACTERS = 500
TIMEOUT_S = 60
# Where HTTP APIs and function URLs answer, in place of their own hosts: like the SDK's
# AWS_ENDPOINT_URL_<SERVICE>, whose own variable for Lambda is for its API.
OVERRIDE = "AWS_ENDPOINT_URL_EXECUTE_API"
OVERRIDE_OF_URLS = "AWS_ENDPOINT_URL_LAMBDA_URL"


def post(
    url: str, body: bytes, headers: dict[str, str], aws: Aws, *, sign_for: str = ""
) -> Prediction:
    """POST, signed with this machine's credentials where `sign_for` names a service.

    Raises DeployError with the endpoint's own words when it answers with an error.
    """
    host = urlsplit(url).netloc
    there = os.environ.get(OVERRIDE_OF_URLS if ".lambda-url." in host else OVERRIDE)
    if there:
        url = there.rstrip("/") + urlsplit(url).path
    request = AWSRequest("POST", url, data=body, headers={**headers, "Host": host})
    with told(f"sign the call to {host}"):
        if sign_for:
            credentials = aws.credentials()
            if credentials is None:
                raise NoCredentialsError
            SigV4Auth(credentials, sign_for, aws.region).add_auth(request)
    began = time.monotonic()
    try:
        answer = aws.web_session(url, TIMEOUT_S).send(request.prepare())
    except (HTTPClientError, SdkConnectionError) as error:
        raise DeployError(f"{host} could not be reached ({error}); look at its status") from None
    latency_ms = (time.monotonic() - began) * 1000
    kind = answer.headers.get("content-type", "")
    return prediction(host, answer.status_code, kind, answer.content.decode(), latency_ms)


def prediction(
    where: str, status: int, content_type: str, text: str, latency_ms: float
) -> Prediction:
    """What came back. Raises DeployError with the words of an answer that is an error."""
    if status >= 400:
        raise DeployError(f"{where} answered {status}: {text[:TOLD_ERROR_CHARACTERS]}")
    kind = content_type.partition(";")[0].strip()
    body: Any = json.loads(text) if kind == "application/json" else text
    return Prediction(
        body=body, content_type=kind, status_code=status, latency_ms=round(latency_ms, 3)
    )
