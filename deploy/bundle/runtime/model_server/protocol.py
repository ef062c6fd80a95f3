"""The short road for predictions: a request that arrives whole is answered where it is read.

uvicorn starts a task for each request, which reads its body and writes its answer in steps. A
prediction mostly arrives in one piece and its answer is one piece, so here it is read, predicted
and written in one go, in half the time. Whatever is not that simple (other routes, bodies in
several pieces, pipelined requests, connections that end after the answer) goes uvicorn's own way to
the application, with the same answers.
"""

from __future__ import annotations

import asyncio
import http
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .app import App
from .errors import RequestError
from .http_parts import JSON, pick_headers
from .predictions import Asked, refusal
from .service import CLIENT_GONE
from .values import Output
from .watch import ANSWER, BODY, HEAD, IDLE, MOST_HEAD_BYTES, Watched

LINGER_S = 0.5  # for what a client has sent when the server stops; less than any DRAIN_S of use


@dataclass(slots=True)
class _Told:
    """What an answer needs to know of its request."""

    path: str
    request_id: str
    accept: str
    started: float
    rows: int | None = None


class _Waiting:
    """Stands where uvicorn keeps the request that it is answering, while one of ours is."""

    message_event = asyncio.Event()  # uvicorn sets it; nobody waits for it

    def __init__(self) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True  # until the server stops


