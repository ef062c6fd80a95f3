"""The ASGI application: every platform's routes in front of one engine.

The prediction path is plain ASGI. FastAPI writes the OpenAPI description, and is imported when that
is first asked for.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

import orjson

from . import SERVER_VERSION, kserve
from .copies import Copies
from .errors import ModelError, RequestError
from .http_parts import HTML, JSON, disconnected, pick_headers, too_large, wrong_method
from .payload import Request
from .predictions import Predictions, refusal
from .service import CLIENT_GONE, Service, Starts
from .values import Output
from .watch import Watch

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientGoneError(Exception):
    """The client closed the connection before its answer was ready."""


class App:
    """`App(service)` is the ASGI callable. `on_fail` is told when the model cannot be loaded, or
    its workers fail for good.

    `live`: the whole life of a copy of the server, over its line; None where there are none.
    """

    def __init__(
        self,
        service: Service,
        on_fail: Callable[[ModelError], None] | None = None,
        live: Callable[[App, socket.socket], None] | None = None,
    ) -> None:
        self.service = service
        self.predictions = Predictions(service)
        self.watch = Watch(service)
        self.on_fail, self._live = on_fail, live
        self._docs: Any = None
        self._loading: threading.Thread | None = None
        settings = service.settings
        name = settings.model_name
        self._token = settings.token.encode() if settings.token else None
        self._open = {"/ping", "/ready", "/live", "/v2/health/live", "/v2/health/ready"}
        self._gets: dict[str, Callable[[], tuple[int, Any]]] = {
            "/ping": self._ready,
            "/ready": self._ready,
            "/live": lambda: (200, {"live": True}),
            "/v1/models": lambda: (200, {"models": [name]}),
            f"/v1/models/{name}": self._v1_model,
            "/v2": self._v2_server,
            "/v2/health/live": lambda: (200, {"live": True}),
            "/v2/health/ready": self._ready,
            f"/v2/models/{name}": self._v2_model,
            f"/v2/models/{name}/ready": self._ready,
            "/execution-parameters": self._execution_parameters,
        }
        if settings.health_route:
            self._gets[settings.health_route] = self._ready
            self._open.add(settings.health_route)

    @property
    def unfinished(self) -> bool:
        """The model is being loaded, or a worker is predicting."""
        engine = self.service.engine
        return engine.busy if engine else self._loading is not None and self._loading.is_alive()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Load beside listening, so that health checks are answered meanwhile."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                if not self.service.ready:
                    self._start_loading()
                await send({"type": "lifespan.startup.complete"})
            else:
                if self.service.engine:
                    self.service.engine.close()
                if not self.service.is_copy:
                    self.service.log.event("stopped")
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _start_loading(self) -> None:
        """In a daemon thread: a stop that comes meanwhile does not wait for it."""
        loop = asyncio.get_running_loop()

        def hire(processes: Starts) -> None:
            asyncio.run_coroutine_threadsafe(processes.start(), loop).result()

        def broken(wrong: ModelError) -> None:
            self._failed(wrong, "workers fail")

        def load() -> None:
            try:
                self.service.load(hire=hire, copier=self._copier(broken), broken=broken)
            except ModelError as wrong:
                loop.call_soon_threadsafe(self._failed, wrong)
            except Exception as error:  # noqa: BLE001 - libraries raise anything; it is told
                told = ModelError(f"the model does not load ({type(error).__name__}): {error}")
                loop.call_soon_threadsafe(self._failed, told)

        self._loading = threading.Thread(target=load, name="load", daemon=True)
        self._loading.start()

    def _copier(self, broken: Callable[[ModelError], None]) -> Callable[[int], Copies] | None:
        service, serve = self.service, self._live
        if serve is None:
            return None

        def live(line: socket.socket, place: int) -> None:
            service.begin_copy(place)
            self.watch = Watch(service)  # the other's may have planned to look, on its own loop
            serve(self, line)

        return lambda count: Copies(
            count, live, service.metrics, service.log, service.settings.drain, broken
        )

    def _failed(self, wrong: ModelError, event: str = "model not loaded") -> None:
        self.service.log.event(event, "error", because=str(wrong))
        if self.on_fail:
            self.on_fail(wrong)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        path = scope["path"]
        headers = scope["headers"]
        request_id, authorization, content_type, accept, length, encoding = pick_headers(headers)
        rows: int | None = None
        extra: dict[str, str] = {}
        kind = JSON
        try:
            if path not in self._open:
                self.authorize(authorization)
            method = scope["method"]
            if method == "POST" and path in self.predictions.paths:
                body = await self._body(receive, length)
                asked = self.predictions.read(path, body, content_type, encoding)
                rows = asked.request.batch.rows
                output = await self._predict(asked.request, receive)
                status, (reply, kind) = 200, self.predictions.encode(asked, output, accept)
            elif path == "/openapi.json" and method in ("GET", "HEAD"):
                await self._documentation()(scope, receive, send)
                return
            elif path == "/docs" and method in ("GET", "HEAD"):
                from .docs_page import POLICY, page

                status, reply, kind = 200, page(self.service), HTML
                extra = {"content-security-policy": POLICY}
            else:
                status, reply, kind = self._get(method, path)
        except RequestError as wrong:
            status, extra, kind = wrong.status, wrong.headers, JSON
            reply = refusal(wrong, request_id)
        except ClientGoneError:
            self._account(scope, CLIENT_GONE, started, rows, request_id)
            return
        sent = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(reply)),
            (b"x-request-id", request_id.encode("latin-1")),
        ]
        if extra:
            sent += [(k.encode(), v.encode("latin-1", "replace")) for k, v in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        if scope["method"] == "HEAD":
            reply = b""
        await send({"type": "http.response.body", "body": reply})
        self._account(scope, status, started, rows, request_id)

    def _account(
        self, scope: Scope, status: int, started: float, rows: int | None, request_id: str
    ) -> None:
        if scope["path"] in self._open or scope["path"] == "/metrics":
            return  # probes come every few seconds and would drown the rest
        self.service.answered(scope["method"], scope["path"], status, started, rows, request_id)

    async def _body(self, receive: Receive, length: str) -> bytes:
        limit = self.service.settings.max_body
        if length.isdigit() and int(length) > limit:
            raise too_large(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > limit:
                raise too_large(limit)
            return body
        parts, size = [body], len(body)
        try:
            async with asyncio.timeout(self.service.settings.body_timeout):
                while message.get("more_body"):
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise too_large(limit)
        except TimeoutError as slow:
            raise RequestError(
                408, "slow_body",
                f"the body did not arrive within {self.service.settings.body_timeout:.0f} s",
                {"connection": "close"},
            ) from slow  # fmt: skip
        return b"".join(parts)

    async def _predict(self, request: Request, receive: Receive) -> Output:
        engine = self.service.engine
        if engine is None:
            raise RequestError(503, "loading", "the model is still being loaded; try again")
        output = engine.now(request.batch, request.method)
        if output is not None:
            return output
        future = engine.submit(request.batch, request.method)
        if engine.is_quick(request.batch):
            return await future
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            waits: set[asyncio.Future[Any]] = {future, gone}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                future.cancel()
                raise ClientGoneError
            return future.result()
        finally:
            gone.cancel()

    def _get(self, method: str, path: str) -> tuple[int, bytes, bytes]:
        """What is answered without the model, or the error that says what would be."""
        if path == "/metrics" and method in ("GET", "HEAD"):
            metrics = self.service.metrics
            return 200, metrics.text(), metrics.content_type.encode()
        if (answer := self._gets.get(path)) is not None:
            if method not in ("GET", "HEAD"):
                raise wrong_method(method, path, "GET")
            status, found = answer()
            return status, orjson.dumps(found), JSON
        if path in self.predictions.paths:
            raise wrong_method(method, path, "POST")
        shown = unquote(path)[:100]
        if path.startswith(("/v1/models/", "/v2/models/")):
            raise RequestError(
                404, "model", f"there is no such model at {shown}; it is called "
                f"{self.service.settings.model_name!r}",
            )  # fmt: skip
        raise RequestError(
            404, "route",
            f"there is nothing at {shown}; predictions are at /predict and the docs at /docs",
        )  # fmt: skip

    def authorize(self, header: bytes) -> None:
        """Raises RequestError 401 when a token is set and `header` does not bring it."""
        if self._token is None:
            return
        scheme, _, given = header.partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
            raise RequestError(
                401, "token", "a bearer token is needed: send Authorization: Bearer <token>",
                {"www-authenticate": "Bearer"},
            )  # fmt: skip

    def _ready(self) -> tuple[int, Any]:
        if self.service.stopping:
            return 503, {"ready": False, "because": "the server is stopping"}
        if self.service.ready:
            return 200, {"ready": True}
        return 503, {"ready": False, "because": "the model is still being loaded"}

    def _v1_model(self) -> tuple[int, Any]:
        ready = self.service.ready
        return (200 if ready else 503), {"name": self.service.settings.model_name, "ready": ready}

    def _v2_server(self) -> tuple[int, Any]:
        return 200, {"name": "model_server", "version": SERVER_VERSION, "extensions": []}

    def _v2_model(self) -> tuple[int, Any]:
        located = self.service.located
        if located is None:
            return self._ready()
        name = self.service.settings.model_name
        return 200, kserve.metadata(located.signature, name, located.format)

    def _execution_parameters(self) -> tuple[int, Any]:
        """SageMaker batch transform asks how it should send."""
        return 200, {
            "MaxConcurrentTransforms": self.service.settings.workers,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": 6,
        }

    def _documentation(self) -> Any:
        if self._docs is None:
            from .docs import build

            docs = build(self.service, SERVER_VERSION)
            if not self.service.ready:  # made again once the signature is known
                return docs
            self._docs = docs
        return self._docs
