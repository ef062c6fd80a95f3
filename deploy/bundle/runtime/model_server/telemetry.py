"""Metrics for Prometheus and JSON log lines. Neither ever holds a payload."""

from __future__ import annotations

import sys
import time
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
FLUSH_AFTER = 0.2


class Metrics:
    """The server's own registry, with the children looked up once."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "model_requests_total", "Answered requests.", ["status"], registry=self.registry
        )
        self._children: dict[int, Any] = {}
        own = self.registry
        self.seconds = Histogram(
            "model_request_seconds",
            "From the whole request to its answer.",
            buckets=SECONDS,
            registry=own,
        )
        self.predict_seconds = Histogram(
            "model_predict_seconds", "One call of the model.", buckets=SECONDS, registry=own
        )
        self.batch_rows = Histogram(
            "model_batch_rows", "Rows in one call of the model.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 1024), registry=own,
        )  # fmt: skip
        self.waiting = Gauge("model_queue_requests", "Requests waiting for a worker.", registry=own)
        self.running = Gauge("model_workers_busy", "Workers that are predicting.", registry=own)
        self.refused = Counter("model_queue_full_total", "Requests refused with 429.", registry=own)
        self.gone = Counter(
            "model_client_gone_total", "Requests whose client left before the answer.", registry=own
        )
        self.ready = Gauge("model_ready", "1 once the model is loaded and warm.", registry=own)
        self.load_seconds = Gauge("model_load_seconds", "Time to load the model.", registry=own)

    def answered(self, status: int, seconds: float) -> None:
        child = self._children.get(status)
        if child is None:
            child = self._children[status] = self._requests.labels(str(status))
        child.inc()
        self.seconds.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class Log:
    """One JSON object a line on stdout, written in bundles so that no request waits for it."""

    def __init__(self, *, access: bool = True) -> None:
        self.access = access
        self._lines: list[bytes] = []
        self._timer: Any = None

    def event(self, event: str, level: str = "info", **more: Any) -> None:
        """Something about the server; written at once."""
        self._lines.append(self._line({"level": level, "event": event, **more}))
        self.flush()

    def request(self, loop: Any, **more: Any) -> None:
        """An answered request: method, path, status, ms, rows, request_id."""
        if not self.access:
            return
        self._lines.append(self._line({"level": "info", "event": "request", **more}))
        if self._timer is None:
            self._timer = loop.call_later(FLUSH_AFTER, self.flush)

    def flush(self) -> None:
        self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            sys.stdout.buffer.write(b"".join(lines))
            sys.stdout.buffer.flush()

    @staticmethod
    def _line(fields: dict[str, Any]) -> bytes:
        now = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        return orjson.dumps(now | fields, option=orjson.OPT_APPEND_NEWLINE, default=str)
