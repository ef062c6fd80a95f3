"""Following a stack when CloudFormation moves on between two of our reads."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from aws_support import Log

from deploy.aws.stacks import Stacks

ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/mda-test/1"


class Account:
    """Its stack's status is read in the moment before the deletion's first event is shown."""

    def __init__(self, statuses: list[str]) -> None:
        self.statuses = statuses
        self.settings = SimpleNamespace(poll_seconds=0.0)
        self.deleted = False

    def client(self, service: str) -> Account:
        assert service == "cloudformation"
        return self

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        stack = {"StackId": ID, "StackName": "mda-test", "StackStatus": status}
        return {"Stacks": [stack | {"CreationTime": datetime.now(UTC)}]}

    def delete_stack(self, StackName: str) -> None:
        self.deleted = True

    def get_paginator(self, operation: str) -> SimpleNamespace:
        assert operation == "describe_stack_events"
        return SimpleNamespace(paginate=lambda **_: [{"StackEvents": self._events()}])

    def _events(self) -> list[dict[str, Any]]:
        statuses = ["CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE"]
        statuses += ["DELETE_IN_PROGRESS"] if self.deleted else []
        events = [
            {
                "EventId": str(number),
                "StackId": ID,
                "PhysicalResourceId": ID,
                "LogicalResourceId": "mda-test",
                "ResourceType": "AWS::CloudFormation::Stack",
                "ResourceStatus": status,
            }
            for number, status in enumerate(statuses)
        ]
        return events[::-1]


def test_a_status_from_before_the_deletion_is_not_taken_for_its_end() -> None:
    # Looked at before the request, then stale beside the first event, then as it is.
    reads = ["ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"]
    log = Log()
    assert Stacks(Account(reads)).delete("mda-test", log)  # type: ignore[arg-type]
    assert log.messages == ["mda-test delete in progress"]
