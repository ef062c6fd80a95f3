"""What measuring a model found, in figures and in words, and how it answers the questionnaire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from advisor.recommendation import Range
from advisor.requirements import Requirements, parse
from deploy.acceptance import Acceptance
from deploy.artifact import Signature
from deploy.machine_speed import MachineSpeed

BATCH_WORTH_IT = 2.0  # rows a second of processor time in a batch over one by one
THREADS_WORTH_IT = 1.5
BUSY_BELOW = 0.85  # share of a request's time in which the processor worked for it


class Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(Figures):
    """Times of single calls in milliseconds; `cv` is without the slowest hundredth of them, which
    on a machine with other work are its interruptions and not the model's."""

    calls: int
    mean_ms: float
    cv: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class BatchPoint(Figures):
    rows: int
    call_ms: float  # median processor time
    rows_per_s: float
    gain: float  # rows a second over one row at a time


class ThreadPoint(Figures):
    threads: int
    one_row_ms: float  # median
    gain: float  # over one thread


class Measurement(Figures):
    """A model measured on this machine. Sizes in MB of 1,000,000 bytes."""

    schema_version: int = 1
    file: str
    digest: str
    format: str
    size_mb: float
    signature: Signature | None
    measured_at: datetime
    machine: MachineSpeed
    rows_from: str  # where the rows came from, in words
    load_s: float  # file to usable object, libraries included
    cold_start_s: float | None  # of the whole server, until it is ready; None: it did not start
    memory_mb: float  # resident: of the server while serving, else of the measuring process
    model_call: Spread  # the library's prediction of one row
    request: Spread  # with reading the request and writing the answer
    processor: Spread  # processor time of the same requests
    http_ms: float | None = None  # processor time of the server for HTTP, on top; None: unknown
    model_processor: Spread | None = None  # processor time of `model_call`
    # Processor time of the server's loop for a request that it hands to a worker, reading and
    # writing included; None where the model answers on the loop, or nobody knows.
    loop_ms: float | None = None
    batches: tuple[BatchPoint, ...]
    threads: tuple[ThreadPoint, ...]
    image_mb: float  # the expected image, uncompressed
    notes: tuple[str, ...] = ()
    accepted: Acceptance | None = None  # the decision to load code of one's own with it

    @property
    def service_time_ms(self) -> Range:
        """One request alone on one m5 vCPU: its processor time here with that of the server around
        it, times this machine's speed.

        A confined model waits for nothing but the processor, so what the clock shows beyond that
        is other work on this machine.
        """
        mean, speed = self.served_ms, self.machine.relative
        return Range(low=mean * speed.low, expected=mean * speed.expected, high=mean * speed.high)

    @property
    def served_ms(self) -> float:
        """Processor time here of one request, with reading and writing HTTP, and with handing it to
        a worker where the server does."""
        if self.loop_ms is not None and self.model_processor is not None:
            return self.model_processor.mean_ms + self.loop_ms
        return self.processor.mean_ms + (self.http_ms or 0.0)

    @property
    def service_cv(self) -> float:
        """Standard deviation of `served_ms` over its mean; HTTP takes the same for each request."""
        mean = self.processor.mean_ms
        return self.processor.cv * mean / self.served_ms if self.served_ms > 0 else 0.0

    @property
    def is_busy(self) -> bool:
        """Whether other work on this machine held the requests up."""
        return self.processor.mean_ms < BUSY_BELOW * self.request.mean_ms

    @property
    def best_batch(self) -> BatchPoint | None:
        return max(self.batches, key=lambda b: b.gain) if self.batches else None

    def answers(self) -> list[tuple[str, Any]]:
        """(path of the question, answer) for all that was measured."""
        return [
            ("model.format", self.format),
            ("model.size_mb", _digits(self.size_mb)),
            ("model.memory_mb", _digits(self.memory_mb)),
            ("model.service_time_ms", _digits(self.service_time_ms.expected)),
            ("model.service_time_cv", round(self.service_cv, 2)),
            ("model.load_time_s", _digits(self.cold_start_s or self.load_s)),
            ("model.model_class", None),
        ]

    def into(self, need: Requirements) -> Requirements:
        """The requirements with what was measured. Raises RequirementsError."""
        data = need.model_dump(mode="json", exclude_unset=True)
        for path, value in self.answers():
            section, name = path.split(".")
            data.setdefault(section, {})[name] = value
        return parse(data)


