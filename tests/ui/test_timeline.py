"""Stored events as the steps of a timeline."""

from __future__ import annotations

from datetime import UTC, datetime

from deploy.run_models import RunState, StoredEvent
from ui import timeline

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def run(state: str) -> RunState:
    return RunState(
        run_id="r", name="m", kind="apply", state=state, plan_digest="d", created_at=NOW
    )


def event(number: int, step: str, level: str = "info") -> StoredEvent:
    return StoredEvent(
        id=number, run_id="r", at=NOW, step=step, level=level, message=f"{step} {number}"
    )


def test_only_the_last_step_of_an_active_run_is_running() -> None:
    found = timeline.steps(run("running"), [event(1, "bundle"), event(2, "start")])
    assert [(s.name, s.state) for s in found] == [("bundle", "complete"), ("start", "running")]


def test_a_finished_run_has_no_running_step() -> None:
    events = [event(1, "bundle"), event(2, "predict", "done")]
    assert {s.state for s in timeline.steps(run("succeeded"), events)} == {"complete"}


def test_the_last_step_of_a_failed_run_is_an_error() -> None:
    found = timeline.steps(run("failed"), [event(1, "bundle"), event(2, "start")])
    assert [s.state for s in found] == ["complete", "error"]


def test_a_run_that_was_cancelled_as_asked_has_no_step_that_failed() -> None:
    events = [event(1, "cancel", "warning"), event(2, "end", "warning")]
    assert {s.state for s in timeline.steps(run("cancelled"), events)} == {"complete"}
    events[1] = event(2, "end", "error")  # something is left behind
    assert timeline.steps(run("cancelled"), events)[1].state == "error"


def test_of_several_progress_lines_the_newest_stays() -> None:
    events = [event(1, "start"), event(2, "start", "progress"), event(3, "start", "progress")]
    (step,) = timeline.steps(run("running"), events)
    assert [line.id for line in step.lines] == [1, 3]


def test_no_events_no_steps() -> None:
    assert timeline.steps(run("pending"), []) == []
