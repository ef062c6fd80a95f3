"""What a load test found: the points, the prediction beside them, and the verdict."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from deploy.loadtest.predicted import Predicted
from deploy.loadtest.settings import settings

DRIFT_TOLD = 1.1  # a larger change of the service time explains an error


class Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Calibration(Figures):
    """The endpoint with nobody waiting. Milliseconds."""

    overhead_ms: float  # network and HTTP: passes without a worker being held
    service_ms: float  # mean time that one request holds a worker
    service_cv: float
    busy_ratio: float  # mean service time while all workers work without a pause, over that alone
    # How much of that is left of a request whose worker had no pause before it; the rest of the
    # ratio is that workers, loop and sender share processors.
    warm_ratio: float = 1.0
    workers: int
    workers_from: str  # in words
    batches: bool
    each_row_ms: float | None  # what another row in a batch adds
    calls: int
    cpu_alone_ms: float | None = None  # the server's processor time for a request, one by one
    cpu_busy_ms: float | None = None  # and without a pause


class Point(Figures):
    """One rate. Percentiles are of answered requests, from when each was meant to be sent, or was if
    that was a moment earlier."""

    rate_per_s: float  # asked for
    sent_per_s: float
    answered: int
    refused: int  # 429: the endpoint's own limit
    failed: int  # every other status, no connection, no answer in time
    not_sent: int  # more were under way than a test may have
    failures: dict[str, int]
    p50_ms: float | None
    p95_ms: float | None  # of the percentile asked for
    p99_ms: float | None
    mean_ms: float | None
    sender_late_ms: float  # of the same percentile
    valid: bool  # the sender kept up and all requests were sent
    stopped: bool
    predicted: Predicted
    # Processor time of a request in this test over that in the calibration; None for endpoints
    # elsewhere. And what the formula says with service times drifted by that.
    drift: float | None = None
    predicted_with_drift_ms: float | None = None
    # How much that time moved during the test (standard deviation over mean, by parts of it).
    unsteady: float | None = None

    @property
    def error(self) -> float | None:
        """Predicted over measured, less one."""
        if self.p95_ms is None or self.predicted.p95_ms is None:
            return None
        return self.predicted.p95_ms / self.p95_ms - 1

    @property
    def error_with_drift(self) -> float | None:
        """The error that is left when the service time of the test itself is taken."""
        if self.p95_ms is None or self.predicted_with_drift_ms is None:
            return None
        return self.predicted_with_drift_ms / self.p95_ms - 1

    @property
    def inside(self) -> bool | None:
        """Whether the measured percentile lies in the interval."""
        low, high = self.predicted.low_ms, self.predicted.high_ms
        if self.p95_ms is None or low is None or high is None:
            return None
        return low <= self.p95_ms <= high

    @property
    def counts(self) -> bool:
        """Whether it says something about the prediction."""
        return self.valid and not self.stopped and not self.too_few and self.p95_ms is not None

    @property
    def too_few(self) -> bool:
        return self.answered < settings().verdict.least_answers

    @property
    def steady(self) -> bool:
        return self.predicted.utilisation <= settings().verdict.steady_utilisation + 0.005


class Verdict(Figures):
    held: bool | None  # None: nothing that counts
    within: float | None  # largest error where one figure can be held, as a share
    sentence: str


class LoadTest(Figures):
    """A finished or stopped load test."""

    schema_version: int = 1
    endpoint: str
    deployment: str | None
    model_digest: str | None
    tested_at: datetime
    percentile: float
    seconds: float  # at each rate
    calibration: Calibration
    points: tuple[Point, ...]
    curve: tuple[tuple[float, float], ...]  # predicted: (requests a second, milliseconds)
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        return judge(self.points, self.percentile)


def judge(points: tuple[Point, ...], percentile: float) -> Verdict:
    """Held if every point that counts is within the tolerance, or above the steady utilisation
    inside its interval."""
    counted = [p for p in points if p.counts]
    name = f"p{percentile:g}"
    if not counted:
        why = "the sender could not keep up" if any(not p.valid for p in points) else "no answers"
        if any(p.too_few and p.answered for p in points):
            why = "too few answers for a percentile; test for more seconds, or at higher rates"
        if any(p.stopped for p in points):
            why = "it was stopped"
        return Verdict(
            held=None, within=None, sentence=f"Nothing was shown about the prediction: {why}."
        )
    held = settings().verdict
    steady = [p for p in counted if p.steady and p.error is not None]
    within = max((abs(p.error) for p in steady if p.error is not None), default=None)
    missed = [p for p in steady if p.error is not None and abs(p.error) > held.tolerance]
    outside = [p for p in counted if not p.steady and p.inside is False]
    if missed or outside:
        worst = max(missed or outside, key=lambda p: abs(p.error or 0.0))
        expected = worst.predicted.p95_ms
        span = (
            f"{expected:,.3g} ms"
            if expected is not None
            else f"{worst.predicted.low_ms:,.3g} to {worst.predicted.high_ms:,.3g} ms"
        )
        off = f", {abs(worst.error):.0%} off" if worst.error is not None else ""
        sentence = (
            f"The prediction was missed: at {worst.rate_per_s:,.3g} requests a second {name} was "
            f"{worst.p95_ms:,.3g} ms, and {span} was predicted{off}."
        )
        return Verdict(held=False, within=within, sentence=sentence)
    parts = []
    if within is not None:
        top = max(p.predicted.utilisation for p in steady)
        parts.append(f"within {_up(within)} % up to {top:.0%} use")
    above = [p for p in counted if not p.steady]
    if above:
        parts.append(f"inside its interval at {', '.join(_use(p) for p in above)}")
    return Verdict(held=True, within=within, sentence=f"Prediction held {' and '.join(parts)}.")


def text(found: LoadTest) -> str:
    """The load test for a terminal."""
    c, name = found.calibration, f"p{found.percentile:g}"
    batch = ""
    if c.batches:
        batch = f", batches: another row in a call adds {c.each_row_ms:,.3g} ms"
    lines = [
        f"{found.deployment or found.endpoint} · {found.seconds:g} s at each rate · random arrivals",
        f"One request holds a worker {c.service_ms:,.3g} ms (cv {c.service_cv:.2f}) and takes "
        f"{c.overhead_ms:,.3g} ms besides; {_workers(c)}{batch}",
        "",
    ]
    head = ("req/s", "use", "answered", "429", "failed", "p50", name, "predicted", "interval",
            "error", "")  # fmt: skip
    rows = [head, *(_row(p) for p in found.points)]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    for row in rows:
        lines.append(
            "  ".join(
                cell.rjust(w) if i < len(head) - 1 else cell
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )
    lines += ["", found.verdict.sentence, *(f"Note: {note}" for note in found.notes)]
    drifts = [p.drift for p in found.points if p.drift is not None and p.counts]
    if drifts and (max(drifts) > DRIFT_TOLD or min(drifts) < 1 / DRIFT_TOLD):
        lines.append(
            f"Note: a request took the server {min(drifts):.2f} to {max(drifts):.2f} times the "
            "processor time of the calibration: other work on this machine, or its clock."
        )
    return "\n".join(lines)


def remark(p: Point) -> str:
    """What is to be said of a point, or an empty string."""
    if p.stopped:
        return "stopped"
    if p.not_sent:
        return f"does not count: {p.not_sent} not sent, too many were under way"
    if not p.valid:
        return f"does not count: the sender was up to {p.sender_late_ms:,.2g} ms late"
    said = [f"{n} × {what}" for what, n in sorted(p.failures.items())]
    if p.too_few:
        said.insert(0, "does not count: too few answers, test for longer")
    return ", ".join(said)


def _row(p: Point) -> tuple[str, ...]:
    at = p.predicted
    span = "-" if at.low_ms is None else f"{at.low_ms:,.3g}–{at.high_ms:,.3g}"
    return (
        f"{p.rate_per_s:,.3g}",
        f"{at.utilisation:.0%}" if at.utilisation < 10 else ">",
        str(p.answered),
        str(p.refused),
        str(p.failed),
        _ms(p.p50_ms),
        _ms(p.p95_ms),
        _ms(at.p95_ms),
        span,
        "-" if p.error is None else f"{p.error:+.0%}",
        remark(p),
    )


def _workers(c: Calibration) -> str:
    many = "1 worker" if c.workers == 1 else f"{c.workers} workers"
    return f"{many} ({c.workers_from}), {c.busy_ratio:.2f} times as long without a pause"


def _use(p: Point) -> str:
    return f"{p.predicted.utilisation:.0%}" if p.predicted.utilisation < 10 else "overload"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g}"


def _up(share: float) -> int:
    """Whole percent, never rounded in the prediction's favour."""
    whole = int(share * 100)
    return whole if whole == share * 100 else whole + 1
