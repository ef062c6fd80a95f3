"""Faults between the product and AWS: at the wire of botocore, and of the Kubernetes client, below
their retries, at any call.

A good run tells which calls there are; each is then answered with an error, cut off after it was
carried out, or is the last thing that the process does.
"""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aws_support import Log, asked, client, need
from botocore.awsrequest import AWSResponse
from botocore.endpoint import Endpoint
from botocore.exceptions import ConnectionClosedError
from botocore.retries.standard import ExponentialBackoff
from containers_support import BOOTSTRAP, GONE
from emulator.client import Emulator
from urllib3 import HTTPResponse
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ProtocolError
from urllib3.util import Retry

import deploy
from advisor.errors import AdvisorError
from deploy.artifact import look_again
from deploy.aws import rollout
from deploy.aws.session import AwsSettings
from deploy.aws.stack_target import StackTarget
from deploy.bundle import pack as packing
from deploy.bundle.pack import image_tag
from deploy.bundle.requirements import pinned
from deploy.requests import PlanRequest
from deploy.target import Plan
from deploy.targets.batch import BatchTarget
from deploy.targets.ec2 import Ec2Target
from deploy.targets.ecs import EcsTarget
from deploy.targets.eks import EksTarget
from deploy.targets.lambda_api import LambdaTarget
from deploy.targets.sagemaker import SageMakerTarget

HASTE = 0.1  # seconds between two looks
ROWS = b'{"instances": [[1, 1, 1, 1]]}'
ANSWER = 10.0  # of the model that sums under the weights 1 to 4
OWN_CODE = str(Path(deploy.__file__).parent)
BUILDS = ("AWS::CodeBuild::Build", "AWS::ECR::Image")  # planned, and no resource of a stack

NIGHTLY: dict[str, Any] = {
    "traffic": {"mode": "batch", "requests_per_month": 400_000_000, "pattern": "nightly"},
    "service": {"deadline_h": 4, "p95_ms": None},
}
BUSY: dict[str, Any] = {"traffic": {"requests_per_month": 400_000_000, "pattern": "business-hours"}}
READY: dict[str, Any] = {
    "traffic": {"requests_per_month": 40_000_000, "pattern": "business-hours"},
    "service": {"cold_starts_ok": False},
}
QUEUED: dict[str, Any] = {
    "model": {"service_time_ms": 4000},
    "traffic": {"mode": "async", "requests_per_month": 2_000_000},
    "service": {"p95_ms": None, "deadline_h": 1},
}
TARGETS: dict[str, tuple[type[StackTarget], dict[str, Any]]] = {
    "sagemaker-realtime": (SageMakerTarget, BUSY),
    "sagemaker-serverless": (SageMakerTarget, READY),
    "sagemaker-async": (SageMakerTarget, QUEUED),
    "sagemaker-batch": (SageMakerTarget, NIGHTLY),
    "lambda-apigateway": (LambdaTarget, READY),
    "lambda-url": (LambdaTarget, READY),
    "ecs-fargate": (EcsTarget, BUSY),
    "ecs-ec2": (EcsTarget, BUSY),
    "ec2": (Ec2Target, {}),
    "aws-batch": (BatchTarget, NIGHTLY),
    "eks": (EksTarget, BUSY),
}
DOOR = "203.0.113.7/32"  # whence a cluster's API server may be called
KUBERNETES = re.compile(r"^/_kubernetes/[^/]+/(?:(?:api|apis/[^/]+)/v\d+/)?(?P<place>.+)$")
WITHIN = re.compile(r"^namespaces/[^/]+/(?=[a-z])")
IN_KUBERNETES = {  # how its API server says what AWS says under these codes
    "ThrottlingException": (429, "TooManyRequests"),
    "AccessDeniedException": (403, "Forbidden"),
    "ExpiredTokenException": (401, "Unauthorized"),
    "LimitExceededException": (403, "Forbidden"),
}

Site = tuple[str, tuple[str, ...]]  # the call, and the functions of the product that it came from


class KilledError(BaseException):
    """The process ends: nothing is taken back, nothing is told."""


@dataclass(frozen=True)
class Answer:
    """An error as AWS gives it."""

    code: str
    message: str
    status: int = 400


