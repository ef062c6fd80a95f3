"""How many calls of the model side by side are worth it, tried while the server starts.

Threads of a model that holds the interpreter's lock do not add up: two that hand the lock to and
fro for each of four hundred trees answer fewer requests together than one alone. Models that let
go of it (ONNX, boosters, torch) gain with each processor. Nothing in a file tells, so it is tried.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from pathlib import Path

from .loaders import Model
from .values import Batch

GAIN_NEEDED = 1.15  # two hyper-threads of one core gain about 1.3
FAIR_SHARE = 0.6  # of a whole call more for each worker; below it fewer workers are tried as well
TRIES = 3  # the least counts: other work on the machine hides waiting, and makes up none
TRY_SECONDS = 0.04
MOST_CALLS = 40
LONGEST_HELD = 0.25  # seconds for which a health check may have to wait meanwhile
SLOWEST_TRIED = 1.0  # seconds a call; above, trying would hold up the start for too long


def worth(model: Model, row: Batch, workers: int, one_row: float) -> tuple[int, float]:
    """(workers, up to `workers`, that answer the most together; what they gain over one).

    Blocks for some tenths of a second. `row`: one row that the model answers, in `one_row` seconds.
    Where the system does not tell what threads wait for, all `workers` are taken to be worth it.
    """
    if workers < 2 or one_row > SLOWEST_TRIED:
        return workers, float(workers)
    calls = min(max(math.ceil(TRY_SECONDS / max(one_row, 1e-6)), 2), MOST_CALLS)
    usual = sys.getswitchinterval()
    # Who waits for the lock asks for it at this interval, and on a busy machine would seem to wait
    # for a processor each time.
    sys.setswitchinterval(min(workers * calls * one_row, LONGEST_HELD) + usual)
    try:
        return _most(model, row, workers, calls)
    finally:
        sys.setswitchinterval(usual)


def _most(model: Model, row: Batch, workers: int, calls: int) -> tuple[int, float]:
    best, most, count = 1, 1.0, workers
    while count > 1:
        gain = math.inf
        for _ in range(TRIES):
            found = _gain(model, row, count, calls)
            if found is None:
                return workers, float(workers)
            gain = min(gain, found)
            if gain < GAIN_NEEDED:
                break
        if gain >= GAIN_NEEDED and gain > most:
            best, most = count, gain
        if gain >= FAIR_SHARE * count:
            break
        count //= 2
    return best, most


def _gain(model: Model, row: Batch, count: int, calls: int) -> float | None:
    """Calls that `count` threads answer in the time of one, the last of them counted. Other work on
    the machine does not count: it keeps threads off the processors that are ready to run."""
    alone, together = _seconds(model, row, 1, calls), _seconds(model, row, count, calls)
    if not alone or not together:
        return None
    return count * alone[0] / max(*together, 1e-9)


def _seconds(model: Model, row: Batch, threads: int, calls: int) -> list[float]:
    """What each thread takes for `calls` calls, all at once: working, waiting for others of them or
    for a device, but not ready and kept off. Empty where the system does not tell."""
    began, took = list[float](), list[float]()
    # One start for all: a thread that waits for the lock cannot tell when its own was.
    ready = threading.Barrier(threads, lambda: began.append(time.perf_counter()))

    def go() -> None:
        before = _kept_off()
        ready.wait()
        for _ in range(calls):
            model.predict(row, "default")
        wall, after = time.perf_counter() - began[0], _kept_off()
        if before is not None and after is not None:
            took.append(max(wall - (after - before), 0.0))

    each = [threading.Thread(target=go, daemon=True) for _ in range(threads)]
    for thread in each:
        thread.start()
    for thread in each:
        thread.join()
    return took if len(took) == threads else []


def _kept_off() -> float | None:
    """Seconds for which this thread was ready to run so far and did not; None if nobody tells."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
