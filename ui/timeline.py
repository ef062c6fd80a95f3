"""The stored events of a run as the steps of a timeline. Nothing in this file knows Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deploy.run_models import RunState, StoredEvent

StepState = Literal["running", "complete", "error"]


@dataclass(frozen=True)
class Step:
    """One step with its lines, oldest first."""

    name: str
    state: StepState
    lines: tuple[StoredEvent, ...]


def steps(run: RunState, events: Sequence[StoredEvent]) -> list[Step]:
    """Consecutive events of one step belong together; only the last step can be running."""
    groups: list[list[StoredEvent]] = []
    for event in events:
        if groups and groups[-1][0].step == event.step:
            groups[-1].append(event)
        else:
            groups.append([event])
    last = len(groups) - 1
    return [
        Step(group[0].step, _state(run, group, is_last=index == last), _without_old_progress(group))
        for index, group in enumerate(groups)
    ]


def _state(run: RunState, group: Sequence[StoredEvent], *, is_last: bool) -> StepState:
    if any(event.level == "error" for event in group):
        return "error"
    if not is_last:
        return "complete"
    if run.is_active:
        return "running"
    return "complete" if run.state in ("succeeded", "cancelled") else "error"


def _without_old_progress(group: Sequence[StoredEvent]) -> tuple[StoredEvent, ...]:
    """Of several progress lines in a row only the newest is news."""
    return tuple(
        event
        for event, following in zip(group, [*group[1:], None], strict=True)
        if not (event.level == "progress" and following and following.level == "progress")
    )