class Protocol(Watched, HttpToolsProtocol):
    """One connection. Made by uvicorn, whose application is an `App`."""

    _heads: ClassVar[dict[tuple[int, bytes], bytes]] = {}  # the same for all connections
    _heads_of: ClassVar[Any] = None  # the default headers (the date) that they were made with

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._served: App = self.config.app
        self._paths = {path.encode(): path for path in self._served.predictions.paths}
        self._mine = False  # the request that is being read takes the short road
        self._body: list[bytes] = []
        self._head_bytes = -1
        self._ending = False  # the server stops: the next answer here is the last
        self._begun: Any = None  # the request that the application is answering
        self._future: asyncio.Future[Output] | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._mine and not self.transport.is_closing():  # more is to come
            self._hand_over()
            if self._body:
                super().on_body(b"".join(self._body))
        elif self.at == HEAD and not self.transport.is_closing():
            # What has just begun may have come behind other requests: counted from the next read.
            self._head_bytes = 0 if self._head_bytes < 0 else self._head_bytes + len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.refuse(431, "head_too_large", "the head of the request is larger than "
                            f"{MOST_HEAD_BYTES // 1024} KB", self._served.service)  # fmt: skip

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._begun is not None:  # uvicorn tells only the last of pipelined requests
            self._begun.disconnected = True
        if self._future is not None:
            self._future.cancel()  # takes it out of the queue

    def shutdown(self) -> None:
        """The server stops. What its client has sent by now is answered, as the last: closed at
        once, a request on its way would get a reset."""
        self._ending = True
        self.loop.call_later(LINGER_S, super().shutdown)

    def on_message_begin(self) -> None:
        self.at, self.since, self._head_bytes = HEAD, self.loop.time(), -1
        self._mine = False
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        self.at = BODY
        if self._is_simple():
            self._mine = True
            self._body = []
        else:
            self._hand_over()

    def on_body(self, body: bytes) -> None:
        if self._mine:
            self._body.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.at = ANSWER
        if self._mine:
            self._mine = False
            self._answer()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer for each answer: idle connections are watched."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.since = self.loop.time()
        if self.at == ANSWER:
            self.at = IDLE
        self.flow.resume_reading()
        if self.pipeline:
            self._begun, app = self.pipeline.pop()
            self._start_asgi_task(self._begun, app)

    def _is_simple(self) -> bool:
        return (
            self.url in self._paths
            and self.parser.get_method() == b"POST"
            and self._served.service.engine is not None
            and (self.cycle is None or self.cycle.response_complete)
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
        )

    def _hand_over(self) -> None:
        """What has been read of the head, the way that uvicorn would have taken it."""
        self._mine = False
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)  # the list that the scope holds
        super().on_headers_complete()
        if not self.pipeline:
            self._begun = self.cycle

    def _answer(self) -> None:
        if self.transport.is_closing():  # pipelined behind the last answer
            return
        started = time.perf_counter()
        request_id, authorization, content_type, accept, _, encoding = pick_headers(self.headers)
        told = _Told(self._paths[self.url], request_id, accept, started)
        body, self._body = b"".join(self._body), []
        predictions, engine = self._served.predictions, self._served.service.engine

        def answer() -> tuple[bytes, bytes] | None:
            self._served.authorize(authorization)
            asked = predictions.read(told.path, body, content_type, encoding)
            rows, method = asked.request.batch, asked.request.method
            told.rows = rows.rows
            assert engine is not None  # noqa: S101 - _is_simple has looked
            output = engine.now(rows, method)
            if output is not None:
                return predictions.encode(asked, output, accept)
            self._wait(engine.submit(rows, method), asked, told)
            return None

        self._conclude(told, answer)

    def _wait(self, future: asyncio.Future[Output], asked: Asked, told: _Told) -> None:
        waiting = _Waiting()
        self.cycle = waiting
        self._future = future

        def done(future: asyncio.Future[Output]) -> None:
            self._future = None
            waiting.response_complete = True
            if future.cancelled() or waiting.disconnected:
                self._account(CLIENT_GONE, told)
                return
            encode = self._served.predictions.encode
            self._conclude(told, lambda: encode(asked, future.result(), told.accept))
            if not waiting.keep_alive:
                self.transport.close()

        future.add_done_callback(done)

    def _conclude(self, told: _Told, answer: Callable[[], tuple[bytes, bytes] | None]) -> None:
        """Send what `answer` gives (body, content type) or raises; nothing where it gives None."""
        try:
            found = answer()
        except RequestError as wrong:
            self._refuse(wrong, told)
        except Exception as error:
            self.logger.error("Exception while answering\n", exc_info=error)
            self._refuse(RequestError(500, "server", "the server failed; its log says why"), told)
        else:
            if found is not None:
                reply, kind = found
                self._send(200, kind, reply, told)

    def _refuse(self, wrong: RequestError, told: _Told) -> None:
        self._send(wrong.status, JSON, refusal(wrong, told.request_id), told, wrong.headers)

    def _send(
        self, status: int, kind: bytes, reply: bytes, told: _Told,
        extra: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        more = b"connection: close\r\n" if self._ending else b""
        if extra:
            lines = [f"{name}: {value}\r\n" for name, value in extra.items()]
            more += "".join(lines).encode("latin-1", "replace")
        head = b"%b%d\r\nx-request-id: %b\r\n%b\r\n" % (
            self._head(status, kind), len(reply), told.request_id.encode("latin-1"), more
        )  # fmt: skip
        self.transport.write(head + reply)
        self._account(status, told)
        if self._ending:
            self.transport.close()
        self.on_response_complete()

    def _head(self, status: int, kind: bytes) -> bytes:
        """The lines of a head that are the same for many answers, up to the length."""
        defaults = self.server_state.default_headers
        if Protocol._heads_of is not defaults:  # uvicorn has written the date anew
            Protocol._heads_of, Protocol._heads = defaults, {}
        found = self._heads.get((status, kind))
        if found is None:
            phrase = http.HTTPStatus(status).phrase.encode()
            lines = [b"HTTP/1.1 %d %b" % (status, phrase)]
            lines += [b"%b: %b" % header for header in defaults]
            lines += [b"content-type: " + kind, b"content-length: "]
            found = self._heads[status, kind] = b"\r\n".join(lines)
        return found

    def _account(self, status: int, told: _Told) -> None:
        self._served.service.answered(
            "POST", told.path, status, told.started, told.rows, told.request_id
        )
