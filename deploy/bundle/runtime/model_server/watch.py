"""Ends connections whose clients keep the server waiting.

A head or a body that comes byte by byte, an answer that is never fetched, a connection that is kept
and never used: each holds memory and a file descriptor for as long as its client likes. One look a
second at all connections costs a request nothing; a timer of its own would be set and cancelled
with every request.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import RequestError
from .http_parts import own_id
from .predictions import refusal

if TYPE_CHECKING:
    from .service import Service

LOOK_S = 1.0
MOST_HEAD_BYTES = 65_536
IDLE, HEAD, BODY, ANSWER = 0, 1, 2, 3  # what a connection is at

PHRASES = {408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


@dataclass
class Watch:
    """Looks at the connections of one server while there are any."""

    service: Service
    planned: bool = False

    def begin(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        """Called with each new connection."""
        if not self.planned:
            self.planned = True
            settings = self.service.settings
            least = min(settings.head_timeout, settings.body_timeout, settings.keep_alive)
            loop.call_later(min(LOOK_S, least / 4), self._look, loop, connections)

    def _look(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        self.planned = False
        now = loop.time()
        for connection in list(connections):
            connection.look(now, self)
        if connections:
            self.begin(loop, connections)


class Watched:
    """Mixed into a protocol of uvicorn's that says what it is `at`, and `since` when."""

    loop: Any
    transport: Any
    flow: Any
    cycle: Any
    connections: Any
    config: Any
    server_state: Any
    at: int = IDLE
    since: float = 0.0
    stuck_since: float | None = None  # the client fetches no more of what it was sent

    def connection_made(self, transport: Any) -> None:
        copies = self.config.app.service.copies
        if copies is not None and copies.take(transport):
            self.transport = transport
            transport.abort()  # only this process' hold on it
            return
        super().connection_made(transport)  # type: ignore[misc]
        self.since = self.loop.time()
        self.config.app.watch.begin(self.loop, self.connections)

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self.stuck_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        self.stuck_since = None

    def look(self, now: float, watch: Watch) -> None:
        """End this connection where its client has kept it waiting for too long."""
        waited, settings = now - self.since, watch.service.settings
        if self.stuck_since is None and self.transport.is_closing():
            self.stuck_since = now
        if self.stuck_since is not None:
            if now - self.stuck_since > settings.body_timeout:
                self._reset()
        elif self._answers() or self.flow.read_paused:
            pass  # it is the client who waits
        elif self.at == HEAD and waited > settings.head_timeout:
            self.refuse(408, "slow_head", f"the head of the request did not arrive within "
                        f"{settings.head_timeout:.0f} s", watch.service)  # fmt: skip
        elif (self.at == BODY and waited > settings.body_timeout) or (
            self.at == IDLE and waited > settings.keep_alive
        ):
            self.transport.close()

    def refuse(self, status: int, code: str, message: str, service: Service) -> None:
        """Answer before there is a whole request, and close."""
        request_id = own_id()
        reply = refusal(RequestError(status, code, message), request_id)
        head = b"HTTP/1.1 %d %b\r\n" % (status, PHRASES[status])
        for name, value in self.server_state.default_headers:
            head += b"%b: %b\r\n" % (name, value)
        head += (
            b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
            b"connection: close\r\n\r\n" % (len(reply), request_id.encode())
        )
        self.transport.write(head + reply)
        self.transport.close()
        waited = self.loop.time() - self.since
        service.answered("-", "-", status, time.perf_counter() - waited, None, request_id)

    def _reset(self) -> None:
        """End it without waiting until the client has fetched its answer, nor the system either."""
        line = self.transport.get_extra_info("socket")
        if line is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _answers(self) -> bool:
        """Something is still to be answered: a request before the one that is being read, or one
        whose body the application waits for, and refuses by itself."""
        return self.cycle is not None and not self.cycle.response_complete
