"""The workflows of an apply and a destroy, and their steps.

A step that was interrupted runs again, so each looks before it acts. Expected errors are carried
in the steps' outcomes; anything else closes the run as failed and goes on to the log.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

from dbos import DBOS

from advisor.errors import AdvisorError, DeployError, RunCancelledError, StalePlanError
from deploy.artifact import look_again
from deploy.files import sha256_of
from deploy.registry import target
from deploy.run_engine import Engine, current
from deploy.sample import Sample, sample_request
from deploy.target import Emit, Event, Level, Plan, State

RECOVERIES = 20
TOLD_ANSWER_CHARACTERS = 200


class Outcome(TypedDict):
    """What a step found. Recorded, and read again when the run resumes after that step."""

    error: str | None
    exit_code: int
    cancelled: bool
    result: dict[str, Any]


Action = Callable[[Plan, Emit], dict[str, Any]]


def check_not_stale(plan: Plan) -> None:
    """Raises StalePlanError when the model file is not the one that was planned, InputError when
    it is gone. A plan that goes back to a version which is kept reads no model file."""
    if plan.rolls_back:
        return
    digest = sha256_of(Path(plan.model_path))
    if digest != plan.model_digest:
        raise StalePlanError(
            f"{plan.model_path} changed after the plan was made (its digest is {digest[:12]}, the "
            f"plan says {plan.model_digest[:12]}); plan again"
        )


@DBOS.workflow(name="apply", max_recovery_attempts=RECOVERIES)
def apply_workflow(run_id: str) -> None:
    with Carried(run_id) as carried:
        if carried.is_finished:
            return
        result: dict[str, Any] = {}
        for step in (check_step, apply_step, smoke_step):
            outcome = step(run_id)
            result |= outcome["result"]
            if outcome["error"] is not None:
                close_failed_apply_step(run_id, outcome, result)
                return
        engine = current()
        engine.finish(run_id, "succeeded", deployment="running", result=result)


@DBOS.workflow(name="destroy", max_recovery_attempts=RECOVERIES)
def destroy_workflow(run_id: str) -> None:
    with Carried(run_id) as carried:
        if carried.is_finished:
            return
        outcome = destroy_step(run_id)
        if outcome["error"] is None:
            done = outcome["result"]
            current().finish(run_id, "succeeded", deployment="destroyed", result=done)
        else:
            close_failed_destroy_step(run_id, outcome)


@DBOS.step()
def check_step(run_id: str) -> Outcome:
    def check(plan: Plan, emit: Emit) -> dict[str, Any]:
        check_not_stale(plan)
        name = Path(plan.model_path).name
        said = f"{name} is the model that was planned"
        if plan.rolls_back:
            said = f"Going back to the version of {name} with the digest {plan.model_digest[:12]}"
        emit(event_of("check", said, "done"))
        return {}

    return outcome_of(run_id, check)


@DBOS.step()
def apply_step(run_id: str) -> Outcome:
    def apply(plan: Plan, emit: Emit) -> dict[str, Any]:
        status = target(plan.target).apply(plan, emit)
        return {"endpoint": status.endpoint, "outputs": status.outputs, "applied": True}

    return outcome_of(run_id, apply)


@DBOS.step()
def smoke_step(run_id: str) -> Outcome:
    return outcome_of(run_id, _smoke_test)


@DBOS.step()
def destroy_step(run_id: str) -> Outcome:
    def destroy(plan: Plan, emit: Emit) -> dict[str, Any]:
        report = target(plan.target).destroy(plan, emit)
        if report.left_behind:
            left = ", ".join(report.left_behind)
            raise DeployError(f"{plan.name} is not all gone, left behind: {left}; destroy it again")
        return {"removed": report.removed, "kept": report.kept}

    return outcome_of(run_id, destroy, cancellable=False)


@DBOS.step()
def close_failed_apply_step(run_id: str, outcome: Outcome, result: dict[str, Any]) -> None:
    """Say what stands now: what stood before, an endpoint that gave no prediction, or nothing.

    A cancelled first apply is taken away whole; a cancelled update leaves what the target left.
    """
    store = current().store
    own = store.plan(store.run(run_id).plan_digest)
    before = store.standing_plan(store.run(run_id).name)
    error, now = outcome["error"], own if result.get("applied") else before or own
    if outcome["cancelled"] and before is None:
        removal = remove(own, emitter(run_id))
        error = removal["error"] or error
        state: State = "failed" if removal["error"] else "destroyed"
    else:
        state, result["endpoint"] = standing(now)
    as_asked = outcome["cancelled"] and error == outcome["error"]
    current().append(run_id, event_of("end", error or "", "warning" if as_asked else "error"))
    current().finish(
        run_id,
        "cancelled" if outcome["cancelled"] else "failed",
        deployment=state,
        result=result,
        plan=now,
        error=error,
        exit_code=outcome["exit_code"],
    )


@DBOS.step()
def close_failed_destroy_step(run_id: str, outcome: Outcome) -> None:
    store = current().store
    state, endpoint = standing(store.plan(store.run(run_id).plan_digest))
    current().append(run_id, event_of("end", outcome["error"] or "", "error"))
    current().finish(
        run_id,
        "failed",
        deployment=state,
        result={"endpoint": endpoint},
        error=outcome["error"],
        exit_code=outcome["exit_code"],
    )


class Carried:
    """This process carries the run; an error that nobody expected closes it as failed."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._engine = current()
        self._working = self._engine.working_on(run_id)
        self.is_finished = False

    def __enter__(self) -> Carried:
        with ExitStack() as when_stopped:
            when_stopped.enter_context(self._working)
            store = self._engine.store
            before = store.mark_running(self._run_id, self._engine.executor.name)
            self.is_finished = not before.is_active
            if before.state == "running":
                said = "The process that carried this run ended; the run goes on in another one"
                self._engine.append(self._run_id, event_of("resume", said, "warning"))
            when_stopped.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # While stopping, everything fails that touches the closed engine: not the run's fault.
            if isinstance(error, Exception) and not self._engine.stopping.is_set():
                said = f"an error nobody expected, {type(error).__name__}: {error}; see the log"
                self._engine.append(self._run_id, event_of("end", said, "error"))
                self._engine.finish(
                    self._run_id, "failed", deployment="unknown", result={}, error=said, exit_code=1
                )
        finally:
            self._working.__exit__(kind, error, trace)


