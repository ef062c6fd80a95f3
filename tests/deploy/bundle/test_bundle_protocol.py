"""The short road for predictions: the same answers as the application's, in the same order."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from conftest import StartServer
from model_server.app import App
from model_server.locate import locate
from model_server.protocol import Protocol
from model_server.service import Service
from model_server.settings import Settings
from serving import Server
from uvicorn.server import ServerState

from deploy.bundle.pack import Bundle

GOOD = json.dumps({"instances": [[1.0] * 30]}).encode()
SHORT = json.dumps([[1.0] * 29]).encode()
V2 = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 30], "datatype": "FP64", "data": [1.0] * 30}]}
).encode()
ONE = json.dumps({"instances": [[1.0]]}).encode()


def request(body: bytes, path: str = "/predict", *more: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *more]
    if not any("chunked" in line for line in more):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Transport:
    """What a protocol writes, and whether it has closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@pytest.fixture(scope="module")
def service(bundles: dict[str, Bundle]) -> Service:
    made = Service(Settings(workers=1))
    made.load(find=lambda: locate({}, bundles["onnx"].path))
    return made


def connected(service: Service) -> tuple[Protocol, Transport]:
    config = uvicorn.Config(App(service), http=Protocol, log_config=None, ws="none",
                            proxy_headers=False)  # fmt: skip
    config.load()
    protocol, transport = Protocol(config, ServerState(), {}), Transport()
    protocol.connection_made(transport)  # type: ignore[arg-type]
    return protocol, transport


def on_a_loop(scenario: Callable[[], Any]) -> None:
    async def run() -> None:
        found = scenario()
        if found is not None:
            await found

    asyncio.run(run())


def test_a_whole_request_is_answered_before_the_read_returns(service: Service) -> None:
    async def scenario() -> None:
        protocol, transport = connected(service)
        for body, path, status in (
            (GOOD, "/predict", 200), (SHORT, "/invocations", 422), (V2, "/v2/models/model/infer", 200)
        ):  # fmt: skip
            protocol.data_received(request(body, path))
            (answer,) = transport.written
            assert answer.startswith(b"HTTP/1.1 %d " % status)
            assert not protocol.tasks
            transport.written.clear()
            await asyncio.sleep(0)  # two in one turn of the loop would share a call
        assert not transport.closed
        protocol.connection_lost(None)

    on_a_loop(scenario)


@pytest.mark.parametrize(
    "sent",
    [
        request(GOOD, "/predict", "Connection: close"),
        request(GOOD, "/predict", "Expect: 100-continue"),
        request(GOOD, "/predict?x=1"),
        request(b"", "/ping", method="GET"),
        request(b"", "/predict", method="GET"),
        request(GOOD)[:-5],
    ],
)
def test_what_is_not_simple_goes_to_the_application(sent: bytes, service: Service) -> None:
    async def scenario() -> None:
        protocol, transport = connected(service)
        protocol.data_received(sent)
        assert not transport.written
        assert len(protocol.tasks) == 1
        protocol.data_received(GOOD[-5:] if sent.endswith(GOOD[:-5]) else b"")
        await asyncio.gather(*protocol.tasks)
        assert b"".join(transport.written).startswith(b"HTTP/1.1 ")
        protocol.connection_lost(None)

    on_a_loop(scenario)


