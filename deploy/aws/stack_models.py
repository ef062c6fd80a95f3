"""What a stack and a change set are, apart from how they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from deploy.expiry import from_tag
from deploy.target import PlannedResource

GOOD = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}
STUCK = {"CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"}
Action = Literal["create", "update", "replace", "delete"]
ACTIONS: dict[str, Action] = {"Add": "create", "Modify": "update", "Remove": "delete"}


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation describes it."""

    id: str
    name: str
    status: str
    reason: str
    outputs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    created_at: datetime | None = None

    @property
    def image_tag(self) -> str:
        """Tag of the image that a deployment's stack runs; "" where its template has none."""
        return self.parameters.get("ImageUri", "").rpartition(":")[2]

    @property
    def image_tags(self) -> set[str]:
        """That image, and the one before it where the stack keeps it for going back."""
        return {self.image_tag, self.parameters.get("FormerImageTag", "")} - {""}

    @property
    def expires_at(self) -> datetime | None:
        """When the account takes it down by itself."""
        return from_tag(self.parameters.get("ExpiresOn", ""))

    @property
    def is_busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and not self.is_review

    @property
    def is_review(self) -> bool:
        """Only a preview so far: no resource, nothing that bills."""
        return self.status == "REVIEW_IN_PROGRESS"

    @property
    def is_good(self) -> bool:
        return self.status in GOOD

    @property
    def is_empty_shell(self) -> bool:
        """What a failed create leaves after its rollback: no resource, only a name in the way."""
        return self.status == "ROLLBACK_COMPLETE"

    @property
    def never_stood(self) -> bool:
        """Its create failed, whether or not that could be rolled back."""
        return self.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")

    @property
    def is_stuck(self) -> bool:
        """A failure that CloudFormation could not undo: it may still hold resources."""
        return self.status in STUCK


@dataclass(frozen=True)
class Change:
    """One resource that a change set creates, changes, replaces or removes."""

    action: Action
    kind: str
    logical_id: str
    physical_id: str
    detail: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What a plan holds on to: action, type and logical id."""
        return (self.action, self.kind, self.logical_id)

    def planned(self) -> PlannedResource:
        name = self.physical_id or self.logical_id
        return PlannedResource(action=self.action, kind=self.kind, name=name, detail=self.detail)


@dataclass(frozen=True)
class ChangeSet:
    """A change set: what it is for, what it would do, and whether it still may."""

    arn: str
    stack_id: str
    stack_name: str
    creates: bool
    execution: str
    changes: tuple[Change, ...]

    @property
    def is_available(self) -> bool:
        return self.execution == "AVAILABLE"

    @property
    def was_started(self) -> bool:
        return self.execution.startswith("EXECUTE_")

    @property
    def is_open(self) -> bool:
        """Not executed yet, or at it: what comes of it is this run's doing."""
        return self.is_available or self.execution == "EXECUTE_IN_PROGRESS"


def stack_of(raw: dict[str, Any]) -> Stack:
    """A Stack from one entry of DescribeStacks."""
    return Stack(
        id=raw["StackId"],
        name=raw["StackName"],
        status=raw["StackStatus"],
        reason=raw.get("StackStatusReason", ""),
        outputs={o["OutputKey"]: o["OutputValue"] for o in raw.get("Outputs", [])},
        tags={t["Key"]: t["Value"] for t in raw.get("Tags", [])},
        parameters={
            p["ParameterKey"]: p.get("ParameterValue", "") for p in raw.get("Parameters", [])
        },
        created_at=raw.get("CreationTime"),
    )


def change_of(raw: dict[str, Any]) -> Change:
    """A Change from one ResourceChange of DescribeChangeSet."""
    action = ACTIONS.get(raw["Action"], "update")  # "Dynamic": only known while executing
    replacement = raw.get("Replacement", "False")
    if action == "update" and replacement == "True":
        action = "replace"
    changed = sorted(
        {d["Target"].get("Name") or d["Target"]["Attribute"] for d in raw.get("Details", [])}
    )
    detail = f"changes {', '.join(changed)}" if changed else ""
    if action == "update" and replacement == "Conditional":
        detail += "; may be replaced"
    return Change(
        action=action,
        kind=raw["ResourceType"],
        logical_id=raw["LogicalResourceId"],
        physical_id=raw.get("PhysicalResourceId", ""),
        detail=detail.lstrip("; "),
    )
