"""Clients that keep the server waiting are cut off, on both protocols, and nobody else is."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvicorn
from model_server.app import App
from model_server.locate import locate
from model_server.plain_protocol import PlainProtocol
from model_server.protocol import Protocol
from model_server.service import Service
from model_server.settings import Settings
from serving import Server, start, stop, wait_ready
from uvicorn.server import ServerState

from deploy.bundle.pack import Bundle

HEAD_S, BODY_S, IDLE_S = 1, 2, 3
EARLY_S = 0.2  # a client counts from when it has sent; how late is not told, machines are busy
GOOD = json.dumps({"instances": [[1.0] * 30]}).encode()
PLAIN, SHORT_ROAD = "plain Python", "httptools"


@pytest.fixture(scope="module")
def impatient(
    bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    """A server with short limits on each protocol."""
    folder = tmp_path_factory.mktemp("impatient")
    (folder / "httptools.py").write_text("raise ModuleNotFoundError('no', name='httptools')\n")
    limits = {"HEAD_TIMEOUT_S": HEAD_S, "BODY_TIMEOUT_S": BODY_S, "KEEP_ALIVE_S": IDLE_S}
    settings = {name: str(value) for name, value in limits.items()}
    running = {
        name: start(bundles["onnx"].path, folder / f"{name}.log", wait=False, **settings, **more)
        for name, more in ((SHORT_ROAD, {}), (PLAIN, {"PYTHONPATH": str(folder)}))
    }
    try:
        for server in running.values():
            wait_ready(server)
        yield running
    finally:
        for server in running.values():
            stop(server)


def head(path: str = "/predict", length: int = len(GOOD)) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def held(
    server: Server, first: bytes, drip: bytes = b"", pause_s: float = 0.1
) -> tuple[float, bytes]:
    """(seconds until the server closed, all that it said): `first` at once, `drip` for ever."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        line.sendall(first)
        line.settimeout(pause_s)
        said, began = b"", time.monotonic()
        while time.monotonic() - began < 20:
            try:
                piece = line.recv(65_536)
                if not piece:
                    return time.monotonic() - began, said
                said += piece
            except TimeoutError:
                pass
            except ConnectionError:
                return time.monotonic() - began, said
            if drip:
                try:
                    line.sendall(drip)
                except ConnectionError:
                    return time.monotonic() - began, said
    raise AssertionError(f"still open after 20 s; it said {said[:200]!r}")


def never_fetched(server: Server) -> float:
    """Seconds until a client that asks and never reads is cut off."""
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 50
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.2) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        began, left = time.monotonic(), ask
        while time.monotonic() - began < 20:
            try:
                left = left[line.send(left) :] or ask
            except TimeoutError:
                pass  # the server reads no more either
            except ConnectionError:
                return time.monotonic() - began
    raise AssertionError("still open after 20 s")


def asks_on(server: Server) -> list[int]:
    """A client that asks on one connection for longer than any limit, with short pauses."""
    found = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        until = time.monotonic() + IDLE_S + 1
        while time.monotonic() < until:
            line.sendall(head())
            time.sleep(0.2)
            line.sendall(GOOD)
            said = line.recv(65_536)
            while said and not said.endswith(b"}"):
                said += line.recv(65_536)
            found.append(int(said.split()[1]))
            time.sleep(0.2)
    return found


