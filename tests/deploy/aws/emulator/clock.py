"""A clock that a test moves: schedules fire, as their own role, and do what they say.

MiniStack keeps schedules and knows no universal target. Here the ones that are used are called for
real: a session of the schedule's role, signed, so that the role's policy decides.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from datetime import datetime
from typing import Any

import botocore.session
import time_machine
from builds import session_of
from ministack.core import iam_actions
from ministack.core.responses import get_region
from ministack.services import cloudformation, iam, scheduler

DELETE_STACK = "arn:aws:scheduler:::aws-sdk:cloudformation:deleteStack"
START_TRANSFORM = "arn:aws:scheduler:::aws-sdk:sagemaker:createTransformJob"
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
LIMIT_S = 60.0
_travels: list[Any] = []


def authorize_in_groups() -> None:
    """Calls on a schedule are authorized in its own group, as AWS does; MiniStack knows one."""
    resource_of = iam_actions.extract_resource_arn

    def found(
        service: str, method: str, path: str, headers: Any, body: bytes, query: Any, *rest: Any
    ) -> Any:
        arn = resource_of(service, method, path, headers, body, query, *rest)
        if service != "scheduler" or ":schedule/" not in arn:
            return arn
        named = query.get("groupName") or json.loads(body or b"{}").get("GroupName", "default")
        group = named[0] if isinstance(named, list) else named
        return arn.replace(":schedule/default/", f":schedule/{group}/")

    iam_actions.extract_resource_arn = found


def later(seconds: float) -> None:
    """The account's own clock is that far ahead of the machine's from now on: signatures, sessions
    and certificates are looked at by it. 0 puts it right."""
    while _travels:
        _travels.pop().stop()
    if seconds:
        _travels.append(time_machine.travel(time.time() + seconds, tick=True))
        _travels[-1].start()


def advance(endpoint: str, to: str) -> list[str]:
    """Fire every schedule that is due at that ISO time; the names of those that did."""
    now, fired = datetime.fromisoformat(to), []
    for key, schedule in list(scheduler._schedules.items()):
        if not _due(schedule["ScheduleExpression"], now.replace(tzinfo=None)):
            continue
        _call(endpoint, schedule["Target"])
        fired.append(schedule["Name"])
        if schedule.get("ActionAfterCompletion") == "DELETE":
            del scheduler._schedules[key]
    return fired


def _due(expression: str, now: datetime) -> bool:
    """Once from its hour on, or in the very hour of a cron expression of days of the week."""
    if expression.startswith("at("):
        return datetime.fromisoformat(expression[3:-1]) <= now
    found = re.fullmatch(r"cron\(0 (\d+) \? \* ([A-Z]{3})(?:-([A-Z]{3}))? \*\)", expression)
    if found is None:
        raise ValueError(f"Invalid Schedule Expression {expression}.")
    hour, first, last = found.groups()
    days = range(DAYS.index(first), DAYS.index(last or first) + 1)
    return now.hour == int(hour) and (now.weekday() + 1) % len(DAYS) in days


def _call(endpoint: str, target: dict[str, Any]) -> None:
    if target["Arn"] not in (DELETE_STACK, START_TRANSFORM):
        raise ValueError(f"the target {target['Arn']} is not emulated")
    role = iam._roles[target["RoleArn"].rpartition("/")[2]]
    if "scheduler.amazonaws.com" not in json.dumps(role["AssumeRolePolicyDocument"]):
        raise ValueError(f"EventBridge Scheduler may not assume {target['RoleArn']}")
    session = session_of(target["RoleArn"])
    client = botocore.session.get_session().create_client(
        target["Arn"].split(":")[-2],
        region_name=get_region(),
        endpoint_url=endpoint,
        aws_access_key_id=session["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=session["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=session["AWS_SESSION_TOKEN"],
    )
    execution = secrets.token_hex(8)
    given = json.loads(target["Input"].replace("<aws.scheduler.execution-id>", execution))
    if target["Arn"] == START_TRANSFORM:
        client.create_transform_job(**given)
        return
    client.delete_stack(**given)
    until = time.monotonic() + LIMIT_S
    # It may not have begun when the call returns: neither is the status before it an end.
    while not _ended(given["StackName"]) and time.monotonic() < until:
        time.sleep(0.05)


def _ended(stack_id: str) -> bool:
    found = [s for s in cloudformation._stacks.values() if s["StackId"] == stack_id]
    return not found or found[0]["StackStatus"] in ("DELETE_COMPLETE", "DELETE_FAILED")