CUT, KILL = "cut", "kill"  # after the call was carried out
Act = Callable[[Site], Answer | str | None]
THROTTLED = Answer("ThrottlingException", "Rate exceeded")
EXPIRED = Answer(
    "ExpiredTokenException", "The security token included in the request is expired", 403
)
QUOTA = Answer("LimitExceededException", "You have reached the limit of the account")


def denied(call: str) -> Answer:
    action = call.replace(".", ":")
    said = f"User: ann is not authorized to perform: {action} because no policy allows it"
    return Answer("AccessDeniedException", said, 403)


@dataclass
class Wire:
    """What went over the wire, and what is to happen to it."""

    sites: list[Site] = field(default_factory=list)
    act: Act | None = None
    dying: bool = False
    struck: set[Site] = field(default_factory=set)

    @property
    def calls(self) -> list[str]:
        return [call for call, _ in self.sites]

    def during(self, work: Callable[[], object], act: Act | None = None) -> list[Site]:
        """Do the work under the act; the sites that it went through, each once, in order."""
        self.sites, self.act, self.dying, self.struck = [], act, False, set()
        try:
            work()
        finally:
            self.act = None
        return list(dict.fromkeys(self.sites))

    def pass_on(self, real: Callable[..., Any], endpoint: Any, request: Any, *rest: Any) -> Any:
        """In place of Endpoint._do_get_response: (response, parsed) or an exception."""
        model = rest[0]
        told = self._reached(f"{model.service_model.service_name}.{model.name}")
        if isinstance(told, Answer):
            return _refused(told, request), None
        answer = real(endpoint, request, *rest)
        if told == CUT:
            return None, ConnectionClosedError(endpoint_url=request.url)
        self._die(told)
        return answer

    def pass_to_cluster(
        self, real: Callable[..., Any], pool: Any, connection: Any, method: str, url: str,
        **more: Any,
    ) -> Any:  # fmt: skip
        """In place of HTTPConnectionPool._make_request, for what goes to a cluster's API server."""
        found = KUBERNETES.match(urlsplit(url).path)
        if found is None:
            return real(pool, connection, method, url, **more)
        told = self._reached(f"kubernetes.{method} {_kind_of(found['place'])}")
        if isinstance(told, Answer):
            return _refused_by_cluster(told)
        answer = real(pool, connection, method, url, **more)
        if told == CUT:
            raise ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))
        self._die(told)
        return answer

    def _reached(self, call: str) -> Answer | str | None:
        """What is to happen to this call."""
        site = (call, _callers())
        self.sites.append(site)
        if self.dying:
            raise KilledError
        told = self.act(site) if self.act else None
        if told is not None:
            self.struck.add(site)
        return told

    def _die(self, told: Answer | str | None) -> None:
        if told == KILL:
            if threading.current_thread() is not threading.main_thread():
                self.dying = True  # a transfer's thread would swallow it
            else:
                raise KilledError


@contextmanager
def wired() -> Iterator[Wire]:
    """Every client of botocore and of a cluster in this process goes through the wire; retries do
    not wait."""
    wire, real, to_cluster = Wire(), Endpoint._do_get_response, HTTPConnectionPool._make_request
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Endpoint, "_do_get_response", lambda self, *given: wire.pass_on(real, self, *given)
        )
        patch.setattr(
            HTTPConnectionPool, "_make_request",
            lambda self, *given, **more: wire.pass_to_cluster(to_cluster, self, *given, **more),
        )  # fmt: skip
        patch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
        patch.setattr(Retry, "get_backoff_time", lambda _: 0.0)
        yield wire


