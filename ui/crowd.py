"""When many ask at once: verdicts in a process of their own. Knows no Streamlit.

All sessions share one interpreter. With few of them a verdict is soonest computed right there; where
verdicts take a good part of its time, a second process computes them and leaves it to the pages.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as TooLate

from advisor.rules import Policy
from ui import jobs
from ui.turns import TURNS
from ui.workers import BusyError, WorkerDiedError, Workers

SPAN_S, SHARE = 10.0, 0.1  # so much of the last seconds makes it worth a process
PATIENCE_S = 2.0  # a verdict takes a fiftieth of it


class Crowd:
    """Starts its process when verdicts take a share of the time; the pool ends it when it is quiet."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self._lock = threading.Lock()
        self._spent: deque[tuple[float, float]] = deque()  # (when, seconds)
        self._ready: list[int] = []  # the process that has loaded all it needs
        self._starting = False

    def took(self, seconds: float, need: str, policies: tuple[Policy, ...], edition: str) -> None:
        """A verdict was computed here in so many seconds. Too many of them start the process."""
        now = time.monotonic()
        with self._lock:
            self._spent.append((now, seconds))
            while self._spent[0][0] < now - SPAN_S:
                self._spent.popleft()
            if self._starting or sum(s for _, s in self._spent) < SHARE * SPAN_S:
                return
            self._starting = True
            self._spent.clear()
        try:
            warm = self.workers.submit(jobs.packed, need, policies, edition)
        except BusyError:
            self._starting = False
            return
        warm.future.add_done_callback(lambda _: self._started())

    def verdict(self, need: str, policies: tuple[Policy, ...], edition: str) -> bytes | None:
        """The packed verdict; None where no process stands ready or it failed: compute it here.

        Raises what the verdict raises.
        """
        if not self._ready or self._ready != self.workers.processes():
            return None  # not asked for, or ended after a quiet time
        try:
            job = self.workers.submit(jobs.packed, need, policies, edition)
        except BusyError:
            return None
        try:
            with TURNS.aside():
                found: bytes = job.future.result(PATIENCE_S)
        except (TooLate, CancelledError, WorkerDiedError):
            self._ready = []
            job.stop()
            return None
        return found

    def shutdown(self) -> None:
        """End the process now."""
        self._ready = []
        self.workers.shutdown()

    def _started(self) -> None:
        self._ready = self.workers.processes()
        self._starting = False
