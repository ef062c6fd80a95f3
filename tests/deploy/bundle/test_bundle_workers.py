"""How many predictions at once are worth it is tried: models that wait for each other get fewer."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Any

import pytest
from conftest import StartServer
from model_server import side_by_side
from model_server.side_by_side import worth
from model_server.values import Batch

from deploy.bundle.pack import Bundle

ROW = Batch("array", None, 1)
CALL_S = 0.004


class Waits:
    """Each call waits CALL_S, for a device of its own or for one of `devices` that all share."""

    def __init__(self, devices: int | None) -> None:
        self.calls = 0
        self._shared = threading.Semaphore(devices) if devices else contextlib.nullcontext()

    def predict(self, batch: Batch, method: str) -> Any:
        self.calls += 1
        with self._shared:
            time.sleep(CALL_S)


@pytest.mark.skipif(side_by_side._kept_off() is None, reason="nobody tells what threads wait for")
@pytest.mark.parametrize(
    ("devices", "workers", "found"), [(None, 2, 2), (None, 8, 8), (1, 2, 1), (1, 8, 1), (2, 8, 2)]
)
def test_workers_that_wait_for_each_other_are_not_taken(
    devices: int | None, workers: int, found: int
) -> None:
    """Two devices serve two workers; eight before them gain no more."""
    best, gain = worth(Waits(devices), ROW, workers, CALL_S)  # type: ignore[arg-type]
    assert best >= found if devices == 2 else best == found
    assert gain == pytest.approx(min(devices or workers, workers), rel=0.4)


class Holds:
    """Works for some milliseconds and never lets go of Python's lock."""

    def predict(self, batch: Batch, method: str) -> Any:
        return sum(range(200_000))


@pytest.mark.skipif(side_by_side._kept_off() is None, reason="nobody tells what threads wait for")
def test_threads_that_hold_the_lock_gain_nothing_however_busy_the_machine_is() -> None:
    started = time.perf_counter()
    Holds().predict(ROW, "")
    took = time.perf_counter() - started
    interval = sys.getswitchinterval()
    assert worth(Holds(), ROW, 4, took)[0] == 1  # type: ignore[arg-type]
    assert sys.getswitchinterval() == interval


@pytest.mark.parametrize(("workers", "one_row"), [(1, CALL_S), (4, 5.0)])
def test_one_worker_and_long_calls_are_not_tried(workers: int, one_row: float) -> None:
    model = Waits(1)
    assert worth(model, ROW, workers, one_row) == (workers, workers)  # type: ignore[arg-type]
    assert not model.calls


def test_where_nobody_tells_all_workers_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_kept_off", lambda: None)
    assert worth(Waits(1), ROW, 4, CALL_S) == (4, 4.0)  # type: ignore[arg-type]


def test_the_server_says_how_many_it_took(slow_bundle: Bundle, start_server: StartServer) -> None:
    """Matrix products let go of the lock."""
    server = start_server(slow_bundle.path, WORKERS="2")
    ready = next(e for e in server.events() if e["event"] == "ready")
    assert (ready["workers"], ready["workers_allowed"]) == (2, 2)
