"""Starts and stops the model server as a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

START_S = 60


@dataclass
class Server:
    """A running model server. `client` talks to it."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    log: Path
    port: int

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(bundle: Path, log: Path, *, wait: bool = True, port_name: str = "PORT",
          **env: str) -> Server:  # fmt: skip
    """`python -m model_server serve` in the bundle's folder, ready unless `wait` is false."""
    port = free_port()
    settings = {"PATH": os.environ["PATH"], "HOST": "127.0.0.1", port_name: str(port), **env}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "model_server", "serve"],
            cwd=bundle, env=settings, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
    server = Server(process, client, log, port)
    if wait:
        wait_ready(server)
    return server


def wait_ready(server: Server) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert server.process.poll() is None, server.log.read_text()
        try:
            if server.client.get("/ready").status_code == 200 and _has_said_so(server.log):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not ready after {START_S} s: {server.log.read_text()}")


def _has_said_so(log: Path) -> bool:
    """The line is written right after the first 200, by another thread."""
    return not log.is_file() or b'"event":"ready"' in log.read_bytes()


def stop(server: Server) -> int:
    server.client.close()
    if server.process.poll() is None:
        server.process.terminate()
    try:
        return server.process.wait(30)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise
