"""What the server around a model takes for a request, in processor time."""

from __future__ import annotations

import http.client
import time
from pathlib import Path

import psutil

from advisor.errors import DeployError
from deploy.loadtest.calibrate import processor_ms

HTTP_SECONDS = 0.8
LEAST_ASKED, MOST_SECONDS = 40, 8.0
UNDER_WAY = 2  # so that the loop does not sleep between requests, as under load
PATH, HEAD = "/invocations", {"content-type": "application/json"}


def http_ms_of(port: int, pid: int) -> float | None:
    """What the server takes to read a request that asks for nothing, to say so, and to log it."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    asked = 0
    try:
        before, until = processor_ms(pid), time.monotonic() + HTTP_SECONDS
        while time.monotonic() < until:
            line.request("POST", PATH, b"", HEAD)
            line.getresponse().read()
            asked += 1
        after = processor_ms(pid)
    except (OSError, http.client.HTTPException) as failed:
        raise DeployError(f"the server does not answer an empty request: {failed}") from failed
    finally:
        line.close()
    return None if before is None or after is None or not asked else (after - before) / asked


def loop_ms_of(body: bytes | None, port: int, pid: int) -> float | None:
    """What the server's first thread, its loop, takes for a request that a worker answers: to read
    it, to hand it over, to take the answer back, to write and to log it. That is no part of the
    model's time, and where there is a worker for each processor it is taken from theirs.

    `body`: a request that the model answers. None where nobody knows one, or it is refused.
    """
    if body is None:
        return None
    lines = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(UNDER_WAY)]
    asked = 0
    try:
        for line in lines:
            line.request("POST", PATH, body, HEAD)
        before, began = thread_ms(pid), time.monotonic()
        while (took := time.monotonic() - began) < MOST_SECONDS and (
            took < HTTP_SECONDS or asked < LEAST_ASKED
        ):
            line = lines[asked % UNDER_WAY]
            answer = line.getresponse()
            answer.read()
            if answer.status != 200:
                return None
            line.request("POST", PATH, body, HEAD)
            asked += 1
        after = thread_ms(pid)
    except (OSError, http.client.HTTPException) as failed:
        raise DeployError(f"the server does not answer a neutral row: {failed}") from failed
    finally:
        for line in lines:
            line.close()
    return None if before is None or after is None or not asked else (after - before) / asked


def thread_ms(pid: int) -> float | None:
    """Processor time of a process's first thread so far; None for one that is gone, or where the
    system does not tell threads apart. Linux tells nanoseconds, of which others count hundredths of
    a second."""
    try:
        said = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text(encoding="ascii").split()
        return int(said[0]) / 1e6
    except (OSError, ValueError, IndexError):
        pass  # not Linux, or a kernel without these figures
    try:
        first = [t for t in psutil.Process(pid).threads() if t.id == pid]
    except psutil.Error:
        return None
    return (first[0].user_time + first[0].system_time) * 1000 if first else None
