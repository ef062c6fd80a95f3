"""An endpoint with nobody waiting: how long a request holds a worker, and how many there are.

Three looks: a request without the model (the way there and back), one prediction after the other
with pauses (alone), and so many at once that no worker pauses (busy). What a request takes beyond
the way is the time that it holds a worker; while all are busy it is the workers over the rate. Two
opposite things are in that: a worker without a pause has warm caches, and workers, the loop that
reads HTTP and a sender on the same machine share processors. The workers' own processor time, which
only the first changes, tells them apart. A server that answers on its event loop is one worker,
whose time is its process's processor time, and so is each of its copies.
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
    ask = {"do": "closed", "seconds": seconds, "least": held.least_calls,
           "most": held.most_calls}  # fmt: skip
    limit_s = 8 * seconds + held.least_calls * settings().bounds.timeout_s
    pings = sender.ask({"do": "ping", "calls": held.ping_calls}, limit_s=120, cancelled=cancelled)[
        "times_ms"
    ]
    sender.ask(
        ask | {"lanes": 1, "seconds": seconds / 5, "least": 5}, limit_s=limit_s,
        cancelled=cancelled,
    )  # fmt: skip
    before, worked = processor_ms(server.pid), _workers_ms(server.pid)
    pause_s = None if rate_per_s is None else 1 / rate_per_s
    alone = _answers(
        sender.ask(ask | {"lanes": 1, "pause_s": pause_s}, limit_s=limit_s, cancelled=cancelled)
    )
    spent = processor_ms(server.pid)
    way_ms = statistics.median(pings) if pings else 0.0
    cpu_alone_ms = _each(before, spent, alone.size)
    work_alone_ms = _each(worked, _workers_ms(server.pid), alone.size)
    service = np.maximum(alone - way_ms, LEAST_SERVICE_SHARE * alone)
    overhead_ms = way_ms
    if server.inline and before is not None and spent is not None:
        # What the event loop spends on a request, HTTP included, is what others wait for.
        each = (spent - before) / alone.size
        each = min(each, 0.98 * float(np.mean(alone)))
        overhead_ms = float(np.median(alone)) - each
        service = np.maximum(alone - overhead_ms, LEAST_SERVICE_SHARE * alone)
    each_row_ms = _each_row_ms(server, float(np.mean(service)))
    # Enough at once that no worker ever pauses; where waiting requests would share a call, no more
    # than there are workers.
    shares = each_row_ms is not None and not server.inline
    lanes = count if shares else count + 1
    before, worked = processor_ms(server.pid), _workers_ms(server.pid)
    found = sender.ask(ask | {"lanes": lanes}, limit_s=limit_s, cancelled=cancelled)
    spent = processor_ms(server.pid)
    busy = _answers(found)
    cpu_busy_ms = _each(before, spent, busy.size)
    work_busy_ms = _each(worked, _workers_ms(server.pid), busy.size)
    if server.inline and before is not None and spent is not None:
        busy_ms = (spent - before) / busy.size
    elif shares:
        busy_ms = float(np.mean(busy)) - way_ms
    else:
        busy_ms = count * 1000 * found["took_s"] / busy.size
    ratio = float(np.clip(busy_ms / float(np.mean(service)), *RATIO_BOUNDS))
    warm = None
    if not server.inline and work_alone_ms and work_busy_ms:
        warm = float(np.clip(work_busy_ms / work_alone_ms, RATIO_BOUNDS[0], 1.0))
    apart = server.copies > 1
    station = Station(service, count, ratio, each_row_ms, warm=warm, apart=apart)
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
            calls=int(alone.size),
            cpu_alone_ms=cpu_alone_ms,
            cpu_busy_ms=cpu_busy_ms,
        ),
        station,
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
