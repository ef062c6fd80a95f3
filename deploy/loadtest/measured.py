"""One rate of a load test: sent, counted, and held against the prediction."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deploy.loadtest.calibrate import processor_ms
from deploy.loadtest.found import Calibration, Point
from deploy.loadtest.generator import NOT_SENT
from deploy.loadtest.predicted import Predicted, predict
from deploy.loadtest.queue import Floats, Station, typical
from deploy.loadtest.sender import Sender
from deploy.loadtest.settings import settings

DRAIN_S = 15.0
SPARE_S = 30.0
PERCENT = (50, 99)
# The server's processor time is looked at as often as the sender is, and told for so many parts of a
# test, of so many requests each at least: its clock ticks in 10 ms.
MOST_PARTS, LEAST_PARTS, LEAST_IN_PART = 8, 4, 25


def measured(
    sender: Sender,
    station: Station,
    calibrated: Calibration,
    pid: int | None,
    rate: float,
    seconds: float,
    percentile: float,
    cancelled: Callable[[], bool],
    seed: int,
) -> Point:
    """Send a typical stream at `rate` for `seconds`; what there is when `cancelled` says so.

    `pid`: the server's process on this machine, if there is one. Raises DeployError when the
    generator fails.
    """
    held = settings()
    skipped_s = held.schedule.skipped_share * seconds
    schedule = typical(
        station.at(rate), rate, seconds, percentile=percentile, draws=held.schedule.draws,
        skipped_s=skipped_s, random=np.random.default_rng(seed),
    )  # fmt: skip
    overhead_ms = calibrated.overhead_ms
    looks: list[tuple[float, float]] = []

    def looked() -> bool:
        spent = processor_ms(pid)
        if spent is not None:
            looks.append((time.perf_counter(), spent))
        return cancelled()

    before = processor_ms(pid)
    answer = sender.ask(
        {"do": "open", "offsets": schedule.tolist(), "drain_s": DRAIN_S},
        limit_s=seconds + DRAIN_S + held.bounds.timeout_s + SPARE_S,
        cancelled=looked,
    )
    spent = processor_ms(pid)
    at = predict(
        station, overhead_ms, rate, percentile=percentile, schedule=schedule,
        skipped_s=skipped_s, seed=seed,
    )  # fmt: skip
    found = point(answer, schedule, rate, seconds, percentile, skipped_s, at)
    drift = _drift(calibrated, at.utilisation, before, spent, found.answered)
    if drift is None:
        return found
    drifted = replace(station, service_ms=station.service_ms * drift)
    with_drift = predict(drifted, overhead_ms, rate, percentile=percentile, seed=seed).p95_ms
    ends = [
        answer["start"] + offset + took / 1000
        for (_, took, status), offset in zip(answer["seen"], schedule, strict=True)
        if status == "200"
    ]
    unsteady = None if calibrated.batches else unsteadiness(looks, ends)
    return found.model_copy(
        update={
            "drift": drift,
            "predicted_with_drift_ms": with_drift,
            "unsteady": unsteady,
        }
    )


def unsteadiness(looks: Sequence[tuple[float, float]], ends: Sequence[float]) -> float | None:
    """How much the processor time of a request moved during a test: its standard deviation over the
    parts of the test, by its mean. None where too little was seen to say.

    `looks`: (seconds, milliseconds of processor time until then), `ends`: seconds at which requests
    were answered, by the same clock. One request differs from the next; dozens of them differ from
    the next dozens only by the machine: its clock, its caches, its neighbours.
    """
    if len(looks) < 2 or not ends:
        return None
    first, last = min(ends), max(ends)
    times = np.array([at for at, _ in looks])
    inside = np.flatnonzero((times >= first) & (times <= last))
    parts = min(MOST_PARTS, inside.size - 1, len(ends) // LEAST_IN_PART)
    if parts < LEAST_PARTS:
        return None
    edges = inside[np.linspace(0, inside.size - 1, parts + 1).round().astype(int)]
    spent = np.diff([looks[i][1] for i in edges])
    answered = np.diff(np.searchsorted(np.sort(ends), times[edges]))
    if answered.min() < 1 or spent.min() <= 0:
        return None
    each = spent / answered
    return float(np.std(each) / np.mean(each))


def _drift(
    calibrated: Calibration,
    utilisation: float,
    before: float | None,
    after: float | None,
    answered: int,
) -> float | None:
    """Processor time of a request over what the calibration says of this utilisation."""
    alone, busy = calibrated.cpu_alone_ms, calibrated.cpu_busy_ms
    if not alone or not busy or before is None or after is None or not answered:
        return None
    if calibrated.batches:  # requests share their calls: less time is not a quicker machine
        return None
    return (after - before) / answered / (alone + min(utilisation, 1.0) * (busy - alone))


def point(
    answer: dict[str, Any],
    schedule: Floats,
    rate: float,
    seconds: float,
    percentile: float,
    skipped_s: float,
    at: Predicted,
) -> Point:
    """What the generator saw at one rate, counted. `schedule` in seconds."""
    held = settings().generator
    seen = answer["seen"]
    said = Counter(status for _, _, status in seen)
    stopped = bool(answer["stopped"])
    counted = [
        (late, took)
        for (late, took, status), offset in zip(seen, schedule, strict=True)
        if status == "200" and offset >= skipped_s
    ]
    times = np.array([took for _, took in counted])
    late = np.array([late for late, _ in counted])
    some = times.size > 0
    measured = float(np.percentile(times, percentile)) if some else None
    late_ms = float(np.percentile(late, percentile)) if some else 0.0
    allowed = max(held.late_ms, held.late_share * (measured or 0.0))
    failures = {s: n for s, n in said.items() if s not in ("200", "429", "stopped", NOT_SENT)}
    return Point(
        rate_per_s=rate,
        sent_per_s=(len(seen) - said[NOT_SENT] - said["stopped"]) / seconds,
        answered=said["200"],
        refused=said["429"],
        failed=sum(failures.values()),
        not_sent=said[NOT_SENT],
        failures=failures,
        p50_ms=float(np.percentile(times, PERCENT[0])) if some else None,
        p95_ms=measured,
        p99_ms=float(np.percentile(times, PERCENT[1])) if some else None,
        mean_ms=float(times.mean()) if some else None,
        sender_late_ms=late_ms,
        valid=late_ms <= allowed and not said[NOT_SENT],
        stopped=stopped,
        predicted=at,
    )