@pytest.mark.parametrize("protocol", [SHORT_ROAD, PLAIN])
def test_who_keeps_the_server_waiting_is_cut_off(
    protocol: str, impatient: dict[str, Server]
) -> None:
    server = impatient[protocol]
    slow_head = b"POST /predict HTTP/1.1\r\nHost: x\r\nX-A: "
    with ThreadPoolExecutor(8) as pool:
        a_head = pool.submit(held, server, slow_head, b"a")
        half_a_head = pool.submit(held, server, slow_head)
        a_body = pool.submit(held, server, head() + GOOD[:5], b" ")
        unread_body = pool.submit(held, server, head("/nowhere", 10_000), b" ")
        unused = pool.submit(held, server, b"")
        kept = pool.submit(held, server, head() + GOOD)
        stuck = pool.submit(never_fetched, server)
        lives = pool.submit(asks_on, server)
        assert set(lives.result()) == {200}
        for found in (a_head, half_a_head):
            took, said = found.result()
            assert took > HEAD_S - EARLY_S
            assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert json.loads(said.split(b"\r\n\r\n")[1])["code"] == "slow_head"
        took, said = a_body.result()
        assert took > BODY_S - EARLY_S
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b'"slow_body"' in said
        took, said = unread_body.result()
        assert took > BODY_S - EARLY_S
        assert said.startswith(b"HTTP/1.1 404 ")  # it is answered before its body has come
        for found, says in ((unused, b""), (kept, b"HTTP/1.1 200 ")):
            took, said = found.result()
            assert took > IDLE_S - EARLY_S
            assert said.startswith(says)
            assert said.count(b"HTTP/1.1") <= 1
        assert stuck.result() > BODY_S - EARLY_S
    assert "Traceback" not in server.log.read_text()
    counted = server.client.get("/metrics").text
    assert 'model_requests_total{status="408"} 3.0' in counted


@pytest.mark.parametrize(("protocol", "status"), [(SHORT_ROAD, 431), (PLAIN, 400)])
def test_a_head_without_end_is_refused(
    protocol: str, status: int, impatient: dict[str, Server]
) -> None:
    endless = b"POST /predict HTTP/1.1\r\n" + b"X-A: " + b"a" * 20_000
    _, said = held(impatient[protocol], endless, b"a" * 20_000, pause_s=0.01)
    assert said.startswith(b"HTTP/1.1 %d " % status) or not said  # unread data may reset the line
    assert impatient[protocol].client.get("/ready").status_code == 200


@pytest.mark.parametrize("kind", [Protocol, PlainProtocol])
def test_only_what_the_client_owes_counts(kind: type, bundles: dict[str, Bundle]) -> None:
    """A request that waits for its answer, and one behind it, are not cut however long it takes."""
    service = Service(Settings(workers=1))
    service.load(find=lambda: locate({}, bundles["onnx"].path))

    async def scenario() -> None:
        app = App(service)
        config = uvicorn.Config(app, http=kind, log_config=None, ws="none", proxy_headers=False)
        config.load()
        protocol, transport = kind(config, ServerState(), {}), Transport()
        protocol.connection_made(transport)
        later = asyncio.get_running_loop().time() + 10_000
        protocol.data_received(head() + GOOD[:-1])  # a task of the application waits for the rest
        await asyncio.sleep(0)
        protocol.data_received(GOOD[-1:] + head()[:20])
        protocol.look(later, app.watch)
        assert not transport.closed
        await asyncio.gather(*protocol.tasks)
        assert b"".join(transport.written).startswith(b"HTTP/1.1 200 ")
        protocol.look(asyncio.get_running_loop().time(), app.watch)  # its time begins now
        assert not transport.closed
        protocol.look(later, app.watch)
        assert b"".join(transport.written).count(b"HTTP/1.1 408 ") == 1
        assert transport.closed
        protocol.look(later, app.watch)
        assert not transport.aborted
        protocol.look(later + service.settings.body_timeout + 1, app.watch)
        assert transport.aborted  # who closes waits until the answer has been fetched
        protocol.connection_lost(None)

    asyncio.run(scenario())


class Transport:
    """What a protocol writes, and whether it has ended the connection."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = self.aborted = False
        self.write: Callable[[bytes], None] = self.written.append

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def test_the_limits_are_settings() -> None:
    found = Settings.from_env({"HEAD_TIMEOUT_S": "7", "BODY_TIMEOUT_S": "8", "KEEP_ALIVE_S": "9"})
    assert (found.head_timeout, found.body_timeout, found.keep_alive) == (7, 8, 9)
