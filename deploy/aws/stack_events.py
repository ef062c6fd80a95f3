"""What CloudFormation tells while it works, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from deploy.target import Event, Level

STEP = "stack"
# What CloudFormation says of a resource that another one's failure stopped.
CANCELLED = re.compile(r"^Resource (creation|update|deletion) cancelled")
OPENINGS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")


def event_of(raw: dict[str, Any]) -> Event:
    """A run's event from one entry of DescribeStackEvents."""
    status = raw["ResourceStatus"]
    level: Level = "progress" if status.endswith("_IN_PROGRESS") else "info"
    if status.endswith("_FAILED") or "ROLLBACK" in status:
        level = "warning"
    reason = raw.get("ResourceStatusReason", "")
    return Event(
        step=STEP,
        level=level,
        message=f"{raw['LogicalResourceId']} {words(status)}{f': {reason}' if reason else ''}",
        resource=f"{raw['ResourceType']} {raw.get('PhysicalResourceId', '')}".strip(),
    )


def opens_operation(raw: dict[str, Any]) -> bool:
    """Does this event open an operation on the stack as a whole?"""
    whole = raw.get("PhysicalResourceId") == raw["StackId"]
    return whole and raw["ResourceStatus"] in OPENINGS


def before_last_operation(newest_first: Iterable[dict[str, Any]]) -> set[str]:
    """Ids of the events that came before the last operation began."""
    ids: set[str] = set()
    begun = False
    for raw in newest_first:
        if begun:
            ids.add(raw["EventId"])
        begun = begun or opens_operation(raw)
    return ids


def first_cause(newest_first: Iterable[dict[str, Any]]) -> str:
    """The first failure of the last create or update: "Logical (Type): CloudFormation's words"."""
    cause = ""
    for raw in newest_first:
        reason = raw.get("ResourceStatusReason", "")
        if raw["ResourceStatus"].endswith("_FAILED") and reason and not CANCELLED.match(reason):
            cause = f"{raw['LogicalResourceId']} ({raw['ResourceType']}): {reason.rstrip('.')}"
        if opens_operation(raw) and not raw["ResourceStatus"].startswith("DELETE_"):
            break
    return cause


def words(status: str) -> str:
    """CREATE_IN_PROGRESS -> "create in progress"."""
    return status.replace("_", " ").lower()
