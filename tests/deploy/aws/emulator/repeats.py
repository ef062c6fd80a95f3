"""Requests that come twice because the first answer was lost: one operation, as at AWS."""

from __future__ import annotations

import time
from typing import Any

from ministack.services.cloudformation import handlers

NOT_BEGUN_S = 1.0  # a deletion shows in the stack's status a little after it was accepted
_accepted: dict[str, tuple[str, float]] = {}


def delete_once() -> None:
    """A stack that is being deleted is not deleted once more; MiniStack would do both at once."""
    delete = handlers._ACTION_HANDLERS["DeleteStack"]

    def deleted(params: Any) -> Any:
        stack = handlers._resolve_stack(handlers._p(params, "StackName"))
        if stack:
            status, at = _accepted.get(stack["StackId"], ("", 0.0))
            fresh = stack["StackStatus"] == status and time.monotonic() - at < NOT_BEGUN_S
            if fresh or stack["StackStatus"] == "DELETE_IN_PROGRESS":
                return handlers._xml(200, "DeleteStackResponse", "")
            _accepted[stack["StackId"]] = (stack["StackStatus"], time.monotonic())
        return delete(params)

    handlers._ACTION_HANDLERS["DeleteStack"] = deleted
