"""Prove a target for real: deploy a model, ask it, take it down, and say what was seen.

The deployment has a name of its own, and where the account can it expires by itself, so that a
machine that is switched off in between leaves nothing that bills.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from advisor.catalog.loader import option
from advisor.catalog.schema import Option
from advisor.errors import AdvisorError, DeployError, InputError
from advisor.requirements import Requirements, parse
from deploy.artifact import BYTES_IN_MB, Artifact, inspect
from deploy.planning import plan_deployment
from deploy.registry import target_for
from deploy.sample import sample_request
from deploy.target import Emit, Plan, Target

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "breast_cancer.onnx"
LASTS = timedelta(hours=4)
HOURS_IN_MONTH = 730
SHOWN = 200  # characters of an answer


@dataclass(frozen=True)
class Step:
    """One verb of the way: how long it took, and what was seen or what went wrong."""

    verb: str
    seconds: float
    saw: str
    ok: bool = True


@dataclass
class Report:
    """What a self-test did, and what of it is left."""

    plan: Plan
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    steps: list[Step] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    taken_down: bool = False

    @property
    def ok(self) -> bool:
        return self.taken_down and not self.left and all(step.ok for step in self.steps)

    def markdown(self) -> str:
        """For a person, an issue or a pull request."""
        plan = self.plan
        rows = [
            f"| {s.verb} | {'yes' if s.ok else '**no**'} | {s.seconds:.1f} | {_cell(s.saw)} |"
            for s in self.steps
        ]
        left = ", ".join(self.left) or ("nothing" if self.taken_down else "not known: destroy it")
        return "\n".join(
            [
                f"# Self-test of {plan.option}: {'passed' if self.ok else 'FAILED'}",
                "",
                f"- Began {self.began_at:%Y-%m-%d %H:%M} UTC, as `{plan.name}`",
                f"- Account {plan.account}, region {plan.region}, target {plan.target}",
                f"- Model {Path(plan.model_path).name} ({plan.model_format}, sha256 "
                f"{plan.model_digest[:12]}), bundle {plan.bundle_hash[:12]}",
                f"- By the estimate {_usd(plan.monthly_usd)} a month while it stands",
                "",
                "| step | worked | seconds | what was seen |",
                "|---|---|---|---|",
                *rows,
                "",
                f"Left behind: {left}. Kept: {', '.join(self.kept) or 'nothing'}.",
            ]
        )


def prepare(option_id: str, model: Path, region: str | None, max_usd: float) -> tuple[Plan, float]:
    """The plan of a self-test and its seconds; what planning wrote is discarded when it is refused.

    Raises InputError for an unknown option, a region where there is none to choose, or a bill that
    could pass `max_usd`; NothingFitsError, PreflightError.
    """
    chosen, target = option(option_id), target_for(option_id)
    here = chosen.cloud.value == "own-hardware"
    if here == (region is not None):
        raise InputError(
            f"{option_id} runs on this machine; leave --region out"
            if here
            else f"{option_id} runs in an account; say where, as in --region us-east-1"
        )
    began = time.monotonic()
    need = _need(chosen, inspect(model), region)
    plan = plan_deployment(
        option_id,
        model,
        need,
        name=f"selftest-{uuid.uuid4().hex[:6]}",
        owner="selftest",
        expires_in=LASTS if target.can_expire else None,
    )
    most = most_usd(plan)
    if most is None or most > max_usd:
        target.discard(plan)
        raise InputError(
            f"the self-test of {option_id} could cost {_usd(most)} until it takes itself down, and "
            f"--max-usd is {max_usd:,.2f}; allow more, or test another option"
        )
    return plan, time.monotonic() - began


def most_usd(plan: Plan) -> float | None:
    """What the deployment bills at most until its hour, by the plan's high estimate."""
    monthly = plan.monthly_usd_high if plan.monthly_usd_high is not None else plan.monthly_usd
    return None if monthly is None else monthly * LASTS / timedelta(hours=HOURS_IN_MONTH)


def carry_out(plan: Plan, planned_s: float, model: Path, emit: Emit) -> Report:
    """Apply, status, predict, destroy: each timed, and destroy whatever happens before it."""
    target = target_for(plan.option)
    report = Report(plan)
    seen = f"{len(plan.resources)} resources, about {plan.expected_minutes:g} min"
    report.steps.append(Step("plan", planned_s, seen))
    try:
        _timed(report, "apply", lambda: target.apply(plan, emit).message)
        if report.steps[-1].ok:
            _timed(report, "status", lambda: _status(target, plan))
            _timed(report, "predict", lambda: _prediction(target, plan, model))
    finally:  # also after Ctrl+C
        _timed(report, "destroy", lambda: _destroy(report, target, emit))
    return report


def _timed(report: Report, verb: str, work: Callable[[], str]) -> None:
    began = time.monotonic()
    try:
        saw, ok = work(), True
    except AdvisorError as error:
        saw, ok = str(error), False
    report.steps.append(Step(verb, time.monotonic() - began, saw, ok))


def _status(target: Target, plan: Plan) -> str:
    status = target.status(plan)
    if status.state != "running":
        raise DeployError(f"{status.state}: {status.message}")
    return f"{status.state}: {status.message}"


def _prediction(target: Target, plan: Plan, model: Path) -> str:
    sample = sample_request(inspect(model).signature)
    if sample is None:
        raise InputError(
            f"{model.name} does not tell what it takes, so nothing was asked; name another --model"
        )
    answer = target.predict(plan, sample.body, sample.content_type)
    return f"{answer.status_code} in {answer.latency_ms:.1f} ms: {str(answer.body)[:SHOWN]}"


def _destroy(report: Report, target: Target, emit: Emit) -> str:
    done = target.destroy(report.plan, emit)
    report.left, report.kept, report.taken_down = done.left_behind, done.kept, True
    if done.left_behind:
        raise DeployError(f"left behind: {', '.join(done.left_behind)}")
    return f"{len(done.removed)} things removed, nothing left"


def _need(chosen: Option, artifact: Artifact, region: str | None) -> Requirements:
    """Little traffic of a small model, asked for in the way that the option answers."""
    modes = [mode.value for mode in chosen.modes]
    here = {"clouds": ["own-hardware"], "node_hourly_usd": 0.1}
    return parse(
        {
            "model": {
                "format": artifact.format,
                "size_mb": max(artifact.size_mb, 1 / BYTES_IN_MB),
                "memory_mb": 500 + 5 * artifact.size_mb,
                "service_time_ms": 20,
            },
            "traffic": {
                "mode": "realtime" if "realtime" in modes else modes[-1],
                "requests_per_month": 1000,
            },
            "service": {"availability_percent": 99},
            "placement": {"regions": [region], "arm": False} if region else here,
        }
    )


def _usd(amount: float | None) -> str:
    return "an unknown sum" if amount is None else f"${amount:,.2f}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