def test_a_fault_of_the_server_is_a_500_and_the_connection_lives(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def scenario() -> None:
        protocol, transport = connected(service)
        with monkeypatch.context() as patch:
            patch.setattr(service.decoder, "decode", lambda *_: 1 / 0)
            protocol.data_received(request(GOOD))
        assert transport.written[0].startswith(b"HTTP/1.1 500 ")
        assert "division by zero" in caplog.text
        protocol.data_received(request(GOOD))
        assert transport.written[1].startswith(b"HTTP/1.1 200 ")
        protocol.connection_lost(None)

    on_a_loop(scenario)


def talk(server: Server, *pieces: bytes, answers: int = 1) -> list[tuple[int, dict[str, str], Any]]:
    """(status, headers, body) of each answer to what is sent over one connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(0.05)  # so that it arrives by itself
            line.sendall(piece)
        found = []
        for _ in range(answers):
            answer = http.client.HTTPResponse(_Kept(line))  # type: ignore[arg-type]
            answer.begin()
            body = json.loads(answer.read())
            found.append((answer.status, {k.lower(): v for k, v in answer.getheaders()}, body))
        return found


class _Kept:
    """A socket whose file `HTTPResponse` may close without losing what it had read ahead."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def makefile(self, mode: str) -> Any:
        return self._line.makefile(mode, buffering=0)


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (GOOD, ()), (SHORT, ()), (b"", ()), (b"[1, 2", ()), (GOOD, ("X-Request-Id: mine-1",)),
        (GOOD, ("X-Request-Id: b\xffd",)), (b"[[1e999]]", ()), (GOOD, ("Accept: text/csv",)),
    ],
)  # fmt: skip
def test_both_roads_give_the_same_answer(
    body: bytes, more: tuple[str, ...], servers: dict[str, Server]
) -> None:
    """`Connection: close` takes the long one."""
    for form, server in servers.items():
        short = talk(server, request(body, "/predict", *more))[0]
        long = talk(server, request(body, "/predict", *more, "Connection: close"))[0]
        assert long[1].pop("connection") == "close"
        ids = [answer[1].pop("x-request-id") for answer in (short, long)]
        if "X-Request-Id: mine-1" in more:
            assert ids == ["mine-1", "mine-1"]
        else:
            assert ids[0] != ids[1]
        for answer in (short, long):
            answer[1].pop("date")
            answer[1].pop("content-length")  # ids are counted, and may grow by a digit
            if isinstance(answer[2], dict):
                answer[2].pop("request_id", None)
        assert short == long, form


def test_bodies_in_pieces_and_in_chunks(servers: dict[str, Server]) -> None:
    server = servers["onnx"]
    whole = request(GOOD)
    at = whole.index(b"\r\n\r\n") + 4
    wanted = talk(server, whole)[0][2]
    for pieces in ((whole[:at], whole[at:]), (whole[:40], whole[40 : at + 9], whole[at + 9 :])):
        assert talk(server, *pieces)[0][2] == wanted
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (GOOD[:7], GOOD[7:])) + b"0\r\n\r\n"
    head = request(b"", "/predict", "Transfer-Encoding: chunked")
    assert talk(server, head + chunks)[0][2] == wanted
    assert talk(server, head, chunks)[0][2] == wanted


def test_pipelined_requests_are_answered_in_order(servers: dict[str, Server]) -> None:
    for server in servers.values():
        sent = [
            request(GOOD), request(SHORT), request(b"", "/live", method="GET"), request(GOOD),
            request(V2, "/v2/models/model/infer"),
        ]  # fmt: skip
        found = talk(server, b"".join(sent), answers=len(sent))
        assert [status for status, _, _ in found] == [200, 422, 200, 200, 200]
        assert "live" in found[2][2]
        assert found[0][2] == found[3][2]


def test_a_request_behind_one_that_waits_is_answered_after_it(
    slow_bundle: Bundle, start_server: StartServer
) -> None:
    server = start_server(slow_bundle.path, WORKERS="1")
    found = talk(server, request(ONE) + request(b"", "/live", method="GET") + request(ONE),
                 answers=3)  # fmt: skip
    assert [status for status, _, _ in found] == [200, 200, 200]
    assert "live" in found[1][2]


def test_without_uvloop_and_httptools_the_answers_are_the_same(
    bundles: dict[str, Bundle], servers: dict[str, Server], start_server: StartServer, tmp_path: Path
) -> None:  # fmt: skip
    for name in ("uvloop", "httptools"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('no', name={name!r})\n")
    server = start_server(bundles["onnx"].path, PYTHONPATH=str(tmp_path))
    maps = Path(f"/proc/{server.process.pid}/maps")
    if maps.exists():
        assert not re.search("uvloop|httptools", maps.read_text())
    for body, path in ((GOOD, "/predict"), (SHORT, "/predict"), (V2, "/v2/models/model/infer")):
        here, there = (s.client.post(path, content=body) for s in (server, servers["onnx"]))
        assert here.status_code == there.status_code
        if here.status_code == 200:
            assert here.json() == there.json()
