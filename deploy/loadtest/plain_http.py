"""Requests over plain HTTP at a third of a client library's processor time.

A load test of this machine shares its processors with the server: what the sender takes for a
request is missing there, and would be measured as the server's. httptools reads the answers; a
request is written in one piece over a connection that nobody else uses meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import cast
from urllib.parse import quote, urlsplit

import httptools

SAFE = "/%?:@!$&'()*+,;=~"  # what an address may hold as it is
OPENS_WITHIN_S = 1.0
SIZES = (b"content-length", b"transfer-encoding")


class NoAnswerError(Exception):
    """The connection failed or ended before the whole answer, or what came is no HTTP."""


class PlainHttp:
    """Connections to one http:// address, at least as many as there are requests under way; closed
    by `close`. All methods belong to one event loop.

    A request goes over any idle connection, as if each were another caller's. The one used last
    would do as well, but then a few carry nearly all requests, and a server that gives each of its
    copies as many connections as the others has most of the work in one of them.
    """

    def __init__(self, url: str, ping: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        path = quote(parts.path or "/", SAFE) + (
            f"?{quote(parts.query, SAFE)}" if parts.query else ""
        )
        self._post = f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\n".encode("latin-1")
        self._ping = f"GET {ping} HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode("latin-1")
        self._timeout_s = timeout_s
        self._idle: list[_Line] = []
        self._open: set[_Line] = set()

    async def open(self, count: int) -> None:
        """Have `count` connections, or as many as the endpoint answers on in a second while it
        keeps the others: each asks a ping first, for a server may wait on one until it hears
        something."""
        line = None
        try:
            async with asyncio.timeout(OPENS_WITHIN_S):
                for _ in range(count - len(self._open)):
                    line = await self._new()
                    await line.ask(self._ping)
                    self._lay_down(line)
        except (NoAnswerError, TimeoutError):
            if line is not None and line not in self._idle:
                line.hang_up()

    async def post(self, body: bytes, content_type: str) -> tuple[int, bytes]:
        """(status, body of the answer). Raises NoAnswerError; TimeoutError after the limit."""
        head = b"content-type: %b\r\ncontent-length: %d\r\n\r\n" % (
            content_type.encode("latin-1"),
            len(body),
        )
        return await self._ask(self._post + head + body)

    async def ping(self) -> int:
        """The status of a request that the model has no part in. Raises as `post` does."""
        return (await self._ask(self._ping))[0]

    def close(self) -> None:
        for line in list(self._open):
            line.hang_up()

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        async with asyncio.timeout(self._timeout_s):
            line = self._any_idle() or await self._new()
            try:
                found = await line.ask(request)
            except BaseException:  # given up as well: the answer would come to the next request
                line.hang_up()
                raise
        self._lay_down(line)
        return found

    def _lay_down(self, line: _Line) -> None:
        if line.usable:
            self._idle.append(line)
        else:
            line.hang_up()

    def _any_idle(self) -> _Line | None:
        if not self._idle:
            return None
        at = int(random.random() * len(self._idle))  # noqa: S311 - no secret
        self._idle[at], self._idle[-1] = self._idle[-1], self._idle[at]
        return self._idle.pop()

    async def _new(self) -> _Line:
        loop = asyncio.get_running_loop()
        try:
            _, line = await loop.create_connection(
                lambda: _Line(self._gone), self._host, self._port
            )
        except OSError as error:
            raise NoAnswerError(str(error)) from error
        self._open.add(line)
        return line

    def _gone(self, line: _Line) -> None:
        self._open.discard(line)
        if line in self._idle:
            self._idle.remove(line)


class _Line(asyncio.Protocol):
    """One connection, one request at a time."""

    _transport: asyncio.Transport

    def __init__(self, gone: Callable[[_Line], None]) -> None:
        self._gone = gone
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._sized = False
        self._ends_with_line = False  # the answer, because nothing says how long it is
        self.usable = True  # for another request

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def hang_up(self) -> None:
        self.usable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(NoAnswerError(f"what came is no HTTP: {error}"))
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ends_with_line and exc is None:
            self.on_message_complete()
        self.usable = False
        self._fail(NoAnswerError(str(exc or "the connection was closed")))
        self._gone(self)

    def on_message_begin(self) -> None:
        self._ends_with_line = False
        self._sized = False

    def on_header(self, name: bytes, _value: bytes) -> None:
        if name.lower() in SIZES:
            self._sized = True

    def on_headers_complete(self) -> None:
        self._ends_with_line = not self._sized

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._ends_with_line = False
        status = self._parser.get_status_code()
        if status < 200:  # a hundred announces the answer
            return
        self.usable = self._parser.should_keep_alive()
        body, self._body = b"".join(self._body), []
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result((status, body))

    def _fail(self, why: NoAnswerError) -> None:
        self.usable = False
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(why)
