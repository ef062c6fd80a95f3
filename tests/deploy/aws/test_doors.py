"""The doors to a deployment, called as they are printed: who is let in, and who is not.

The printed `curl` line and Python run as they are, against the names of AWS, over TLS on the
loopback address (front_door.py); `predict` goes the same way. Behind it the HTTP API's authorizer
asks a real issuer of tokens for its keys, signatures are computed anew, and the bundle's own server
checks its token.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from aws_support import QUICK, Log, asked, client, document, sign_in
from containers_support import only_the_bootstrap_is_left
from emulator.client import Emulator
from faults_support import ANSWER, DOOR, TARGETS
from front_door import FrontDoor, Issuer

from advisor.errors import DeployError
from deploy.aws.session import AwsSettings
from deploy.aws.stack_target import StackTarget
from deploy.target import Plan, Status
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

IAM, TOKENS, BEARER, URL = "gateway-iam", "gateway-jwt", "certificate", "url-iam"
DOMAIN = "models.example.com"
JSON = "application/json"
ROW = b'{"instances": [[1, 1, 1, 1]]}'
SAID = {
    IAM: "only IAM-signed calls", URL: "only IAM-signed calls",
    TOKENS: f"only tokens of {Issuer.url}", BEARER: f"https://{DOMAIN} on the internet",
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    IAM: {}, URL: {},
    TOKENS: {"jwt_issuer": Issuer.url, "jwt_audience": ["models"]},
    BEARER: {"certificate_arn": "arn:aws:acm:us-east-1:123456789012:certificate/1", "domain": DOMAIN},
}  # fmt: skip
DOORS = [
    ("lambda-url", URL), ("lambda-apigateway", IAM), ("lambda-apigateway", TOKENS),
    *((option, door) for option in ("ecs-fargate", "ecs-ec2", "ec2", "eks")
      for door in (IAM, TOKENS, BEARER)),
]  # fmt: skip
SOON = {("ecs-fargate", BEARER), ("lambda-apigateway", TOKENS)}


@pytest.fixture
def front(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FrontDoor]:
    found = FrontDoor(emulator.url, tmp_path)
    emulator.internet(found.url, found.authority)
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    yield found
    found.close()


@dataclass
class Standing:
    """A deployment with its door open."""

    target: StackTarget
    plan: Plan
    status: Status
    front: FrontDoor

    def call(self, headers: dict[str, str], body: bytes = ROW) -> httpx.Response:
        """A request of one's own making."""
        with httpx.Client(proxy=self.front.url, verify=str(self.front.authority)) as web:
            url = self.status.endpoint or ""
            return web.post(url, content=body, headers={"content-type": JSON, **headers})


