"""The contract that every deployment target keeps.

`preflight` -> `plan` -> `apply` -> `status` -> `predict` -> `destroy`, all blocking, all going
through one `Target` object (see `deploy.target`). Targets emit events through the `Emit` callback
they are handed, so that the same run can be followed on the page, in a terminal and in a log.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from advisor.errors import InputError
from deploy.acceptance import Acceptance

PLAN_VERSION = 1

Level = Literal["info", "progress", "warning", "error", "done"]
State = Literal["planned", "applying", "running", "failed", "destroying", "destroyed", "unknown"]
Proof = Literal["real process", "emulator", "schema", "real account"]


class Event(BaseModel):
    """One line of a run's append-only log."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    step: str  # e.g. "bundle", "start", "stack", "predict"
    level: Level = "info"
    message: str  # one sentence, fit for a person; never a secret, never a payload
    resource: str | None = None


Emit = Callable[[Event], None]


class Finding(BaseModel):
    """One preflight finding. `fix` says what to do; a blocking one stops `plan`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str
    ok: bool
    blocking: bool
    message: str
    fix: str = ""


class PlannedResource(BaseModel):
    """One thing that apply will create, change, replace or delete."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["create", "update", "replace", "delete", "keep"]
    kind: str  # "AWS::SageMaker::Endpoint", "process", ...
    name: str
    detail: str = ""


class Plan(BaseModel):
    """Exactly what `apply` will do. Written as JSON; `apply` executes this and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan_version: int = PLAN_VERSION
    name: str  # of the deployment: lower case letters, digits, dashes; unique
    option: str
    target: str
    variant: str
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    model_path: str
    model_format: str
    model_digest: str  # sha256 of the model file
    bundle_hash: str  # of the bundle that serves it
    account: str  # "this machine", or the cloud account id
    region: str  # "this machine", or the region
    monthly_usd: float | None  # cloud bill expected; 0.0 for this machine
    monthly_usd_high: float | None = None
    resources: list[PlannedResource]
    public: list[str] = Field(default_factory=list)  # what becomes reachable and from where
    permissions: list[str] = Field(default_factory=list)  # what is granted, to whom
    writes_at_plan_time: list[str] = Field(default_factory=list)
    expected_minutes: float
    proven_by: Proof
    proven_on: str  # date of the last proof, or "never"
    expires_at: datetime | None = None  # when the platform takes it down by itself
    rolls_back: bool = False  # serves a version that the target keeps: no model file is read
    accepted: Acceptance | None = None  # a person's decision to load code of their own
    requirements: dict[str, Any] | None = None  # the answers that it was sized for
    parameters: dict[str, Any] = Field(default_factory=dict)  # target's own, JSON-serialisable
    findings: list[Finding] = Field(default_factory=list)


class Status(BaseModel):
    """The truth as the target sees it now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    option: str
    target: str
    state: State
    message: str
    endpoint: str | None = None
    outputs: dict[str, str] = Field(default_factory=dict)
    resources: list[str] = Field(default_factory=list)
    snippets: dict[str, str] = Field(default_factory=dict)  # {"curl": ..., "python": ...}
    expires_at: datetime | None = None  # deploy.expiry.left puts it into words


class Prediction(BaseModel):
    """What came back from a real request to the endpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    body: Any
    content_type: str
    status_code: int
    latency_ms: float


class DestroyReport(BaseModel):
    """What was removed and what is proved to be gone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    removed: list[str]
    kept: list[str] = Field(default_factory=list)
    left_behind: list[str] = Field(default_factory=list)  # must be empty for success


class Target(abc.ABC):
    """One way to run a bundle. Every verb blocks until done and raises only AdvisorError.

    `request` is a `deploy.requests.PlanRequest`: option id, model artifact, requirements, ranked
    option, name.
    """

    name: str
    proven_by: Proof
    proven_on: str
    can_be_public: bool = False  # may a plan ask that it is reachable from the internet?
    can_expire: bool = False  # may a plan ask for an hour at which it takes itself down?
    builders: tuple[str, ...] = ()  # who may build a plan's image

    def usual_builder(self) -> str:
        """Who builds when a plan does not say; "" where no image is built."""
        return self.builders[0] if self.builders else ""

    @abc.abstractmethod
    def preflight(self, request: Any) -> list[Finding]:
        """Look, change nothing: credentials, permissions, quotas, region, names, free ports."""

    @abc.abstractmethod
    def plan(self, request: Any) -> Plan:
        """What apply would do. Creates nothing that bills. Raises PreflightError on a blocking
        finding, naming all of them."""

    def discard(self, plan: Plan) -> list[str]:
        """Take away what planning wrote into an account, of a plan that nobody applies; what went.

        Fine to repeat; touches nothing that runs. Here planning writes nothing."""
        return []

    def plan_rollback(self, stands: Plan, earlier: Sequence[Plan]) -> Plan:
        """A plan by which the version before `stands` serves again, out of what the target keeps.

        `earlier` are plans that were applied under the name, newest first: one of them made that
        version. Changes nothing that runs. Raises InputError when no version is kept."""
        raise InputError(
            f"{stands.option} keeps no version before the one that runs; plan with the model that "
            "you want"
        )

    @abc.abstractmethod
    def apply(self, plan: Plan, emit: Emit) -> Status:
        """Carry out the plan. Idempotent: a second apply of the same plan finds what is there.

        Raises StalePlanError when the world moved on, DeployError on failure; on failure what this
        apply created is removed again, or named in the message if it could not be."""

    @abc.abstractmethod
    def status(self, plan: Plan) -> Status:
        """Ask the platform. Never raises for a deployment that is gone: state "destroyed"."""

    @abc.abstractmethod
    def predict(self, plan: Plan, body: bytes, content_type: str) -> Prediction:
        """One real request. Raises DeployError with the endpoint's own words on an error."""

    @abc.abstractmethod
    def destroy(self, plan: Plan, emit: Emit) -> DestroyReport:
        """Remove everything by name, also after a failed or half-known apply. Idempotent."""
