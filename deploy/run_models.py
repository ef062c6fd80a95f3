"""What viewers read of deployments and their runs."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from deploy.target import Event, Plan, State

Kind = Literal["apply", "destroy", "move", "rollback"]
RunStatus = Literal["pending", "running", "succeeded", "failed", "cancelled"]
ACTIVE: tuple[RunStatus, ...] = ("pending", "running")

VOLATILE_IN_PLANS = {"created_at", "findings", "proven_on", "requirements"}


class Stopped(BaseException):
    """Ends a step because the process stops, or because another one carries the run by now. Not an
    error: nothing is undone, the run goes on there exactly as after a crash."""


class StoredEvent(Event):
    """An event with its place in the log: ask for the events after this id."""

    id: int
    run_id: str


class RunState(BaseModel):
    """One run as it stands. `result` holds what the steps found: endpoint, prediction, removed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    name: str
    kind: Kind
    state: RunStatus
    plan_digest: str
    by: str = ""
    cancel_requested: bool = False
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None  # one sentence
    exit_code: int | None = None  # what a terminal exits with; None while the run is active
    result: dict[str, Any] = Field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE


class Deployment(BaseModel):
    """A deployment by name. `state` is what its runs know; ask the target for the truth now.

    After a move `plan.name`, the name of what stands, is another than `name`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    option: str
    target: str
    plan: Plan
    state: State
    endpoint: str | None
    active_run: str | None
    last_run: RunState
    created_at: datetime
    updated_at: datetime


def plan_digest(plan: Plan) -> str:
    """SHA-256 of what the plan does; plans made at another time to the same end share it."""
    document = plan.model_dump(mode="json", exclude=VOLATILE_IN_PLANS)
    # As in plans that were stored before there was either.
    if plan.expires_at is None:
        del document["expires_at"]
    if not plan.rolls_back:
        del document["rolls_back"]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
