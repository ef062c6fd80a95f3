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
from botocore.awsrequest import AWSResponse
from botocore.endpoint import Endpoint
from botocore.exceptions import ConnectionClosedError
from botocore.retries.standard import ExponentialBackoff
from urllib3 import HTTPResponse
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ProtocolError
from urllib3.util import Retry

import deploy

OWN_CODE = str(Path(deploy.__file__).parent)
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