def outcome_of(run_id: str, act: Action, *, cancellable: bool = True) -> Outcome:
    store = current().store
    plan = store.plan(store.run(run_id).plan_digest)
    emit = _CancellingEmitter(run_id) if cancellable else emitter(run_id)
    try:
        if isinstance(emit, _CancellingEmitter):
            emit.check()
        result = act(plan, emit)
        current().check_carries(run_id)
    except AdvisorError as error:
        current().check_carries(run_id)
        # A target may have put the cancellation into words of its own.
        cancelled = isinstance(emit, _CancellingEmitter) and emit.cancelled
        said = "cancelled; what the run made was taken back" if cancelled else str(error)
        return Outcome(error=said, exit_code=error.exit_code, cancelled=cancelled, result={})
    return Outcome(error=None, exit_code=0, cancelled=False, result=result)


def _smoke_test(plan: Plan, emit: Emit) -> dict[str, Any]:
    """One real prediction. An empty result when the model does not tell what it takes."""
    sample = _sample(plan)
    if sample is None:
        said = "No prediction was tried: the model file does not tell what it takes; try your own"
        emit(event_of("predict", said, "warning"))
        return {"prediction": None}
    emit(event_of("predict", f"Asking for a prediction of {sample.note}"))
    prediction = target(plan.target).predict(plan, sample.body, sample.content_type)
    answer = json.dumps(prediction.body)
    short = answer[:TOLD_ANSWER_CHARACTERS]
    emit(
        event_of(
            "predict",
            f"The endpoint answered {short}{'…' if len(answer) > len(short) else ''} in "
            f"{prediction.latency_ms:.1f} ms",
            "done",
        )
    )
    return {"sample": sample.note, "prediction": prediction.model_dump(mode="json")}


def _sample(plan: Plan) -> Sample | None:
    """The plan's own sample; where the target planned none, one made from the model's signature."""
    if "sample" not in plan.parameters:
        return sample_request(look_again(plan.model_path, plan.accepted).signature)
    body = plan.parameters["sample"]
    if not isinstance(body, str):
        return None
    note = str(plan.parameters.get("sample_note") or "the plan's own sample")
    return Sample(body.encode(), "application/json", note)


def remove(plan: Plan, emit: Emit) -> Outcome:
    try:
        left = target(plan.target).destroy(plan, emit).left_behind
        error = f"cancelled, but left behind: {', '.join(left)}; destroy it" if left else None
    except AdvisorError as problem:
        error = f"cancelled, but not taken away: {problem}; destroy it"
    return Outcome(error=error, exit_code=1, cancelled=True, result={})


def standing(plan: Plan) -> tuple[State, str | None]:
    """What the target says is there after a failure."""
    try:
        status = target(plan.target).status(plan)
    except AdvisorError:
        return "unknown", None
    return ("failed" if status.state == "destroyed" else status.state), status.endpoint


class _CancellingEmitter:
    """Stores events; raises RunCancelledError once when somebody asked to cancel the run."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._store = current().store
        self._emit = emitter(run_id)
        self.cancelled = False

    def __call__(self, event: Event) -> None:
        self._emit(event)
        self.check()

    def check(self) -> None:
        # Once only: the target's own clearing up emits too and must not be cut short.
        if not self.cancelled and self._store.run(self._run_id).cancel_requested:
            self.cancelled = True
            raise RunCancelledError("the run was cancelled")


def emitter(run_id: str) -> Emit:
    engine: Engine = current()

    def emit(event: Event) -> None:
        engine.check_carries(run_id)
        engine.append(run_id, event)

    return emit


def event_of(step: str, message: str, level: Level = "info") -> Event:
    return Event(step=step, message=message, level=level)
