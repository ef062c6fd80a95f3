"""Measures a model on this machine: time, memory, start, batches, threads.

What the sizing needs most and people know least. The model is loaded and timed in a confined
process (no network, no writing, limits on time and memory); only the start of the whole server
runs as a deployment to this machine would.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from advisor.errors import ArtifactError, DeployError, InputError
from deploy.acceptance import Decision
from deploy.artifact import BYTES_IN_MB, Artifact, inspect
from deploy.bundle.pack import Bundle, pack
from deploy.files import read_kept, scratch_folder, write_atomically
from deploy.home import home
from deploy.loadtest.calibrate import server_of
from deploy.machine_speed import is_as_here, machine_speed, measuring, usable_cores
from deploy.measurement import BatchPoint, Measurement, ThreadPoint, spread
from deploy.safety.confine import ConfinedError, Limits, confined
from deploy.sample import FROM_SIGNATURE
from deploy.serving_time import http_ms_of, loop_ms_of
from deploy.targets import local_process

Progress = Callable[[str, float], None]  # what is being done, and the share that is done

SECONDS = 6.0  # spent on timing calls; loading and starting come on top
THREADS_SECONDS = 1.5
MOST_THREADS = 8
READY_LIMIT_S = 120.0
STOP_GRACE_S = 15.0
SERVED_REQUESTS, SERVED_SECONDS = 50, 10.0  # whichever comes first
STOPPED = "measuring was stopped; nothing is kept"
MAX_SAMPLE_BYTES = 10_000_000
SAMPLE_TYPES = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".jsonl": "application/jsonlines",
    ".ndjson": "application/jsonlines",
}


class MeasureCancelledError(DeployError):
    """Measuring was stopped before it was done; nothing is kept."""


def measure(
    path: Path | str,
    *,
    sample: Path | None = None,
    seconds: float = SECONDS,
    decision: Decision | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Measurement:
    """Measure the model in `path`. Blocks for some `seconds` and the start of a server.

    `sample` is a JSON, JSON lines or CSV file of rows, for models that do not say what a row looks
    like or whose time depends on it. `decision`: a person's, to load unknown code with the model;
    then only the confined process runs it, and no server is started. The result is kept (`known`).
    Raises ArtifactError for a model or sample that cannot be used, MeasureCancelledError when
    `cancelled` says so.
    """
    tell = progress or (lambda _what, _share: None)
    stop = cancelled or (lambda: False)
    sample = checked_sample(sample)
    tell("Looking whether the model is safe to load", 0.0)
    try:
        artifact = inspect(path, decision=decision, cancelled=stop)
    except ConfinedError as stopped:
        raise MeasureCancelledError(STOPPED) from stopped
    _stop_if(stop)
    tell("Timing single requests and batches", 0.15)
    timed = _timed(artifact, sample, 1, seconds, stop, whole=True)
    threads = [ThreadPoint(threads=1, one_row_ms=spread(timed["call_ms"]).p50_ms, gain=1.0)]
    for count in _thread_counts():
        tell(f"Timing with {count} threads", 0.5)
        again = _timed(artifact, sample, count, THREADS_SECONDS, stop, whole=False)
        median = spread(again["call_ms"]).p50_ms
        threads.append(
            ThreadPoint(threads=count, one_row_ms=median, gain=threads[0].one_row_ms / median)
        )
    _stop_if(stop)
    tell("Starting the whole server", 0.7)
    notes: list[str] = []
    with scratch_folder("measure") as scratch:
        bundle = pack(artifact, scratch / "bundle")
        start_s = memory_mb = http_ms = loop_ms = None
        if artifact.accepted is None:
            start_s, memory_mb, http_ms, loop_ms = _served(artifact, bundle, scratch, notes, stop)
        else:
            notes.append(
                "The server was not started: code that was accepted runs in the confined process "
                "only, so start and memory are of the model alone."
            )
        image_mb = _image_mb(artifact, bundle, notes)
    _stop_if(stop)
    found = Measurement(
        file=artifact.path.name,
        digest=artifact.digest,
        format=artifact.format,
        size_mb=artifact.size_mb,
        signature=artifact.signature,
        measured_at=datetime.now(UTC).replace(microsecond=0),
        machine=machine_speed(timed["yardstick_s"]),
        rows_from=f"{sample.name}, {timed['rows_given']:,} rows" if sample else FROM_SIGNATURE,
        load_s=timed["load_s"],
        cold_start_s=start_s,
        memory_mb=memory_mb or timed["memory_mb"],
        model_call=spread(timed["call_ms"]),
        request=spread(timed["request_ms"]),
        processor=spread(timed["request_cpu_ms"]),
        http_ms=http_ms,
        model_processor=spread(timed["call_cpu_ms"]),
        loop_ms=loop_ms,
        batches=_batch_points(timed["batches"]),
        threads=tuple(threads),
        image_mb=image_mb,
        notes=tuple(notes),
        accepted=artifact.accepted,
    )
    _keep(found)
    tell("Done", 1.0)
    return found


def known(digest: str) -> Measurement | None:
    """What was last measured of the model with this digest on this machine; None if nothing was."""
    found = last_kept(digest)
    return found if found is not None and is_as_here(found.machine) else None


def last_kept(digest: str) -> Measurement | None:
    """What was last measured of it and kept here, by whatever machine: the folder may be shared, or
    have moved. None if nothing was."""
    return read_kept(_kept(digest), Measurement, "measure again")


def checked_sample(sample: Path | None) -> Path | None:
    """The whole path of a file of rows. Raises InputError for one that cannot be read or used."""
    if sample is None:
        return None
    sample = Path(sample)
    if sample.suffix.lower() not in SAMPLE_TYPES:
        raise InputError(
            f"the sample {sample.name} is no {', '.join(SAMPLE_TYPES)} file; save some rows as one"
        )
    try:
        size = sample.stat().st_size
    except OSError as error:
        raise InputError(
            f"cannot read the sample {sample}: {error.strerror}; check the path"
        ) from None
    if size > MAX_SAMPLE_BYTES:
        raise InputError(
            f"the sample {sample.name} has {size / BYTES_IN_MB:,.0f} MB and 10 MB are allowed; "
            "some hundred rows are enough"
        )
    return sample.resolve()


def _timed(
    artifact: Artifact,
    sample: Path | None,
    threads: int,
    seconds: float,
    cancelled: Callable[[], bool],
    *,
    whole: bool,
) -> dict[str, Any]:
    """The confined timing; `whole` with batches and the yardstick. Lists are milliseconds."""
    torch = artifact.format == "torch"
    limits = Limits(
        wall_s=90 + 6 * seconds,
        cpu_s=int((60 + 5 * seconds) * max(threads, 1)),
        memory_mb=int((12_000 if torch else 4_000) + 6 * artifact.size_mb),
        threads=threads,
    )
    payload = {
        "path": str(artifact.path),
        "format": artifact.format,
        "signature": artifact.signature.model_dump(mode="json") if artifact.signature else None,
        "threads": threads,
        "seconds": seconds,
        "sample": str(sample) if sample else None,
        "content_type": SAMPLE_TYPES[sample.suffix.lower()] if sample else "",
        "accepted": _own(artifact),
        "batches": whole,
        "yardstick": whole,
    }
    try:
        answer = confined(
            "model_check.timing",
            payload,
            readable=[artifact.path, *_code(artifact), *([sample] if sample else [])],
            limits=limits,
            what=f"timing {artifact.path.name}",
            cancelled=cancelled,
        )
    except ConfinedError as stopped:
        if stopped.kind == "cancelled":
            raise MeasureCancelledError(STOPPED) from stopped
        raise ArtifactError(f"{artifact.path.name} cannot be measured: {stopped}") from stopped
    result: dict[str, Any] = answer.result
    return result


def _own(artifact: Artifact) -> dict[str, Any] | None:
    accepted = artifact.accepted
    return {"names": accepted.names, "code": accepted.code_path} if accepted else None


def _code(artifact: Artifact) -> list[Path]:
    accepted = artifact.accepted
    return [Path(accepted.code_path)] if accepted and accepted.code_path else []


def _served(
    artifact: Artifact,
    bundle: Bundle,
    scratch: Path,
    notes: list[str],
    cancelled: Callable[[], bool],
) -> tuple[float | None, float | None, float | None, float | None]:
    """(seconds until the real server is ready, MB resident after some requests, processor time in
    ms of a request without what is in it, and of the loop for a request that a worker answers);
    always stopped. One worker: more share what there is."""
    log, port = scratch / "server.log", local_process.free_port()
    began, start_s = time.monotonic(), None
    mortal = {"END_WITH_PID": str(os.getpid()), "WORKERS": "1"}
    child = local_process.start(bundle.path, port, log, scratch, settings=mortal)
    server = local_process.Server(
        pid=child.pid,
        identity=local_process.identity(child.pid) or "",
        port=port,
        bundle=bundle.path.name,
        bundle_hash=bundle.hash,
        model_digest=artifact.digest,
        started_at=datetime.now(UTC).isoformat(),
    )
    try:
        local_process.wait_ready(
            server, limit_s=READY_LIMIT_S, log=log, tell=lambda _s: _stop_if(cancelled)
        )
        start_s = time.monotonic() - began
        _ask(artifact, server.endpoint, cancelled)
        process = psutil.Process(child.pid)
        memory_mb = process.memory_info().rss / BYTES_IN_MB
        body = None if server_of(child.pid, log).inline else artifact.example_request()
        loop_ms = loop_ms_of(body, port, child.pid)
        _stop_if(cancelled)
        return start_s, memory_mb, http_ms_of(port, child.pid), loop_ms
    except MeasureCancelledError:
        raise
    except (DeployError, psutil.Error) as failed:
        how = "did not stay" if start_s else "did not start"
        notes.append(f"The server {how}, so start and memory are of the model alone: {failed}")
        return None, None, None, None
    finally:
        process_now = server.process()
        if process_now is not None:
            local_process.stop(process_now, STOP_GRACE_S)
        child.wait(STOP_GRACE_S)


def _ask(artifact: Artifact, endpoint: str, cancelled: Callable[[], bool]) -> None:
    """Have it answer some requests. Raises DeployError when it does not."""
    body = artifact.example_request()
    if body is None:
        return
    head, until = {"content-type": "application/json"}, time.monotonic() + SERVED_SECONDS
    try:
        with httpx.Client(trust_env=False, timeout=30, base_url=endpoint) as client:
            for _ in range(SERVED_REQUESTS):
                client.post("/invocations", content=body, headers=head)
                _stop_if(cancelled)
                if time.monotonic() > until:
                    return
    except httpx.HTTPError as failed:
        raise DeployError(f"it did not answer a neutral row ({failed})") from failed


def _image_mb(artifact: Artifact, bundle: Bundle, notes: list[str]) -> float:
    """The base image, the packages as they are installed here, and the model."""
    total = measuring().base_image.mb + artifact.size_mb
    silent = []
    for line in bundle.requirements:
        name = line.split("==")[0]
        files = importlib.metadata.distribution(name).files
        if files is None:
            silent.append(name)
        total += sum(_bytes(file) for file in files or []) / BYTES_IN_MB
    if silent:
        notes.append(f"The image is larger: {', '.join(silent)} do not tell their size.")
    return total


def _bytes(file: importlib.metadata.PackagePath) -> int:
    """Bytecode is listed without a size, and the image has it too."""
    if file.size is not None:
        return file.size
    path = Path(str(file.locate()))
    return path.stat().st_size if path.is_file() else 0


def _batch_points(batches: list[dict[str, float]]) -> tuple[BatchPoint, ...]:
    if not batches:
        return ()
    alone = batches[0]["rows"] / batches[0]["call_ms"]
    return tuple(
        BatchPoint(
            rows=int(b["rows"]),
            call_ms=b["call_ms"],
            rows_per_s=1000 * b["rows"] / b["call_ms"],
            gain=b["rows"] / b["call_ms"] / alone,
        )
        for b in batches
    )


def _thread_counts() -> list[int]:
    """2, 4, 8 as far as there are cores."""
    cores = min(usable_cores(), MOST_THREADS)
    return [n for n in (2, 4, 8) if n <= cores]


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise MeasureCancelledError(STOPPED)


def _kept(digest: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise InputError(f"{digest[:80]!r} is no sha256 digest of a model file")
    return home() / "measurements" / f"{digest}.json"


def _keep(found: Measurement) -> None:
    path = _kept(found.digest)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, json.dumps(found.model_dump(mode="json"), indent=1) + "\n")
