"""A Lambda execution environment on this machine: the Runtime API, and one process that uses it.

The protocol is AWS's own (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html): the
process asks for the next invocation and posts a response or an error. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PREFIX = "/2018-06-01/runtime"
HANDLER = "model_server.lambda_handler.handler"
NOBODY_ASKS_S = 0.5  # how often a waiting request looks whether the environment has ended


class Environment:
    """One execution environment: a process that serves one event at a time.

    `began` is set when the process starts, `ready_s` when it first asks for an event: that is the
    initialisation that Lambda bills.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, log: Path, arn: str, **variables: str
    ) -> None:
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers: queue.Queue[tuple[bool, Any]] = queue.Queue()
        self._lock = threading.Lock()
        self._number = 0
        self._ended = False
        self.arn = arn
        self.ready_s: float | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.port = int(self._server.server_port)
        self.log = log
        self.began = time.monotonic()
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                list(command),
                cwd=folder,
                env=_environment(folder, self.port, arn) | variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def invoke(self, event: Mapping[str, Any], timeout_s: float) -> tuple[bool, Any]:
        """(whether it went well, what the handler gave back or the error that it raised)."""
        with self._lock:
            self._number += 1
            self._events.put({
                "id": f"r-{self._number}", "event": dict(event),
                "deadline_ms": int((time.time() + timeout_s) * 1000),
            })  # fmt: skip
            until = time.monotonic() + timeout_s
            while time.monotonic() < until:
                with contextlib.suppress(queue.Empty):
                    return self._answers.get(timeout=min(NOBODY_ASKS_S, timeout_s))
                if self.process.poll() is not None:
                    tail = self.log.read_text(errors="replace")[-500:]
                    return False, _error("Runtime.ExitError", f"the runtime ended: {tail}")
        return False, _error("Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds")

    def wait_until_ready(self, limit_s: float) -> float:
        """`ready_s`, once it is known. Raises TimeoutError with the end of the log."""
        while self.ready_s is None:
            waited_s = time.monotonic() - self.began
            if waited_s > limit_s or self.process.poll() is not None:
                raise TimeoutError(self.log.read_text(errors="replace")[-500:])
            time.sleep(0.002)
        return self.ready_s

    def stop(self) -> None:
        """End the process and the API; fine to repeat."""
        self._ended = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._server.shutdown()
        self._server.server_close()

    def next_event(self) -> dict[str, Any] | None:
        """The next event, or None when the environment is ended."""
        if self.ready_s is None:
            self.ready_s = time.monotonic() - self.began
        while not self._ended:
            with contextlib.suppress(queue.Empty):
                return self._events.get(timeout=NOBODY_ASKS_S)
        return None

    def answered(self, well: bool, answer: Any) -> None:
        self._answers.put((well, answer))


def http_event(path: str, body: str, method: str = "POST") -> dict[str, Any]:
    """An event as HTTP APIs (payload 2.0) and function URLs send it."""
    about = {"method": method, "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1"}
    return {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": "application/json"}, "body": body, "isBase64Encoded": False,
        "requestContext": {"http": about, "stage": "$default", "requestId": "1"},
    }  # fmt: skip


def _environment(folder: Path, port: int, arn: str) -> dict[str, str]:
    """What Lambda sets, and nothing of this process but the way to programs."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": arn.rpartition("function:")[2].partition(":")[0],
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_LOG_GROUP_NAME": "log",
        "AWS_LAMBDA_LOG_STREAM_NAME": "log",
        "AWS_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(folder),
        "_HANDLER": HANDLER,
    }


def _handler(environment: Environment) -> type[BaseHTTPRequestHandler]:
    class RuntimeApi(BaseHTTPRequestHandler):
        wbufsize = 1 << 16  # headers and body in one segment: none waits for an acknowledgement

        def do_GET(self) -> None:
            if self.path != f"{PREFIX}/invocation/next":
                self._send(404, b"{}")
                return
            found = environment.next_event()
            if found is None:
                return
            self._send(200, json.dumps(found["event"]).encode(), {
                "Lambda-Runtime-Aws-Request-Id": found["id"],
                "Lambda-Runtime-Deadline-Ms": str(found["deadline_ms"]),
                "Lambda-Runtime-Invoked-Function-Arn": environment.arn,
                "Content-Type": "application/json",
            })  # fmt: skip

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            said = json.loads(content or b"null")
            self._send(202, b'{"status":"OK"}')
            environment.answered(self.path.endswith("/response"), said)

        def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: Any) -> None: ...

    return RuntimeApi


def _error(kind: str, message: str) -> dict[str, str]:
    return {"errorType": kind, "errorMessage": message}
