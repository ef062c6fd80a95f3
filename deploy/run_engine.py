"""This process's part in carrying out runs: its store, its lock, and what it is busy with."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from advisor.errors import DeployError
from deploy.run_executor import Executor
from deploy.run_models import RunStatus
from deploy.run_models import Stopped as Stopped
from deploy.run_store import RunStore
from deploy.target import Event

POLL_S = 0.05


class Engine:
    """Exists from launch to shutdown; at most one a process."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.executor = Executor(store.engine)
        self.stopping = threading.Event()
        self._working: set[str] = set()
        self._guard = threading.Lock()

    def check_carries(self, run_id: str) -> None:
        """Raises Stopped when this process is to stop, or when another one took the run over: this
        one slept so long that it was thought dead, and must not go on beside the other."""
        if self.stopping.is_set():
            raise Stopped
        if self.store.executor_of(run_id) != self.executor.name:
            raise Stopped

    def append(self, run_id: str, event: Event) -> None:
        """Into the run's log, as the one who carries it. Raises Stopped when another one does."""
        self.store.append(run_id, event, executor=self.executor.name)

    def finish(self, run_id: str, state: RunStatus, **ended: Any) -> None:
        """RunStore.finish, as the one who carries the run. Raises Stopped when another one does."""
        self.store.finish(run_id, state, executor=self.executor.name, **ended)

    @contextmanager
    def working_on(self, run_id: str) -> Iterator[None]:
        with self._guard:
            self._working.add(run_id)
        try:
            yield
        finally:
            with self._guard:
                self._working.discard(run_id)

    def idle_within(self, limit_s: float) -> bool:
        """Wait until this process works on no run; False when it still does after the limit."""
        give_up_at = time.monotonic() + limit_s
        while True:
            with self._guard:
                if not self._working:
                    return True
            if time.monotonic() >= give_up_at:
                return False
            time.sleep(POLL_S)


_current: Engine | None = None


def current() -> Engine:
    """The launched engine. Raises DeployError before launch and after shutdown."""
    if _current is None:
        raise DeployError("the deployment engine is not running; call deploy.runs.launch() first")
    return _current


def is_launched() -> bool:
    return _current is not None


def set_current(engine: Engine | None) -> None:
    global _current
    _current = engine