def spread(times_ms: list[float]) -> Spread:
    """The spread of call times; at least one. Percentiles by linear interpolation."""
    ordered = sorted(times_ms)
    kept = ordered[: max(1, len(ordered) - len(ordered) // 100)]
    mean = sum(kept) / len(kept)
    variance = sum((t - mean) ** 2 for t in kept) / len(kept)
    return Spread(
        calls=len(ordered),
        mean_ms=mean,
        cv=variance**0.5 / mean if mean > 0 else 0.0,
        p50_ms=_percentile(ordered, 50),
        p95_ms=_percentile(ordered, 95),
        p99_ms=_percentile(ordered, 99),
    )


def text(found: Measurement) -> str:
    """The measurement for a terminal."""
    low, expected, high = (
        found.service_time_ms.low, found.service_time_ms.expected, found.service_time_ms.high,
    )  # fmt: skip
    start = (
        f"; the whole server is ready after {found.cold_start_s:.2f} s"
        if found.cold_start_s is not None
        else ""
    )
    lines = [
        f"{found.file} · {found.format} · {found.size_mb:,.3g} MB · sha256 {found.digest[:12]}",
        f"Measured on {found.machine.cpu}, {found.machine.cores} cores; rows: {found.rows_from}",
        "",
        _line("one request", found.request),
        _line("the model alone", found.model_call),
        _line("processor time", found.processor),
        f"{'on an m5 vCPU':<18} {expected:,.3g} ms ({low:,.3g} to {high:,.3g}): {found.machine.basis}",
        f"{'memory':<18} {found.memory_mb:,.0f} MB resident while serving",
        f"{'loading':<18} {found.load_s:.2f} s{start}",
        f"{'image':<18} about {found.image_mb:,.0f} MB, uncompressed",
    ]
    around = found.http_ms if found.loop_ms is None else found.loop_ms
    if around is not None:
        does = "reads, writes and logs" if found.loop_ms is None else "reads, hands over and writes"
        lines.insert(
            6,
            f"{'with HTTP':<18} {found.served_ms:,.3g} ms: the server {does} a request in "
            f"{around:,.2g} ms",
        )
    best = found.best_batch
    if best is not None:
        worth = "worth batching" if best.gain >= BATCH_WORTH_IT else "batching gains little"
        lines.append(
            f"{'batches':<18} {best.gain:.1f} times the rows a second with {best.rows} rows: {worth}"
        )
    if len(found.threads) > 1:
        quick = max(found.threads, key=lambda t: t.gain)
        worth = "worth it" if quick.gain >= THREADS_WORTH_IT else "one thread is enough"
        lines.append(
            f"{'threads':<18} {quick.gain:.2f} times as fast with {quick.threads}: {worth}"
        )
    if found.is_busy:
        lines.append(
            f"{'note':<18} other work slowed this machine down; processor time is reckoned with, "
            "start and loading are too long: measure again when it is quiet"
        )
    lines += [f"{'note':<18} {note}" for note in found.notes]
    if found.accepted is not None:
        lines.append(f"{'accepted':<18} {found.accepted.sentence}")
    return "\n".join(lines)


def _line(name: str, times: Spread) -> str:
    return (
        f"{name:<18} p50 {times.p50_ms:,.3g} ms, p95 {times.p95_ms:,.3g} ms, p99 "
        f"{times.p99_ms:,.3g} ms; mean {times.mean_ms:,.3g} ms, cv {times.cv:.2f} "
        f"({times.calls:,} calls)"
    )


def _percentile(ordered: list[float], percent: float) -> float:
    at = (len(ordered) - 1) * percent / 100
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _digits(value: float) -> float:
    """Three significant digits: more would pretend."""
    return float(f"{value:.3g}")
