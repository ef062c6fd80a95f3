"""The generator's process: started, asked, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from advisor.errors import DeployError
from deploy.loadtest.bodies import Bodies
from deploy.loadtest.roads import Road
from deploy.loadtest.settings import settings

POLL_S = 0.2
STOP_S = 5.0
MOST_ERROR = 400


class Sender:
    """A context manager around `python -m deploy.loadtest.generator`.

    `processors`: the ones it may run on, where that helps; None leaves it to the system.
    `started` is told the process id.
    """

    def __init__(
        self,
        road: Road,
        bodies: Bodies,
        *,
        processors: Sequence[int] | None = None,
        started: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        self._started = started
        bounds = settings().bounds
        self._first = {
            "road": road.model_dump(mode="json"),
            "bodies": bodies,
            "timeout_s": bounds.timeout_s,
            "most_in_flight": bounds.most_in_flight,
            "processors": list(processors) if processors else None,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._read = bytearray()

    def __enter__(self) -> Sender:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.loadtest.generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Deployments are found by this environment; and Ctrl-C is taken by this process alone.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            start_new_session=True,
        )
        self._started(self._process.pid)
        self._say(self._first)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def ask(
        self, job: dict[str, Any], *, limit_s: float, cancelled: Callable[[], bool]
    ) -> dict[str, Any]:
        """One job's answer. When `cancelled` says so, what there is until then.

        Raises DeployError when the generator dies or is silent for `limit_s`.
        """
        self._say(job)
        give_up_at = time.monotonic() + limit_s
        told = False
        while (line := self._line()) is None:
            process = self._running()
            if not told and cancelled():
                told = True
                process.send_signal(signal.SIGTERM)
                give_up_at = time.monotonic() + settings().bounds.timeout_s + STOP_S
            if time.monotonic() > give_up_at:
                process.kill()
                raise DeployError(
                    f"the load generator did not answer within {limit_s:.0f} s; try a lower rate"
                )
        found: dict[str, Any] = json.loads(line)
        return found

    def _say(self, job: dict[str, Any]) -> None:
        process = self._running()
        if process.stdin is None:
            raise DeployError("the load generator cannot be spoken to")
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise DeployError(f"the load generator ended{self._words()}") from None

    def _line(self) -> bytes | None:
        """The next whole line, or None after a moment without one."""
        process = self._running()
        end = self._read.find(b"\n")
        if end < 0 and process.stdout is not None:
            with selectors.DefaultSelector() as ready:
                ready.register(process.stdout, selectors.EVENT_READ)
                if ready.select(POLL_S):
                    part = os.read(process.stdout.fileno(), 1 << 20)
                    if not part:
                        raise DeployError(f"the load generator ended{self._words()}")
                    self._read += part
            end = self._read.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return line

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise DeployError("the load generator was not started")
        return self._process

    def _words(self) -> str:
        """The last line that it said, as the end of a sentence."""
        process = self._running()
        try:
            _, said = process.communicate(timeout=STOP_S)
        except (subprocess.TimeoutExpired, ValueError):
            return ""
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1][:MOST_ERROR]}" if lines else ""
