"""A loopback server that answers as the vendors' price lists do, and misbehaves on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Answer:
    """One answer; `cut_at` closes the connection after that many bytes of the body."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None


@dataclass
class Asked:
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


Route = Callable[[Asked], Answer]


@dataclass
class Vendor:
    """`files` are served with ETag and Range; `routes` compute an answer; `faults` come first."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    faults: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def paths(self, part: str) -> list[Asked]:
        return [a for a in self.asked if part in a.path]

    def put_json(self, path: str, data: Any) -> None:
        self.files[path] = json.dumps(data).encode()

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        waiting = self.faults.get(asked.path)
        if waiting:
            return waiting.pop(0)
        if asked.path in self.routes:
            return self.routes[asked.path](asked)
        if asked.path not in self.files:
            return Answer(b"no such list", 404)
        return self._file(asked)

    def _file(self, asked: Asked) -> Answer:
        body = self.files[asked.path]
        etag = self.etags.get(asked.path, f'"{hash(body) & 0xFFFFFFFF:x}"')
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        wanted = asked.headers.get("range", "")
        if wanted and asked.headers.get("if-range") == etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return Answer(b"", 416, headers)
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return Answer(body[start:], 206, headers)
        return Answer(body, 200, headers)


@contextmanager
def serving(vendor: Vendor) -> Iterator[Vendor]:
    """The vendor on a free loopback port; `vendor.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20
        wbufsize = -1  # headers and body together: two small writes would wait for each other

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
            headers = {k.lower(): v for k, v in self.headers.items()}
            answer = vendor.answer(Asked(parts.path, query, headers, self.rfile.read(length)))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if answer.cut_at is None:
                self.wfile.write(answer.body)
            else:
                self.wfile.write(answer.body[: answer.cut_at])
                self.close_connection = True
            self.wfile.flush()

        def log_message(self, *_parts: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    vendor.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield vendor
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
