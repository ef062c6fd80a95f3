"""The request log: one JSON object a line, in small bundles, none lost."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from model_server.log import FLUSH_LINES, MOST_KEPT, Log, Told
from serving import Server, free_port, stop, wait_ready

from deploy.bundle.pack import Bundle


class Loop:
    """Keeps what it is asked to do later."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def call_later(self, _seconds: float, do: Callable[[], None]) -> object:
        self.later.append(do)
        return do


def ask(log: Log, loop: Loop, count: int, path: str = "/predict") -> None:
    for number in range(count):
        log.request(loop, "POST", path, 200, 0.0012345, 1, f"id-{number}")


def test_lines_come_in_small_bundles_and_none_is_lost(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """A bundle as long as its timer would hold up for milliseconds whoever asks meanwhile."""
    log, loop = Log(), Loop()
    ask(log, loop, 2 * FLUSH_LINES + 3)
    early = capfdbinary.readouterr().out.splitlines()
    assert len(early) == 2 * FLUSH_LINES
    for do in loop.later:
        do()
    late = capfdbinary.readouterr().out.splitlines()
    ids = [json.loads(line)["request_id"] for line in early + late]
    assert ids == [f"id-{number}" for number in range(2 * FLUSH_LINES + 3)]


def test_a_lone_line_waits_for_one_timer(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log, loop = Log(), Loop()
    ask(log, loop, 3, "/" + "x" * 500)
    assert not capfdbinary.readouterr().out
    assert len(loop.later) == 1
    loop.later[0]()
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["ms"] for line in lines] == [1.23] * 3
    assert len(lines[0]["path"]) == 200
    loop.later[0]()  # nothing waits
    ask(log, loop, 1)
    assert len(loop.later) == 2


def test_events_are_written_at_once_after_what_waits(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    log = Log()
    ask(log, Loop(), 1)
    log.event("stopped", because={"not": object})
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["request", "stopped"]
    assert lines[1]["at"] >= lines[0]["at"]


def test_a_full_disk_loses_lines_and_says_so_once_there_is_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log, loop = Log(), Loop()
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        log.event("ready")
        ask(log, loop, FLUSH_LINES)
        assert log.lost == 1 + FLUSH_LINES
    log.event("closed")
    monkeypatch.setattr("sys.stdout", None)
    log.event("none")
    with (tmp_path / "log").open("w") as room:
        monkeypatch.setattr("sys.stdout", room)
        log.event("again")
        log.event("and again")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["log lines lost", "again", "and again"]
    assert lines[0]["count"] == 1 + FLUSH_LINES + 2


def test_nobody_waits_for_a_reader_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    log, loop = Log(), Loop()
    with os.fdopen(reader, "rb", 0) as read, os.fdopen(writer, "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        room = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        asked = 2 * MOST_KEPT
        ask(log, loop, asked)  # a plain write would never come back
        log.event("stuck")
        assert len(loop.later) == 1
        os.set_blocking(reader, False)
        said = read.read(room)
        while log._waiting:
            log.flush()
            said += read.read(room)
        log.event("again")
        said += read.read(room)
    lines = [json.loads(line) for line in said.splitlines()]
    lost = [line["count"] for line in lines if line["event"] == "log lines lost"]
    ids = [int(line["request_id"][3:]) for line in lines if line["event"] == "request"]
    assert sum(lost) == asked - len(ids) > 0
    assert ids == sorted(ids)  # each once, in order, the newest among them
    assert ids[-1] == asked - 1
    assert [line["event"] for line in lines][-2:] == ["stuck", "again"]


def test_what_waits_for_a_stuck_reader_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    log, loop = Log(), Loop()
    with os.fdopen(reader, "rb", 0) as read, os.fdopen(writer, "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        ask(log, loop, 2 * FLUSH_LINES)
        loop.later[0]()
        assert len(loop.later) == 2
        said = b""
        while log._waiting:
            said += read.read(4096)
            loop.later[-1]()
        seen = len(loop.later)
        loop.later[-1]()
        said += read.read(4096)
    assert said.count(b"\n") == 2 * FLUSH_LINES
    assert len(loop.later) == seen  # and no more once all is written


def test_what_libraries_log_does_not_wait_either(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logger = logging.getLogger("some library")
    handler = Told(Log())
    logger.addHandler(handler)
    try:
        logger.info("nothing")
        try:
            raise ValueError("x" * 9000)
        except ValueError:
            logger.exception("it failed")
    finally:
        logger.removeHandler(handler)
    (line,) = capfdbinary.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"], said["message"]) == (
        "error",
        "some library",
        "it failed",
    )
    assert len(line) < 4096


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_answers_and_ends_while_its_reader_is_stuck(
    workers: str, bundles: dict[str, Bundle]
) -> None:
    port = free_port()
    settings = {
        "PATH": os.environ["PATH"], "HOST": "127.0.0.1", "PORT": str(port), "WORKERS": workers,
    }  # fmt: skip
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [sys.executable, "-m", "model_server", "serve"],
        cwd=bundles["onnx"].path, env=settings, stdout=writer, stderr=writer,
    )  # fmt: skip
    os.close(writer)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
    server = Server(process, client, Path("/dev/null"), port)
    try:
        wait_ready(server)
        for _ in range(150):  # some 30 KB of lines
            assert client.post("/predict", json=[[0.0] * 30]).status_code == 200
        with socket.create_connection(("127.0.0.1", port), 10) as rude:
            rude.sendall(b"no HTTP at all\r\n\r\n")
            assert rude.recv(4096).startswith(b"HTTP/1.1 400")
        assert client.get("/ready").status_code == 200
    finally:
        ended = stop(server)
        os.close(reader)
    assert ended == 0


def test_a_server_serves_and_ends_without_room_for_its_log(bundles: dict[str, Bundle]) -> None:
    port = free_port()
    settings = {"PATH": os.environ["PATH"], "HOST": "127.0.0.1", "PORT": str(port)}
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "model_server", "serve"],
            cwd=bundles["onnx"].path, env=settings, stdout=full, stderr=full,
        )  # fmt: skip
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
    server = Server(process, client, Path("/dev/null"), port)
    try:
        wait_ready(server)
        for _ in range(3):
            assert client.post("/predict", json=[[0.0] * 30]).status_code == 200
    finally:
        ended = stop(server)
    assert ended == 0
