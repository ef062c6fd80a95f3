"""CloudFormation stacks, through change sets only: preview, execute that one, follow, undo, delete.

A stack that failed to create rolls back by itself and is then deleted here, so that the next try
finds no corpse; one that failed to update rolls back to the version before and stays.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from advisor.errors import DeployError, StalePlanError
from deploy.aws.session import Aws, code_of, message_of, told
from deploy.aws.stack_events import (
    STEP,
    before_last_operation,
    event_of,
    first_cause,
    opens_operation,
    words,
)
from deploy.aws.stack_models import ChangeSet, Stack, change_of, stack_of
from deploy.target import Emit, Event

HEARTBEAT_S = 20.0
LATE_START_S = 60.0  # CloudFormation shows a new operation a little after it accepted it
NO_CHANGES = ("didn't contain changes", "no updates are to be performed")


class Stacks:
    """The stacks of one account and region. Every verb blocks; `limit_minutes` bounds each wait."""

    def __init__(self, aws: Aws, limit_minutes: float = 180.0) -> None:
        self.aws = aws
        self._limit_s = limit_minutes * 60

    def find(self, name: str) -> Stack | None:
        """The stack of that name or ARN, None when there is none or it is deleted."""
        try:
            with told(f"look at the stack {name}"):
                answer = self._client.describe_stacks(StackName=name)
        except DeployError as error:
            if "does not exist" in message_of(error):
                return None
            raise
        stack = stack_of(answer["Stacks"][0])
        return None if stack.status == "DELETE_COMPLETE" else stack

    def get(self, name: str) -> Stack:
        """The stack of that name. Raises DeployError when there is none."""
        stack = self.find(name)
        if stack is None:
            raise DeployError(f"the stack {name} is gone; plan again")
        return stack

    def prepare(
        self,
        name: str,
        template: str,
        parameters: dict[str, str],
        tags: dict[str, str],
        *,
        change_set_name: str,
        capabilities: tuple[str, ...] = ("CAPABILITY_IAM",),
        role_arn: str | None = None,
    ) -> ChangeSet | None:
        """Make a change set and wait until it is ready; None when it would change nothing.

        A new stack is left in REVIEW_IN_PROGRESS, which bills nothing; `drop` takes it away. What
        a failed create left (ROLLBACK_COMPLETE: a name and its events, no resource) is deleted
        first. Raises DeployError, also when the stack is busy or stuck.
        """
        before = self.find(name)
        if before is not None and before.is_empty_shell:
            self.delete(name, _silent)
            before = None
        if before is not None and (before.is_busy or before.is_stuck):
            raise DeployError(
                f"the stack {name} is {words(before.status)}; "
                f"{'destroy it' if before.is_stuck else 'wait until it has finished'}"
            )
        creating = before is None or before.is_review
        wanted: dict[str, Any] = {
            "StackName": name,
            "ChangeSetName": change_set_name,
            "ChangeSetType": "CREATE" if creating else "UPDATE",
            "TemplateBody": template,
            "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            "Tags": [{"Key": k, "Value": v} for k, v in tags.items()],
            "Capabilities": list(capabilities),
            "ClientToken": change_set_name,
            **({"RoleARN": role_arn} if role_arn else {}),
        }
        arn = self._created(wanted)
        try:
            described = self._settled(name, arn)
        except DeployError:
            self._forget(name, arn, creating)
            raise
        if described["Status"] == "FAILED":
            self._forget(name, arn, creating)
            why = described.get("StatusReason", "no reason given")
            if any(text in why.lower() for text in NO_CHANGES):
                return None
            raise DeployError(f"CloudFormation refused the plan for the stack {name}: {why}")
        return self._change_set(described, creating)

    def read(self, stack: str, change_set: str, *, creates: bool) -> ChangeSet:
        """A stack's change set, by ARN or name, as it stands now; `creates` as it was made.

        Raises StalePlanError when it is gone.
        """
        try:
            described = self._describe(stack, change_set)
        except DeployError as error:
            if "does not exist" in message_of(error):
                raise StalePlanError(
                    f"the change set {_short(change_set)} of this plan is gone: the stack was "
                    "changed or deleted since; plan again"
                ) from None
            raise
        return self._change_set(described, creates)

    def execute(self, change_set: ChangeSet, emit: Emit) -> Stack:
        """Execute exactly this change set and follow it to its end; its events go to `emit`.

        One that already ran, or runs now, is followed or found done. Raises StalePlanError when it
        may no longer be executed, DeployError with CloudFormation's own reason when it failed; a
        stack that failed to create is then rolled back and deleted, one that failed to update
        serves its last version.
        """
        if not change_set.was_started and self.find(change_set.stack_id) is None:
            raise StalePlanError(
                f"the stack {change_set.stack_name} that this plan was made for is gone; plan again"
            )
        events = self._events(change_set.stack_id)
        if change_set.was_started:
            stack = self._follow(
                change_set.stack_id, emit, before_last_operation(events), begun=True
            )
        else:
            seen = {event["EventId"] for event in events}
            self._start(change_set)
            stack = self._follow(change_set.stack_id, emit, seen)
        if stack is not None and stack.is_good:
            return stack
        raise self._failed(change_set, stack, emit)

    def abandon(self, change_set: ChangeSet, emit: Emit) -> None:
        """Take back an execution that somebody gave up: delete a new stack, cancel an update."""
        stack = self.find(change_set.stack_id)
        if stack is None:
            return
        if stack.is_review or stack.status.startswith(("CREATE_", "ROLLBACK_")):
            if change_set.creates:
                self.delete(change_set.stack_id, emit)
            return
        if stack.status == "UPDATE_IN_PROGRESS":
            with told(f"cancel the update of the stack {stack.name}"):
                self._client.cancel_update_stack(StackName=stack.id)
        self._follow(stack.id, emit, before_last_operation(self._events(stack.id)), begun=True)

    def drop(self, stack: str, change_set: str) -> bool:
        """Delete a change set that nobody wants, and the empty stack that it was made under.

        False when it is gone already, or was executed."""
        try:
            described = self._describe(stack, change_set)
        except DeployError as error:
            if "does not exist" in message_of(error):
                return False
            raise
        if described["ExecutionStatus"].startswith("EXECUTE_"):
            return False  # history by now
        under = self.find(described["StackId"])
        self._forget(stack, described["ChangeSetId"], under is not None and under.is_review)
        return True

    def delete(self, name: str, emit: Emit) -> bool:
        """Delete a stack and prove it gone; False when there was none.

        Raises DeployError naming the resources that would not go.
        """
        stack = self.find(name)
        if stack is None:
            return False
        seen = before_last_operation(self._events(stack.id))
        if stack.status.startswith("UPDATE_") and stack.is_busy:
            self._follow(stack.id, emit, seen, begun=True)
        if stack.status != "DELETE_IN_PROGRESS":
            seen = {event["EventId"] for event in self._events(stack.id)}
            with told(f"delete the stack {stack.name}"):
                self._client.delete_stack(StackName=stack.id)
        left = self._follow(stack.id, emit, seen, begun=stack.status == "DELETE_IN_PROGRESS")
        if left is not None:
            kept = ", ".join(self.resources(stack.id)) or "unknown"
            raise DeployError(
                f"the stack {stack.name} is not deleted ({left.status}: {left.reason}); left "
                f"behind: {kept}; destroy it again"
            )
        return True

    def resources(self, name: str) -> list[str]:
        """ "Type physical-id" of everything that the stack holds now."""
        with told(f"list the resources of the stack {name}"):
            pages = self._client.get_paginator("list_stack_resources").paginate(StackName=name)
            return [
                f"{item['ResourceType']} {item.get('PhysicalResourceId', '')}".strip()
                for page in pages
                for item in page["StackResourceSummaries"]
                if item["ResourceStatus"] != "DELETE_COMPLETE"
            ]

    def names(self, prefix: str) -> list[Stack]:
        """Every living stack whose name begins with the prefix."""
        with told("list the stacks of the account"):
            pages = self._client.get_paginator("list_stacks").paginate()
            found = [
                item["StackName"]
                for page in pages
                for item in page["StackSummaries"]
                if item["StackStatus"] != "DELETE_COMPLETE"
            ]
        stacks = (self.find(name) for name in found if name.startswith(prefix))
        return [stack for stack in stacks if stack is not None]

    @property
    def _client(self) -> Any:
        return self.aws.client("cloudformation")

    def _created(self, wanted: dict[str, Any]) -> str:
        """ARN of the change set. One of that name is ours: names are unique, and a request whose
        answer was lost, or whose process died, has made it."""
        stack, name = wanted["StackName"], wanted["ChangeSetName"]
        try:
            with told(f"prepare the stack {stack}"):
                made: str = self._client.create_change_set(**wanted)["Id"]
        except DeployError as error:
            if code_of(error) != "AlreadyExistsException":
                raise
            made = self._describe(stack, name)["ChangeSetId"]
        return made

    def _settled(self, stack: str, arn: str) -> dict[str, Any]:
        for _ in self._ticks():
            described = self._describe(stack, arn)
            if described["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                return described
        raise DeployError(f"CloudFormation has not made the change set {_short(arn)} in time")

    def _describe(self, stack: str, change_set: str) -> dict[str, Any]:
        # Both, although an ARN alone would do: permissions are given on stacks.
        which = {"StackName": stack, "ChangeSetName": change_set}
        with told(f"read the change set {_short(change_set)}"):
            described: dict[str, Any] = self._client.describe_change_set(**which)
            while "NextToken" in described:
                more = self._client.describe_change_set(
                    **which, NextToken=described.pop("NextToken")
                )
                described["Changes"] += more["Changes"]
                if "NextToken" in more:
                    described["NextToken"] = more["NextToken"]
        return described

    def _change_set(self, described: dict[str, Any], creates: bool) -> ChangeSet:
        return ChangeSet(
            arn=described["ChangeSetId"],
            stack_id=described["StackId"],
            stack_name=described["StackName"],
            creates=creates,
            execution=described["ExecutionStatus"],
            changes=tuple(change_of(c["ResourceChange"]) for c in described.get("Changes", [])),
        )

    def _start(self, change_set: ChangeSet) -> None:
        if not change_set.is_available:
            raise StalePlanError(
                f"the change set of this plan can no longer be executed ({change_set.execution}): "
                f"the stack {change_set.stack_name} was changed since; plan again"
            )
        try:
            with told(f"execute the change set of the stack {change_set.stack_name}"):
                self._client.execute_change_set(
                    StackName=change_set.stack_name,
                    ChangeSetName=change_set.arn,
                    ClientRequestToken=uuid.uuid4().hex,
                )
        except DeployError as error:
            if code_of(error) in ("InvalidChangeSetStatus", "ChangeSetNotFound"):
                if self._now(change_set).was_started:
                    return  # the answer to an earlier try was lost, or somebody else was first
                raise StalePlanError(
                    f"the change set of this plan can no longer be executed: {error}; plan again"
                ) from None
            raise

    def _now(self, change_set: ChangeSet) -> ChangeSet:
        return self.read(change_set.stack_name, change_set.arn, creates=change_set.creates)

    def _follow(
        self, stack_id: str, emit: Emit, seen: set[str], *, begun: bool = False
    ) -> Stack | None:
        """Emit new events in order, once each, until the stack rests; None when it is deleted."""
        began_at = told_at = time.monotonic()
        for _ in self._ticks():
            had_begun = begun  # a status read before the opening event is that of the time before
            with told("look at the stack"):
                stack = stack_of(self._client.describe_stacks(StackName=stack_id)["Stacks"][0])
            fresh = [e for e in self._events(stack_id, seen) if e["EventId"] not in seen]
            for raw in reversed(fresh):
                seen.add(raw["EventId"])
                begun = begun or opens_operation(raw)
                emit(event_of(raw))
                told_at = time.monotonic()
            if stack.status == "DELETE_COMPLETE":
                return None
            late = time.monotonic() - began_at > LATE_START_S
            if not stack.is_busy and (had_begun or late):
                return stack
            if time.monotonic() - told_at > HEARTBEAT_S:
                told_at = time.monotonic()
                emit(Event(step=STEP, level="progress", message=f"Still {words(stack.status)} …"))
        raise DeployError(
            f"the stack {stack_id.split('/')[1]} has not come to rest within "
            f"{self._limit_s / 60:.0f} minutes; ask for its status later, or destroy it"
        )

    def _failed(self, change_set: ChangeSet, stack: Stack | None, emit: Emit) -> DeployError:
        why = first_cause(self._events(change_set.stack_id)) or (stack.reason if stack else "")
        said = f"the stack {change_set.stack_name} failed at {why or 'a step that gave no reason'}"
        if stack is None:
            return DeployError(f"{said}; it was deleted, nothing is left")
        if not stack.never_stood:
            if stack.status != "UPDATE_ROLLBACK_COMPLETE":
                return DeployError(
                    f"{said}; it could not be rolled back ({words(stack.status)}): let CloudFormation "
                    "continue its rollback, or destroy it"
                )
            if change_set.creates:  # an update failed that came after this plan
                return StalePlanError(f"{said}, in an update after this plan; plan again")
            if change_set.was_started and not change_set.is_open:
                return StalePlanError(
                    f"{said}, in an apply before this one; it was rolled back and serves its version "
                    "from before; plan again"
                )
            return DeployError(
                f"{said}; it was rolled back and serves its version from before; mend that and plan "
                "again"
            )
        try:
            self.delete(change_set.stack_id, emit)
        except DeployError as error:
            return DeployError(f"{said}; and {error}")
        return DeployError(
            f"{said}; it was rolled back and deleted, nothing of it is left; mend that and plan again"
        )

    def _events(self, stack_id: str, until: set[str] | None = None) -> Iterator[dict[str, Any]]:
        """Events, newest first; reading stops at a page that holds one of `until`."""
        with told("read the stack's events"):
            pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id)
            for page in pages:
                yield from page["StackEvents"]
                if until and any(e["EventId"] in until for e in page["StackEvents"]):
                    return

    def _forget(self, name: str, arn: str, with_stack: bool) -> None:
        with told(f"take back the change set {_short(arn)}"):
            self._client.delete_change_set(StackName=name, ChangeSetName=arn)
            if not with_stack:
                return
            stack = self.find(name)
            others = self._client.list_change_sets(StackName=name)["Summaries"] if stack else []
        if stack is not None and stack.is_review and not others:
            self.delete(name, _silent)

    def _ticks(self) -> Iterator[None]:
        until = time.monotonic() + self._limit_s
        while time.monotonic() < until:
            yield
            time.sleep(self.aws.settings.poll_seconds)


def _silent(event: Event) -> None:
    """For housekeeping that nobody follows."""


def _short(arn: str) -> str:
    return arn.split("changeSet/")[-1].split("/")[0]
