"""uvicorn as this server runs it: which protocol, which limits, and copies that end with it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from .app import App

TAKEN_AT_ONCE = 16  # connections, before those that are open have their turn


def config(app: App) -> uvicorn.Config:
    settings = app.service.settings
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=_protocol(),
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks where a request came from
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=settings.drain,
    )


class Listener(uvicorn.Server):
    """Accepts connections. Its copies, if it has some, get them, and stop when it does."""

    def __init__(self, app: App) -> None:
        super().__init__(config(app))
        self._service = app.service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stopping = True
        for server in self.servers:
            server.close()  # before the copies are told, or they would get another connection
        copies = self._service.copies
        if copies is not None:
            copies.drain()
        await super().shutdown(sockets)
        if copies is not None:
            await copies.ended()


class Copy(uvicorn.Server):
    """Answers on the connections that come over `line`, until that ends; in a process of its own."""

    def __init__(self, app: App, line: socket.socket) -> None:
        super().__init__(config(app))
        self._service, self._line = app.service, line
        self._taken = 0
        self._opening: set[asyncio.Task[Any]] = set()
        app.on_fail = lambda _wrong: setattr(self, "should_exit", True)
        line.setblocking(False)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the parent takes them

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        self._service.try_once()
        self._line.send(b"ready")
        asyncio.get_running_loop().add_reader(self._line.fileno(), self._take)

    async def on_tick(self, counter: int) -> bool:
        self._service.metrics.left = self._taken - len(self.server_state.connections)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stopping = True
        if self._opening:
            await asyncio.wait(self._opening)
        await super().shutdown([])

    def _take(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(TAKEN_AT_ONCE):
            try:
                said, given, _, _ = socket.recv_fds(self._line, 1, 1)
            except BlockingIOError:
                return
            except ConnectionError:
                said, given = b"", []
            if not said:
                loop.remove_reader(self._line.fileno())
                self.should_exit = True
                return
            for number in given:
                self._taken += 1
                task = loop.create_task(self._open(socket.socket(fileno=number)))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    async def _open(self, client: socket.socket) -> None:
        client.setblocking(False)
        with contextlib.suppress(OSError):  # it is gone already
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, client)

    def _protocol(self) -> Any:
        made: Any = self.config.http_protocol_class
        return made(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _protocol() -> Any:
    """The short road for predictions where httptools is installed, else plain Python."""
    try:
        from .protocol import Protocol
    except ModuleNotFoundError as missing:
        if missing.name != "httptools":
            raise
        from .plain_protocol import PlainProtocol

        return PlainProtocol
    return Protocol
