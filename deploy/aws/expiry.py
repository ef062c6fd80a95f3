"""Schedules of the account that delete a trial's stack at its hour, whoever is at work then.

A schedule names the stack by its id, so that it never takes down a later one of the same name; it
lives in the bootstrap stack's group and works as the bootstrap's expiry role.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from advisor.errors import DeployError, PreflightError
from deploy.aws.bootstrap import STACK_NAME, Bootstrap
from deploy.aws.session import Aws, code_of, told
from deploy.aws.wanted import stack_name

DELETE_STACK = "arn:{partition}:scheduler:::aws-sdk:cloudformation:deleteStack"
# As often and as long as EventBridge Scheduler tries at most: a throttled hour is not the end.
RETRIES = {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}
NOT_THERE = "ResourceNotFoundException"


class Schedules:
    """The one-time schedules of an account's trials; every verb is fine to repeat."""

    def __init__(self, aws: Aws, bootstrap: Bootstrap) -> None:
        self._aws = aws
        self._bootstrap = bootstrap

    def put(self, deployment: str, stack_id: str, at: datetime) -> None:
        """Delete the stack of that id at that hour, instead of at an earlier said one.

        Raises PreflightError where the bootstrap stack is too old, DeployError.
        """
        if not self._bootstrap.expiry_role_arn:
            raise PreflightError(
                f"the stack {STACK_NAME} knows no expiry: an older version made it; plan again, "
                "which renews it"
            )
        self._write(self._wanted(deployment, stack_id, f"at({at:%Y-%m-%dT%H:%M:%S})"), deployment)

    def find(self, deployment: str) -> dict[str, Any] | None:
        """The schedule as it stands, None where there is none."""
        if not self._bootstrap.expiry_group:
            return None
        try:
            with told(f"look for the expiry of {deployment}"):
                found: dict[str, Any] = self._client.get_schedule(**self._key(deployment))
        except DeployError as error:
            if code_of(error) == NOT_THERE:
                return None
            raise
        return found

    def restore(self, deployment: str, former: dict[str, Any] | None) -> None:
        """As `find` gave it before something that failed."""
        if former is None:
            self.remove(deployment)
            return
        target = json.loads(former["Target"]["Input"])["StackName"]
        self._write(self._wanted(deployment, target, former["ScheduleExpression"]), deployment)

    def remove(self, deployment: str) -> bool:
        """No expiry any more; was there one?"""
        if not self._bootstrap.expiry_group:
            return False
        try:
            with told(f"remove the expiry of {deployment}"):
                self._client.delete_schedule(**self._key(deployment))
        except DeployError as error:
            if code_of(error) == NOT_THERE:
                return False
            raise
        return True

    @property
    def _client(self) -> Any:
        return self._aws.client("scheduler")

    def _key(self, deployment: str) -> dict[str, str]:
        return {"Name": stack_name(deployment), "GroupName": self._bootstrap.expiry_group}

    def _wanted(self, deployment: str, stack_id: str, expression: str) -> dict[str, Any]:
        role = self._bootstrap.expiry_role_arn
        return self._key(deployment) | {
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Description": f"Takes the trial {deployment} down",
            "Target": {
                "Arn": DELETE_STACK.format(partition=role.split(":")[1]),
                "RoleArn": role,
                "Input": json.dumps({"StackName": stack_id}),
                "RetryPolicy": RETRIES,
            },
        }

    def _write(self, wanted: dict[str, Any], deployment: str) -> None:
        with told(f"set the expiry of {deployment}"):
            try:
                self._client.create_schedule(**wanted)
            except self._client.exceptions.ConflictException:
                self._client.update_schedule(**wanted)
