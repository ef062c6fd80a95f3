"""Times a model in the confined process: one request after the other, then rows in batches."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from model_server import accepted, loaders
from model_server.errors import ModelError, RequestError
from model_server.payload import Decoder
from model_server.signature import Signature
from model_server.values import Batch, joined

from . import yardstick

BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MOST_CALLS = 5_000
LEAST_CALLS = 20
WARM_UP_SHARE = 0.15
BATCH_SHARE = 0.35
SAMPLE_ROWS = 256


def run(payload: dict[str, Any]) -> dict[str, Any]:
    """Load payload["path"] and time it for about payload["seconds"].

    Payload: path, format, signature, threads, seconds, sample (path or null), content_type,
    accepted (names and code of the person's own, or null), batches and yardstick (whether to time
    those). Returns seconds and lists of milliseconds, by the
    clock and of the processor: on a busy machine a call waits, and only the first counts that.
    Raises ModelError when the model or the sample is of no use.
    """
    signature = Signature.of(payload["signature"])
    own = payload["accepted"] or {}
    accepted.take(own, Path(own["code"]) if own.get("code") else None)
    speed = yardstick.run() if payload["yardstick"] else {}
    began = time.perf_counter()
    model = loaders.load(
        payload["format"], Path(payload["path"]), signature, int(payload["threads"])
    )
    load_s = time.perf_counter() - began
    decoder = Decoder(signature)
    rows = _rows(payload, decoder, signature)
    budget = float(payload["seconds"])
    singles = [rows.part(i, i + 1) for i in range(min(rows.rows, SAMPLE_ROWS))]

    def predict(i: int) -> None:
        model.predict(singles[i % len(singles)], "default")

    first_ms, _ = _once(lambda: predict(0))
    _calls(predict, budget * WARM_UP_SHARE, 3)
    calls = _calls(predict, budget * (1 - WARM_UP_SHARE - BATCH_SHARE) / 2, LEAST_CALLS)
    bodies = [_body(single) for single in singles]

    def answer(i: int) -> None:
        request = decoder.decode(bodies[i % len(bodies)], "application/json")
        orjson.dumps({"predictions": model.predict(request.batch, "default").as_json()})

    requests = calls
    if _answers(answer):
        requests = _calls(answer, budget * (1 - WARM_UP_SHARE - BATCH_SHARE) / 2, LEAST_CALLS)
    batches = []
    if payload["batches"] and not signature.fixed_batch:
        batches = _batches(model, singles, budget * BATCH_SHARE)
    return {
        "load_s": load_s,
        "first_call_ms": first_ms,
        "rows_given": rows.rows,
        "call_ms": [clock for clock, _ in calls],
        "call_cpu_ms": [cpu for _, cpu in calls],
        "request_ms": [clock for clock, _ in requests],
        "request_cpu_ms": [cpu for _, cpu in requests],
        "batches": batches,
        "memory_mb": _resident_mb(),
        "yardstick_s": _best(speed, yardstick.run()) if speed else {},
    }


def _best(first: dict[str, float], again: dict[str, float]) -> dict[str, float]:
    """Before and after: a machine that was busy once may be quiet the other time."""
    return {name: min(seconds, again[name]) for name, seconds in first.items()}


def _rows(payload: dict[str, Any], decoder: Decoder, signature: Signature) -> Batch:
    if payload["sample"]:
        body = Path(payload["sample"]).read_bytes()
        try:
            return decoder.decode(body, payload["content_type"]).batch
        except RequestError as wrong:
            raise ModelError(f"the sample file does not fit the model: {wrong}") from wrong
    if signature.example is None:
        raise ModelError(
            "the model file does not say what a row looks like; give a sample file with some "
            "rows (--sample rows.json or rows.csv)"
        )
    return decoder.batch([signature.example])


def _body(row: Batch) -> bytes:
    if row.kind == "columns":
        record = {name: column.tolist()[0] for name, column in row.data.items()}
        return orjson.dumps({"instances": [record]}, default=str)
    data = row.data.tolist() if hasattr(row.data, "tolist") else list(row.data)
    return orjson.dumps({"instances": data}, default=str)


def _answers(answer: Callable[[int], None]) -> bool:
    """Whether a whole request can be timed: some columns have no plain JSON form."""
    try:
        answer(0)
    except RequestError:
        return False
    return True


def _batches(model: loaders.Model, singles: list[Batch], budget: float) -> list[dict[str, float]]:
    out: list[dict[str, float]] = []
    for rows in BATCH_ROWS:
        batch = joined([singles[i % len(singles)] for i in range(rows)])
        times = [
            cpu
            for _, cpu in _calls(
                lambda _i, batch=batch: model.predict(batch, "default"),  # type: ignore[misc]
                budget / len(BATCH_ROWS),
                3,
            )
        ]
        out.append({"rows": rows, "call_ms": float(np.median(times)), "calls": len(times)})
        if times[0] / 1000 > budget:
            break
    return out


def _calls(work: Callable[[int], object], seconds: float, least: int) -> list[tuple[float, float]]:
    """(clock, processor) milliseconds of each call, as long as the budget allows, at least a few."""
    times: list[tuple[float, float]] = []
    until = time.perf_counter() + seconds
    hard_stop = until + 3 * seconds
    while len(times) < MOST_CALLS:
        times.append(_once(lambda: work(len(times))))
        now = time.perf_counter()
        if (now > until and len(times) >= least) or now > hard_stop:
            break
    return times


def _once(work: Callable[[], object]) -> tuple[float, float]:
    # This thread's clock: that of the process only moves with the ticks of its limit.
    clock, cpu = time.perf_counter(), time.thread_time()
    work()
    return (time.perf_counter() - clock) * 1000, (time.thread_time() - cpu) * 1000


def _resident_mb() -> float:
    """The most memory that was resident so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
