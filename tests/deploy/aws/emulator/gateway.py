"""The emulator's front door: added services, control door, faults; MiniStack behind them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import clock
import repeats
import web
from builds import Builds
from containers import Images
from faults import FAULTS, Fault
from functions import operation_in
from hypercorn.asyncio import serve
from hypercorn.config import Config
from kubernetes_api import ROOT as KUBERNETES
from kubernetes_api import KubernetesApis
from ministack import app as ministack
from ministack.core import iam_evaluator
from ministack.core.iam_evaluator import AuthError
from ministack.core.responses import get_account_id, set_request_account_id, set_request_region
from ministack.core.router import extract_access_key_id, extract_region
from ministack.services import (
    alb,
    apigateway,
    autoscaling,
    cloudformation,
    cloudwatch,
    cloudwatch_logs,
    codebuild,
    ec2,
    ecr,
    eks,
    iam,
    lambda_svc,
    s3,
    scheduler,
)
from resources import World
from services import IAM_NAMES, ModelError, ServiceError, Services, operation_of


class Gateway:
    """One ASGI application."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.region = configuration["region"]
        self.port = configuration["port"]
        images = Images(Path(configuration["images"]), configuration["python"])
        schemas = json.loads(Path(configuration["schemas"]).read_text(encoding="utf-8"))
        self.world = World(images, schemas)
        self.clusters = KubernetesApis(self.world, f"http://127.0.0.1:{self.port}")
        self.world.open_clusters(self.clusters)
        self.services = Services(self.world)
        self.services.endpoint = f"http://127.0.0.1:{self.port}"
        Builds(f"http://127.0.0.1:{self.port}", images.directory)
        clock.authorize_in_groups()
        repeats.delete_once()

    def serve(self) -> None:
        """Listen on the loopback address until SIGTERM, or until whoever started this is gone."""
        threading.Thread(target=self._watch, args=(os.getppid(),), daemon=True).start()
        config = Config()
        config.bind = [f"127.0.0.1:{self.port}"]
        config.loglevel = "WARNING"
        config.accesslog = None
        asyncio.run(serve(self, config))  # type: ignore[arg-type]

    def _watch(self, parent: int) -> None:
        """A killed test run leaves no emulator and no server behind."""
        while os.getppid() == parent:
            time.sleep(1)
        self.world.reset()
        os.kill(os.getpid(), signal.SIGKILL)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await ministack.app(scope, receive, send)
            return
        messages, body = await _whole(receive)
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        if scope["path"].startswith("/_emulator/"):
            await _send(send, await self._control(scope["path"], body))
            return
        host = self.world.names.get(headers.get("host", ""), headers.get("host", ""))
        if ".elb." in host:  # somebody inside the network, who has us as proxy; or a name for it
            scheme = headers.get("x-forwarded-proto", "http")
            url = f"{scheme}://{host}{urlsplit(scope['path']).path}"
            answer = await asyncio.to_thread(self._inside, scope["method"], url, headers, body)
            await _send(send, answer)
            return
        if scope["path"].startswith(KUBERNETES):
            await _send(send, await asyncio.to_thread(self._kubernetes, scope, headers, body))
            return
        own = operation_of(scope["method"], scope["path"], headers)
        service, operation = own or _named(headers, body)
        if service == "lambda":
            operation = operation_in(scope["method"], scope["path"])
        fault = FAULTS.take(f"{service}.{operation}")
        if fault:
            await _send(send, _error(headers, fault.code, fault.message, fault.status))
        elif own:
            await _send(send, await asyncio.to_thread(self._answer, scope, headers, body, *own))
        else:
            if "x-forwarded-proto" not in headers:
                # As if TLS ended here: without it every TLS-only policy denies. A test that wants
                # plain HTTP says so itself.
                tls = (b"x-forwarded-proto", b"https")
                scope = scope | {"headers": [*scope["headers"], tls]}
            await ministack.app(scope, _replay(messages, receive), send)

    def _kubernetes(self, scope: Any, headers: dict[str, str], body: bytes) -> Any:
        set_request_account_id("test")
        set_request_region(self.region)
        query = scope["query_string"].decode()
        return self.clusters.answer(scope["method"], scope["path"], query, headers, body)

    def _inside(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Any:
        set_request_account_id("test")
        set_request_region(self.region)
        return self.world.through_balancer(method, url, headers, body)

    def _answer(
        self, scope: Any, headers: dict[str, str], body: bytes, service: str, operation: str
    ) -> Any:
        """Signature and IAM policy first, as in front of MiniStack's own services."""
        query = parse_qs(scope["query_string"].decode(), keep_blank_values=True)
        key, region = extract_access_key_id(headers, query), extract_region(headers, query)
        set_request_account_id(key)
        set_request_region(region)
        iam_evaluator.pin_signed_request(
            scope["method"], scope["raw_path"].decode("latin-1"), query, scope["headers"]
        )
        iam_evaluator.pin_signed_body(body)
        action = f"{IAM_NAMES[service]}:{operation}"
        try:
            given = self.services.parsed(service, operation, scope["path"], headers, body)
            denied = iam_evaluator.enforce(
                key, action, service, region,
                resource_arn=self.services.resource_arn(service, operation, given),
            )  # fmt: skip
            if isinstance(denied, AuthError):
                return _error(headers, denied.code, denied.message, 403)
            if denied:
                said = f"User: {denied.principal_arn} is not authorized to perform: {action}"
                return _error(headers, "AccessDeniedException", said, 400)
            return self.services.answer(service, operation, given)
        except ModelError as error:
            kind = {"content-type": "application/json", "x-amzn-errortype": error.code}
            return error.status, kind, json.dumps(error.body).encode()
        except ServiceError as error:
            return _error(headers, error.code, error.message, error.status)

    async def _control(self, path: str, body: bytes) -> Any:
        """What the tests ask of the account itself."""
        given = json.loads(body or b"{}")
        if path == "/_emulator/fault":
            FAULTS.arm(Fault(**given))
        elif path == "/_emulator/quotas":
            self.services.quotas = given
            # The account's calls at once, which Lambda tells itself.
            lambda_svc._ACCOUNT_CONCURRENCY_CAP = int(given.get("lambda.concurrency", 0))
        elif path == "/_emulator/forget":
            await asyncio.to_thread(self.world.forget, self.region, **given)
        elif path == "/_emulator/later":
            clock.later(given["seconds"])
        elif path == "/_emulator/web":
            web.open_internet(given["proxy"], given["authority"])
        elif path == "/_emulator/names":
            self.world.names = given
        elif path == "/_emulator/clock":
            await asyncio.to_thread(self._advance, given["to"])
        elif path == "/_emulator/reset":
            FAULTS.clear()
            clock.later(0)
            self.world.names = {}
            self.services.quotas, self.services.invocations = {}, []
            lambda_svc._ACCOUNT_CONCURRENCY_CAP = 0
            self.services.tasks.clear()
            self.services.tokens.clear()
            self.services.transforms.clear()
            await asyncio.to_thread(self.clusters.reset)
            await asyncio.to_thread(self.world.reset)
            await asyncio.to_thread(ministack._reset_all_state)
        elif path != "/_emulator/state":
            return 404, {}, b""
        set_request_account_id("test")
        set_request_region(self.region)
        return 200, {"content-type": "application/json"}, json.dumps(self._state()).encode()

    def _advance(self, to: str) -> None:
        set_request_account_id("test")
        set_request_region(self.region)
        clock.advance(f"http://127.0.0.1:{self.port}", to)

    def _state(self) -> dict[str, Any]:
        """Everything there is in the account and region, for "nothing is left"."""
        made = self.world.made.values()
        return {
            "account": get_account_id(),
            "stacks": {n: s["StackStatus"] for n, s in cloudformation._stacks.items()
                       if s["StackStatus"] != "DELETE_COMPLETE"},
            "buckets": {b: sorted(s3._buckets[b]["objects"]) for b in s3._buckets},
            "repositories": {n: sorted(t for i in ecr._images[n] for t in i.get("imageTags", []))
                             for n in ecr._repositories},
            "projects": sorted(codebuild._projects),
            "builds": [{"status": b["buildStatus"], "environment": b["environment"]}
                       for b in codebuild._builds.values()],
            "roles": sorted(iam._roles),
            "policies": sorted(iam._policies),
            "log_groups": {n: g["retentionInDays"] for n, g in cloudwatch_logs._log_groups.items()},
            "alarms": {n: {k: a.get(k) for k in ("Threshold", "MetricName", "Namespace")}
                       for n, a in cloudwatch._alarms.items()},
            "made": sorted(f"{r.type} {r.name}" for r in made),
            "properties": {f"{r.type} {r.name}": r.properties for r in made},
            "running": sorted(
                c.process.pid for c in self.world.containers if c.process.poll() is None
            ),
            "networks": sorted(v for v, n in ec2._vpcs.items() if not n["IsDefault"]),
            "groups": sorted(
                g for g, found in ec2._security_groups.items() if found["GroupName"] != "default"
            ),
            "groups_of_machines": sorted(autoscaling._asgs),
            "balancers": sorted(alb._lbs),
            "apis": sorted(apigateway._apis),
            "clusters": sorted(eks._clusters),
            "kubernetes": {
                cluster: sorted("/".join(part for part in key if part) for key in pods.objects)
                for cluster, pods in self.clusters.pods.items()
            },
            "manifests": {
                cluster: [o for key, o in sorted(pods.objects.items()) if key[2] != "default"]
                for cluster, pods in self.clusters.pods.items()
            },
            "schedules": {s["Name"]: s["ScheduleExpression"]
                          for s in scheduler._schedules.values()},
            "functions": {n: {"concurrency": f["concurrency"], "versions": sorted(f["versions"]),
                              "ready": f["provisioned_concurrency"]}
                          for n, f in lambda_svc._functions.items()},
            "invocations": self.services.invocations,
            "calls": FAULTS.calls,
        }  # fmt: skip


def _named(headers: dict[str, str], body: bytes) -> tuple[str, str]:
    """Service (from the signature) and operation (from target or form) of any other request."""
    credential = headers.get("authorization", "").partition("Credential=")[2].split(",")[0]
    service = credential.split("/")[3] if credential.count("/") >= 4 else ""
    operation = headers.get("x-amz-target", "").partition(".")[2]
    if not operation and headers.get("content-type", "").startswith("application/x-www-form"):
        operation = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    return service, operation


def _error(headers: dict[str, str], code: str, message: str, status: int) -> Any:
    if "x-amz-target" in headers:
        content = {"__type": code, "message": message}
        return status, {"content-type": "application/x-amz-json-1.1"}, json.dumps(content).encode()
    if headers.get("content-type", "").startswith("application/x-www-form"):
        xml = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>x</RequestId></ErrorResponse>"
        )
        return status, {"content-type": "text/xml"}, xml.encode()
    return status, {
        "content-type": "application/json", "x-amzn-errortype": code,
    }, json.dumps({"message": message}).encode()  # fmt: skip


async def _whole(receive: Any) -> tuple[list[Any], bytes]:
    messages, body = [], b""
    while True:
        message = await receive()
        messages.append(message)
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body", False):
            return messages, body


def _replay(messages: list[Any], receive: Any) -> Any:
    left = list(messages)

    async def again() -> Any:
        return left.pop(0) if left else await receive()

    return again


async def _send(send: Any, answer: Any) -> None:
    status, headers, body = answer
    listed = [(k.encode(), v.encode()) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": status,
                "headers": [*listed, (b"content-length", str(len(body)).encode())]})  # fmt: skip
    await send({"type": "http.response.body", "body": body})
