"""An endpoint with nobody waiting: how long a request holds a worker, and how many there are.

Three looks: a request without the model (the way there and back), one prediction after the other
with pauses (alone), and so many at once that no worker pauses (busy). What a request takes beyond
the way is the time that it holds a worker; while all are busy it is the workers over the rate. Two
opposite things are in that: a worker without a pause has warm caches, and workers, the loop that
reads HTTP and a sender on the same machine share processors. The workers' own processor time, which
only the first changes, tells them apart. A server that answers on its event loop is one worker,
whose time is its process's processor time, and so is each of its copies; what these take longer than
that while all are busy, a sender on the same processors displaces.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from advisor.errors import DeployError, InputError
from deploy.loadtest.found import Calibration
from deploy.loadtest.queue import Station
from deploy.loadtest.sender import Sender
from deploy.loadtest.settings import settings

RATIO_BOUNDS = (0.25, 8.0)  # outside of it something else was measured
LEAST_SERVICE_SHARE = 0.02  # of a response, when the way seems to take all of it
WARM_ROWS = 32  # rows of the batch whose gain the server tells when it is ready
LANES_A_QUEUE = 4  # at random: one of two queues is then empty once in a hundred times
READY = b'"event":"ready"'


@dataclass(frozen=True)
class Server:
    """What is known of the process behind an endpoint of this machine."""

    pid: int | None = None
    workers: int | None = None
    inline: bool = False  # answers on the event loop: one worker whatever it is told, but
    copies: int = 0  # with copies of itself, each of which is one
    one_row_ms: float | None = None
    batch_gain: float | None = None  # None where it does not batch


def server_of(pid: int, log: Path) -> Server:
    """What the server said of itself when it was ready last; just the process if it said nothing."""
    said = _ready(log)
    if said is None:
        return Server(pid=pid)
    return Server(
        pid=pid,
        workers=said.get("workers"),
        inline=bool(said.get("inline")),
        copies=int(said.get("copies") or 0),
        one_row_ms=said.get("one_row_ms"),
        batch_gain=said.get("batch_gain") if said.get("batching") else None,
    )


def calibrate(
    sender: Sender,
    server: Server,
    *,
    workers: int | None,
    cancelled: Callable[[], bool],
    seconds: float | None = None,
    rate_per_s: float | None = None,
) -> tuple[Calibration, Station]:
    """Look at the endpoint one request at a time, then with its workers busy.

    `workers`: as said by the person, over what the server says, over one. `rate_per_s`: what it is
    calibrated for, if that is known: a server that independent callers find idle has been so for
    1 / rate on average, and a longer pause leaves colder caches. Raises InputError when the
    endpoint refuses the request, DeployError when it does not answer.
    """
    held = settings().calibration
    seconds = held.seconds if seconds is None else seconds
    count, source = _workers(server, workers)
    pings = sender.ask({"do": "ping", "calls": held.ping_calls}, limit_s=120, cancelled=cancelled)[
        "times_ms"
    ]

    def closed(lanes: int, **more: float | None) -> dict[str, Any]:
        ask = {"do": "closed", "lanes": lanes, "seconds": seconds, "least": held.least_calls,
               "most": held.most_calls}  # fmt: skip
        limit_s = 8 * seconds + held.least_calls * settings().bounds.timeout_s
        return sender.ask(ask | more, limit_s=limit_s, cancelled=cancelled)

    closed(1, seconds=seconds / 5, least=5)
    pause_s = None if rate_per_s is None else 1 / rate_per_s
    alone = _look(server, lambda: closed(1, pause_s=pause_s))
    way_ms = statistics.median(pings) if pings else 0.0
    overhead_ms = way_ms
    if server.inline and alone.cpu_ms is not None:
        # What the event loop spends on a request, HTTP included, is what others wait for.
        each = min(alone.cpu_ms, 0.98 * float(np.mean(alone.times_ms)))
        overhead_ms = float(np.median(alone.times_ms)) - each
    service = np.maximum(alone.times_ms - overhead_ms, LEAST_SERVICE_SHARE * alone.times_ms)
    each_row_ms = _each_row_ms(server, float(np.mean(service)))
    # Enough at once that no worker ever pauses; where each has a queue of its own, enough for all of
    # those. Where waiting requests share a call, one waits at most, on the loop, or none.
    apart, batches = server.copies > 1, each_row_ms is not None
    shares = batches and not server.inline
    lanes = count if shares else LANES_A_QUEUE * count if apart and not batches else count + 1
    busy = _look(server, lambda: closed(lanes))
    busy_ms = count * 1000 * busy.took_s / busy.calls
    if apart and batches and busy.cpu_ms is not None:
        busy_ms = busy.cpu_ms  # so few at random leave a copy idle at times
    elif shares:
        busy_ms = float(np.mean(busy.times_ms)) - way_ms
    ratio = float(np.clip(busy_ms / float(np.mean(service)), *RATIO_BOUNDS))
    warm, displaced = None, 0.0
    if not server.inline and alone.work_ms and busy.work_ms:
        warm = float(np.clip(busy.work_ms / alone.work_ms, RATIO_BOUNDS[0], 1.0))
    if apart and not batches and busy.cpu_ms:
        displaced = max(0.0, busy_ms / busy.cpu_ms - 1)
    station = Station(
        service, count, ratio, each_row_ms, warm=warm, apart=apart, cold_left=held.cold_left,
        displaced=displaced,
    )  # fmt: skip
    return (
        Calibration(
            overhead_ms=overhead_ms,
            service_ms=station.mean_ms,
            service_cv=station.cv,
            busy_ratio=ratio,
            warm_ratio=station.warm_ratio,
            workers=count,
            workers_from=source,
            batches=station.batches,
            each_row_ms=each_row_ms,
            calls=alone.calls,
            cpu_alone_ms=alone.cpu_ms,
            cpu_busy_ms=busy.cpu_ms,
        ),
        station,
    )


@dataclass(frozen=True)
class _Look:
    """What was seen of some requests: `cpu_ms` is the server's processor time for each, `work_ms`
    its workers' part of that; None where nobody can tell."""

    times_ms: np.ndarray[Any, np.dtype[np.float64]]
    took_s: float
    cpu_ms: float | None
    work_ms: float | None

    @property
    def calls(self) -> int:
        return int(self.times_ms.size)