@dataclass
class Case:
    """One option in one account that has its bootstrap stack."""

    option: str
    emulator: Emulator
    model: Path
    wire: Wire
    name: str = "fraud"
    manifest: dict[str, Any] | None = None
    log: Log = field(default_factory=Log)

    @property
    def target(self) -> StackTarget:
        return TARGETS[self.option][0](AwsSettings(poll_seconds=HASTE, cluster_cidrs=(DOOR,)))

    @property
    def request(self) -> PlanRequest:
        requirements = need(**TARGETS[self.option][1])
        return asked(self.model, self.name, option=self.option, requirements=requirements)

    def plan(self) -> Plan:
        return self.target.plan(self.request)

    def apply(self, plan: Plan) -> None:
        self.log.clear()
        self.target.apply(plan, self.log)

    def predict(self, plan: Plan) -> None:
        body = self.target.predict(plan, ROWS, "application/json").body
        assert body["predictions"] == [ANSWER], body

    def destroy(self, plan: Plan) -> None:
        self.log.clear()
        assert self.target.destroy(plan, self.log).left_behind == []

    def keep_image(self, plan: Plan) -> None:
        """Remember the image that was built, so that later runs need not build it."""
        found = client("ecr").batch_get_image(
            repositoryName=self._repository, imageIds=[{"imageTag": image_tag(plan.bundle_hash)}]
        )["images"][0]
        self.manifest = {
            "imageManifest": found["imageManifest"],
            "imageManifestMediaType": found["imageManifestMediaType"],
            "imageTag": image_tag(plan.bundle_hash),
        }

    def put_image(self) -> None:
        """The image is there already, as after a run that was interrupted."""
        client("ecr").put_image(repositoryName=self._repository, **(self.manifest or {}))

    @property
    def _repository(self) -> str:
        [name] = self.emulator.state()["repositories"]
        return str(name)


def left(emulator: Emulator) -> list[str]:
    """What of a deployment is in the account; plans that wait bill nothing and do not count."""
    state = emulator.state()
    found = [f"{what} {name}" for what in GONE for name in state[what]]
    found += [f"image {tag}" for tags in state["repositories"].values() for tag in tags]
    found += [f"object {key}" for keys in state["buckets"].values() for key in keys]
    found += [
        f"stack {name} ({status})"
        for name, status in state["stacks"].items()
        if name != BOOTSTRAP and status != "REVIEW_IN_PROGRESS"
    ]
    return found + [f"build {b['status']}" for b in state["builds"] if b["status"] == "IN_PROGRESS"]


def said_of(work: Callable[[], object]) -> AdvisorError | None:
    """What a user is told, in one line; None when all went well. Other errors come through."""
    said: AdvisorError | None = None
    try:
        work()
    except AdvisorError as error:
        said = error
    assert said is None or len(str(said).splitlines()) == 1
    return said


def looked_at_once(patch: pytest.MonkeyPatch) -> None:
    """What talks to nobody and finds the same each time is done once here: the confined look at
    the model, and the versions of the installed packages."""
    kept: dict[str, Any] = {}

    def look(path: str, accepted: Any) -> Any:
        if path not in kept:
            kept[path] = look_again(path, accepted)
        return kept[path]

    patch.setattr(rollout, "look_again", look)
    found: dict[tuple[str, ...], list[str]] = {}

    def versions(packages: list[str]) -> list[str]:
        if tuple(packages) not in found:
            found[tuple(packages)] = pinned(packages)
        return list(found[tuple(packages)])

    patch.setattr(packing, "pinned", versions)


def _callers() -> tuple[str, ...]:
    """The product's functions above a call, the nearest first."""
    found, frame = [], sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(OWN_CODE) and not code.co_qualname.endswith(">"):
            found.append(code.co_qualname)
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(found)


def _refused(answer: Answer, request: Any) -> tuple[AWSResponse, dict[str, Any]]:
    headers = {"content-type": "application/json"}
    response = AWSResponse(request.url, answer.status, headers, _Nothing())
    return response, {
        "Error": {"Code": answer.code, "Message": answer.message},
        "ResponseMetadata": {"HTTPStatusCode": answer.status, "HTTPHeaders": headers},
    }


def _refused_by_cluster(answer: Answer) -> HTTPResponse:
    status, reason = IN_KUBERNETES[answer.code]
    said = {"kind": "Status", "status": "Failure", "reason": reason, "message": answer.message}
    kind = {"content-type": "application/json"}
    return HTTPResponse(json.dumps(said).encode(), headers=kind, status=status, reason=reason)


def _kind_of(place: str) -> str:
    """ "deployments" of "namespaces/x/deployments/y", "services proxy" of a service that is asked."""
    kind, _, rest = WITHIN.sub("", place).partition("/")
    return f"{kind} proxy" if "/proxy/" in rest else kind


class _Nothing(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield b""
