"""What a stack that stands tells of its deployment, in the words of the targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploy.aws.stack_models import Stack
from deploy.target import Plan, State


@dataclass(frozen=True)
class Seen:
    """What the service itself says of a stack that stands."""

    state: State
    message: str
    endpoint: str | None = None
    snippets: dict[str, str] = field(default_factory=dict)


def state_of(stack: Stack) -> State:
    """What CloudFormation's status means for the deployment."""
    if stack.is_review:
        return "planned"
    if stack.status == "DELETE_IN_PROGRESS":
        return "destroying"
    if stack.is_good or stack.status.startswith("UPDATE_ROLLBACK_COMPLETE"):
        return "running"
    if stack.is_busy:
        # An update is rolled out beside the version that serves.
        return "running" if stack.status.startswith("UPDATE_") else "applying"
    return "failed"


def sample_body(parameters: dict[str, Any]) -> str:
    """A request for the snippets: the plan's sample, else a form to fill in."""
    return str(parameters.get("sample") or '{"instances": [...]}')


def gone(plan: Plan) -> str:
    """Why there is no stack."""
    if plan.expires_at is not None and plan.expires_at <= datetime.now(UTC):
        return (
            f"{plan.name} expired on {plan.expires_at:%Y-%m-%d %H:%M} UTC and is gone; destroy it "
            "to remove its image as well"
        )
    return f"{plan.name} is not in this account"


def former_image(stack: Stack | None, image: str) -> str:
    """The tag to keep, once `image` runs in the stack: of what it runs now, or what it kept before."""
    if stack is None or stack.is_review or stack.is_empty_shell:
        return ""
    if stack.image_tag == image:
        return stack.parameters.get("FormerImageTag", "")
    return stack.image_tag