def _look(server: Server, ask: Callable[[], dict[str, Any]]) -> _Look:
    before, worked = processor_ms(server.pid), _workers_ms(server.pid)
    found = ask()
    spent, work = processor_ms(server.pid), _workers_ms(server.pid)
    times = _answers(found)
    return _Look(
        times, found["took_s"], _each(before, spent, times.size), _each(worked, work, times.size)
    )


def _each(before: float | None, after: float | None, calls: int) -> float | None:
    return None if before is None or after is None else (after - before) / calls


def _workers(server: Server, said: int | None) -> tuple[int, str]:
    if said is not None:
        return said, "as you say"
    if server.copies:
        return server.copies, "copies of itself, as the server says"
    if server.inline:
        return 1, "it answers on its event loop"
    if server.workers is not None:
        return server.workers, "as the server says"
    return 1, "taken; nobody says how many: use --workers"


def _answers(found: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    times = np.asarray(found["times_ms"], dtype=np.float64)
    failed: dict[str, int] = found["failed"]
    if failed and sum(failed.values()) > times.size / 10:
        status = max(failed, key=lambda s: failed[s])
        if status in ("400", "413", "415", "422"):
            raise InputError(
                f"the endpoint refuses the request ({status}: {found['words']}); give one that "
                "fits with --sample"
            )
        raise DeployError(
            f"the endpoint does not answer one request after the other ({status}: "
            f"{found['words']}); look at its status"
        )
    if times.size < 5:
        raise DeployError("the endpoint was stopped or too slow to be calibrated; try again")
    return times


def _each_row_ms(server: Server, service_ms: float) -> float | None:
    """What one more row adds, from the gain of a batch of 32: all = 32 one / gain.

    On the event loop reading and writing a request are not shared: only the model's part is.
    """
    if server.batch_gain is None:
        return None
    one = server.one_row_ms or service_ms
    row = max(0.0, (WARM_ROWS * one / server.batch_gain - one) / (WARM_ROWS - 1))
    return max(row, service_ms - one + row) if server.inline else row


def processor_ms(pid: int | None) -> float | None:
    """Processor time that a process and those that it started have used so far; None for one that is
    unknown or gone."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        times = [one.cpu_times() for one in (process, *process.children())]
    except psutil.Error:
        return None
    return float(sum(t.user + t.system for t in times)) * 1000


def _workers_ms(pid: int | None) -> float | None:
    """The part of `processor_ms` that is not its first thread's, which is the loop."""
    whole = processor_ms(pid)
    if pid is None or whole is None:
        return None
    try:
        loop = sum(
            t.user_time + t.system_time for t in psutil.Process(pid).threads() if t.id == pid
        )
    except psutil.Error:  # it has just ended, or is somebody else's
        return None
    return whole - float(loop) * 1000


def _ready(log: Path) -> dict[str, Any] | None:
    """The last line in which a server said that it is ready."""
    last: bytes | None = None
    try:
        with log.open("rb") as file:
            for line in file:
                if READY in line:
                    last = line
        said = json.loads(last) if last is not None else None
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None
