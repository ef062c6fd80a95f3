"""JSON log lines on stdout. They never hold a payload, and nobody ever waits for who reads them.

A log goes where the platform reads it, mostly a pipe. When the reader is stuck that fills, and a
plain write would then hold up the loop that answers everybody: so each piece is written only where
there is room for it, and what finds none is kept a while.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import sys
import time
from typing import Any

import orjson

FLUSH_AFTER = 0.2
FLUSH_LINES = 64
MOST_KEPT = 2_000  # lines, while the reader is stuck; the oldest go first
PIECE_BYTES = 4096  # what a pipe with any room takes at once, and in one piece (PIPE_BUF)


class Log:
    """One JSON object a line on stdout, written in bundles so that no request waits for it.

    Each line is made with its request and a bundle is small: making a fifth of a second's lines at
    once held up whoever asked meanwhile for milliseconds.
    """

    def __init__(self, *, access: bool = True) -> None:
        self.access = access
        self.lost = 0  # lines that could not be written since the last that could
        self._waiting: list[bytes] = []
        self._timer: Any = None
        self._second, self._text = -1, ""

    def event(self, event: str, level: str = "info", **more: Any) -> None:
        """Something about the server; written at once."""
        self._waiting.append(_line({"at": self._now(), "level": level, "event": event, **more}))
        self._write()

    def request(
        self, loop: Any, method: str, path: str, status: int, seconds: float, rows: int | None,
        request_id: str,
    ) -> None:  # fmt: skip
        """An answered request; its line is written with those that follow, or soon."""
        self._waiting.append(_line(
            {"at": self._now(), "level": "info", "event": "request", "method": method,
             "path": path[:200], "status": status, "ms": round(seconds * 1000, 2), "rows": rows,
             "request_id": request_id}
        ))  # fmt: skip
        if len(self._waiting) >= FLUSH_LINES:
            self._write()
        if self._waiting and self._timer is None:
            self._later(loop)

    def flush(self) -> None:
        """Write what waits, as far as there is room."""
        if self._waiting:
            self._write()

    def begin_anew(self) -> None:
        """In a process that was forked: what waits is the other's to write."""
        self._waiting, self._timer, self.lost = [], None, 0

    def _later(self, loop: Any) -> None:
        def due() -> None:
            self._timer = None
            self.flush()
            if self._waiting:  # the reader is stuck
                self._later(loop)

        self._timer = loop.call_later(FLUSH_AFTER, due)

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self.lost and _has_room():
            told = {"at": self._now(), "level": "warning", "event": "log lines lost"}
            if _out(_line(told | {"count": self.lost})):
                self.lost = 0
        done = 0
        while done < len(waiting) and _has_room():
            start, size = done, 0
            while done < len(waiting) and (
                done == start or size + len(waiting[done]) <= PIECE_BYTES
            ):
                size += len(waiting[done])
                done += 1
            if not _out(b"".join(waiting[start:done])):
                self.lost += done - start
        if done < len(waiting):
            kept = waiting[max(done, len(waiting) - MOST_KEPT) :]
            self.lost += len(waiting) - done - len(kept)
            self._waiting = kept + self._waiting

    def _now(self) -> str:
        """The time as text, made once a second."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        return self._text


class Told(logging.Handler):
    """What libraries log, as lines of ours: their own would go to stderr and wait for its reader."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        more: dict[str, Any] = {"logger": record.name, "message": record.getMessage().strip()}
        if record.exc_info:
            more["trace"] = logging.Formatter().formatException(record.exc_info)[-3000:]
        self._log.event("logged", record.levelname.lower(), **more)


def _has_room() -> bool:
    """Whether a piece can be written without waiting for a reader."""
    if sys.stdout is None or not hasattr(select, "poll"):
        return True
    try:
        number = sys.stdout.fileno()
        if stat.S_ISREG(os.fstat(number).st_mode):
            return True
    except (OSError, ValueError):  # it is closed, or no file: writing tells
        return True
    ready = select.poll()
    ready.register(number, select.POLLOUT)
    return bool(ready.poll(0))


def _out(text: bytes) -> bool:
    """Whether all of it was written. Nothing is kept in a buffer, whose flush at the end would
    fail again."""
    if sys.stdout is None:  # the server was started without one
        return False
    stream = sys.stdout.buffer
    raw, rest = getattr(stream, "raw", stream), memoryview(text)
    try:
        while rest:
            written = raw.write(rest)
            if written is None:  # a pipe that does not wait and is full
                return False
            rest = rest[written:]
        stream.flush()
    except (OSError, ValueError):  # ValueError: it was closed
        return False
    return True


def _line(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE, default=str)