@pytest.mark.usefixtures("bootstrapped")
@pytest.mark.parametrize(
    ("option", "door"),
    [pytest.param(*d, marks=() if d in SOON else pytest.mark.slow) for d in DOORS],
)
def test_a_door_is_opened_as_printed_and_to_nobody_else(
    option: str, door: str, front: FrontDoor, emulator: Emulator, onnx_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sign_in(monkeypatch)
    target = TARGETS[option][0](AwsSettings(poll_seconds=QUICK, cluster_cidrs=(DOOR,)))
    public = option != "lambda-url"
    request = asked(onnx_model, option=option, public=public, settings=SETTINGS[door])
    plan = target.plan(request)
    assert plan.parameters["stack"]["Reach"] == door
    assert any(SAID[door] in said for said in plan.public)  # EKS names its API server too
    asked_for = [f.fix for f in plan.findings if f.check == "token" and not f.ok]
    assert len(asked_for) == (door == TOKENS), asked_for
    status = target.apply(plan, Log())
    if door == BEARER:
        emulator.names({DOMAIN: status.outputs["BalancerName"]})
    assert urlsplit(status.endpoint or "").scheme == "https"
    standing = Standing(target, plan, status, front)
    {IAM: signed, URL: signed, TOKENS: with_tokens, BEARER: with_the_secret}[door](
        standing, monkeypatch
    )
    assert target.destroy(plan, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


@pytest.mark.slow
@pytest.mark.usefixtures("bootstrapped")
def test_what_is_printed_for_sagemaker_is_answered_and_only_to_who_signs(
    emulator: Emulator, onnx_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch)
    target = SageMakerTarget(AwsSettings(poll_seconds=QUICK))
    plan = target.plan(asked(onnx_model))
    status = target.apply(plan, Log())
    for said in printed(status).values():
        assert set(json.loads(said)) >= {"predictions"}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "somebody else's")
    for said in printed(status).values():
        assert "predictions" not in said
    emulator.reset()


def signed(standing: Standing, patch: pytest.MonkeyPatch) -> None:
    opened(standing)
    assert standing.call({}).status_code == 403
    with pytest.MonkeyPatch.context() as inner:
        inner.setenv("AWS_SECRET_ACCESS_KEY", "somebody else's")
        nobody_is_let_in(standing)
    # A role's session signs its token too.
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    allowed = (
        "execute-api:Invoke" if ".execute-api." in (standing.status.endpoint or "") else "lambda:*"
    )
    for role, action in (("caller", allowed), ("stranger", "s3:ListAllMyBuckets")):
        with pytest.MonkeyPatch.context() as inner:
            assume(role, action, inner)
            opened(standing) if role == "caller" else refused(standing, "answered 403")


def with_tokens(standing: Standing, patch: pytest.MonkeyPatch) -> None:
    issuer = standing.front.issuer
    refused(standing, f"set ADVISOR_AWS_JWT to one of {Issuer.url} for models")
    for name in ("TOKEN", "ADVISOR_AWS_JWT"):
        patch.setenv(name, issuer.token())
    opened(standing)
    assert set(issuer.asked) == {"/.well-known/openid-configuration", "/keys"}
    wrong = {
        "another audience": issuer.token(aud="others"),
        "expired": issuer.token(exp=1_700_000_000),
        "not yet": issuer.token(nbf=4_000_000_000),
        "another issuer": issuer.token(iss="https://elsewhere.example.org"),
        "signed by another": Issuer().token(),
        "no token at all": "models",
    }
    for what, token in wrong.items():
        answer = standing.call({"authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"}), what
    patch.setenv("ADVISOR_AWS_JWT", wrong["expired"])
    patch.setenv("TOKEN", wrong["expired"])
    refused(standing, "answered 401: .* ADVISOR_AWS_JWT has to be one of .* time is not over")


def with_the_secret(standing: Standing, patch: pytest.MonkeyPatch) -> None:
    for headers in ({}, {"authorization": "Bearer guess"}, {"authorization": "Basic guess"}):
        answer = standing.call(headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "a bearer token is needed" in answer.text
    secret = standing.status.outputs["TokenSecret"]
    token = client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    assert len(token) == 48
    assert token not in standing.plan.model_dump_json() + standing.status.model_dump_json()
    patch.setenv("TOKEN", token)
    opened(standing)


def opened(standing: Standing) -> None:
    """Let in by `predict` and by what is printed, run as it is."""
    answer = standing.target.predict(standing.plan, ROW, JSON)
    assert answer.body["predictions"] == [ANSWER]
    for way, said in printed(standing.status).items():
        assert set(json.loads(said)) >= {"predictions"}, (way, said)


def refused(standing: Standing, said: str) -> None:
    with pytest.raises(DeployError, match=said):
        standing.target.predict(standing.plan, ROW, JSON)
    nobody_is_let_in(standing)


def nobody_is_let_in(standing: Standing) -> None:
    for way, said in printed(standing.status).items():
        assert "predictions" not in said, (way, said)


def printed(status: Status) -> dict[str, str]:
    """What the printed curl line and Python write, with this process's environment."""
    commands = {
        "curl": ["bash", "-c", status.snippets["curl"]],
        "python": [sys.executable, "-c", status.snippets["python"]],
    }
    return {
        way: subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ)
        ).stdout
        for way, command in commands.items()
    }


def assume(name: str, action: str, patch: pytest.MonkeyPatch) -> None:
    """This process becomes a session of a role that may do so much."""
    trust = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}
    policy = {
        "Effect": "Allow",
        "Action": [action, "cloudformation:DescribeStacks"],
        "Resource": "*",
    }
    iam = client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="x", PolicyDocument=document(policy))
    session = client("sts").assume_role(RoleArn=role, RoleSessionName="call")["Credentials"]
    for variable, part in (
        ("AWS_ACCESS_KEY_ID", "AccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
        ("AWS_SESSION_TOKEN", "SessionToken"),
    ):  # fmt: skip
        patch.setenv(variable, session[part])
