"""How a stack behind a load balancer is called: through its public door, and in snippets."""

from __future__ import annotations

import os

from advisor.errors import DeployError
from deploy.aws.reach import GATEWAY_IAM, GATEWAY_JWT, JWT_VARIABLE, URL_IAM
from deploy.aws.session import Aws, told
from deploy.aws.signed import post
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import sample_body
from deploy.target import Plan, Prediction

UNAUTHORIZED = 401
# Which service a call is signed for, where IAM lets callers in.
SIGNED_FOR = {GATEWAY_IAM: "execute-api", URL_IAM: "lambda"}


def call_public(stack: Stack, body: bytes, content_type: str, aws: Aws) -> Prediction:
    """One request through the HTTP API, to the function's URL or to the certificate's name.

    A JWT comes from the environment (ADVISOR_AWS_JWT), a bearer token from the account's secret.
    Raises DeployError with the endpoint's own words.
    """
    url = f"{stack.outputs['PublicUrl']}/invocations"
    headers = {"Content-Type": content_type}
    reach = stack.parameters.get("Reach", "")
    if reach in SIGNED_FOR:
        return post(url, body, headers, aws, sign_for=SIGNED_FOR[reach])
    if reach == GATEWAY_JWT:
        return _with_jwt(stack, url, body, headers, aws)
    with told("read the bearer token"):
        secret = aws.client("secretsmanager").get_secret_value(
            SecretId=stack.outputs["TokenSecret"]
        )
    headers["Authorization"] = f"Bearer {secret['SecretString']}"
    return post(url, body, headers, aws)


def snippets(stack: Stack, plan: Plan, region: str) -> dict[str, str]:
    """A curl line and Python, with what lets the caller in; no secret is in them."""
    url = f"{stack.outputs.get('PublicUrl') or stack.outputs['BalancerUrl']}/invocations"
    body = sample_body(plan.parameters)
    quoted = body.replace("'", "'\\''")
    reach = stack.parameters.get("Reach", "")
    way, extra = "", ""
    service = SIGNED_FOR.get(reach, "")
    if service:
        way = (
            f"--aws-sigv4 'aws:amz:{region}:{service}' "
            '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
            '-H "X-Amz-Security-Token: $AWS_SESSION_TOKEN" '
        )
        extra = _SIGNED.format(service=service, region=region)
    elif reach and reach != "private":
        way = '-H "Authorization: Bearer $TOKEN" '
    curl = f"curl -s {way}-H 'Content-Type: application/json' -d '{quoted}' {url}"
    if reach == "private":
        curl = (
            f"# from inside {stack.outputs['NetworkId']} (peering, VPN, or a machine there)\n{curl}"
        )
    return {"curl": curl, "python": _python(url, body, reach, extra)}


def _with_jwt(stack: Stack, url: str, body: bytes, headers: dict[str, str], aws: Aws) -> Prediction:
    token = os.environ.get(JWT_VARIABLE, "").strip()
    wanted = f"one of {stack.parameters.get('JwtIssuer')} for {stack.parameters.get('JwtAudience')}"
    if not token:
        raise DeployError(f"a call of {url} needs a token: set {JWT_VARIABLE} to {wanted}")
    try:
        return post(url, body, headers | {"Authorization": f"Bearer {token}"}, aws)
    except DeployError as error:
        if f"answered {UNAUTHORIZED}" not in str(error):
            raise
        raise DeployError(
            f"{error}; the token in {JWT_VARIABLE} has to be {wanted} whose time is not over"
        ) from None


_SIGNED = """\
import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

request = AWSRequest("POST", url, data=body, headers=headers)
SigV4Auth(boto3.Session().get_credentials(), "{service}", "{region}").add_auth(request)
headers = dict(request.headers)
"""


def _python(url: str, body: str, reach: str, extra: str) -> str:
    token = (
        "" if reach == "private" or reach in SIGNED_FOR else ', "Authorization": f"Bearer {token}"'
    )
    return "\n".join(
        [
            "import urllib.request",
            *(["import os", 'token = os.environ["TOKEN"]'] if token else []),
            "",
            f'url = "{url}"',
            f"body = {body.encode()!r}",
            f'headers = {{"Content-Type": "application/json"{token}}}',
            *([extra.rstrip()] if extra else []),
            "call = urllib.request.Request(url, data=body, headers=headers)",
            "print(urllib.request.urlopen(call).read().decode())",
        ]
    )
