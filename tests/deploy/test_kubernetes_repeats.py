"""Calls of a cluster's API server that are cut off or put off are repeated, within bounds."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from urllib3.util import Retry

from deploy.kubernetes.cluster import Cluster, ClusterError

CUT = 0
MANIFEST = {"kind": "Namespace", "metadata": {"name": "mda-fraud"}}


class Server(HTTPServer):
    """Answers with these statuses in turn, the last one for ever; 0 ends the connection."""

    script: tuple[int, ...] = (200,)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str] = []

    def next_status(self) -> int:
        return self.script[min(len(self.seen), len(self.script)) - 1]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.seen.append(f"{self.command} {self.path.partition('?')[0]}")
        status = self.server.next_status()
        if status == CUT:
            self.close_connection = True
            return
        body = json.dumps({"message": f"told {status}", "major": "1", "minor": "34"}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PATCH = do_DELETE = do_POST = answer

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(Retry, "get_backoff_time", lambda _: 0.0)
    found = Server()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.shutdown()
    thread.join(5)
    found.server_close()


@pytest.fixture
def cluster(server: Server) -> Cluster:
    return Cluster("blue", f"http://127.0.0.1:{server.server_port}", "", lambda: "token")


@pytest.mark.parametrize("script", [(429, 200), (429, 429, 429, 429, 200), (CUT, 200)])
def test_every_method_is_repeated(
    server: Server, cluster: Cluster, script: tuple[int, ...]
) -> None:
    server.script = script
    assert cluster.version() == "1.34"
    server.seen.clear()
    cluster.apply(MANIFEST)
    assert server.seen == ["PATCH /api/v1/namespaces/mda-fraud"] * len(script)
    server.seen.clear()
    assert cluster.delete("Namespace", "mda-fraud")
    server.seen.clear()
    assert (
        cluster.ask("model", "mda-fraud", "/invocations", b"{}", "application/json").status == 200
    )
    assert len(server.seen) == len(script)


def test_it_gives_up_and_says_so_in_one_sentence(server: Server, cluster: Cluster) -> None:
    server.script = (429,)
    with pytest.raises(ClusterError, match="would not ask for the version: told 429") as told:
        cluster.version()
    assert (told.value.status, len(server.seen)) == (429, 5)
    server.script, server.seen = (CUT,), []
    with pytest.raises(ClusterError, match=r"was not reached to apply .*\(ProtocolError\)"):
        cluster.apply(MANIFEST)
    assert len(server.seen) == 2
    server.script, server.seen = (403,), []
    with pytest.raises(ClusterError, match="told 403"):
        cluster.version()
    assert len(server.seen) == 1
