"""What somebody has changed in a stack's resources by hand, as CloudFormation itself finds it."""

from __future__ import annotations

import time

from advisor.errors import DeployError
from deploy.aws.session import Aws, told
from deploy.aws.stack_models import Stack

LIMIT_S = 180.0
CHANGED = ("MODIFIED", "DELETED")


def drifted(stack: Stack, aws: Aws) -> list[str]:
    """ "Type physical-id (modified)" of each; blocks until CloudFormation has looked.

    Where it could not look at everything (a right to read is missing) the last entry says so.
    Raises DeployError.
    """
    client = aws.client("cloudformation")
    with told(f"look for drift in the stack {stack.name}"):
        asked = client.detect_stack_drift(StackName=stack.id)["StackDriftDetectionId"]
        until = time.monotonic() + LIMIT_S
        while True:
            seen = client.describe_stack_drift_detection_status(StackDriftDetectionId=asked)
            if seen["DetectionStatus"] != "DETECTION_IN_PROGRESS":
                break
            if time.monotonic() > until:
                raise DeployError(
                    f"CloudFormation has not looked for drift in {stack.name} within "
                    f"{LIMIT_S:.0f} s; ask again later"
                )
            time.sleep(aws.settings.poll_seconds)
        pages = client.get_paginator("list_stack_resources").paginate(StackName=stack.id)
        found = [
            f"{item['ResourceType']} {item.get('PhysicalResourceId', '')} ({status.lower()})"
            for page in pages
            for item in page["StackResourceSummaries"]
            if (status := item.get("DriftInformation", {}).get("StackResourceDriftStatus"))
            in CHANGED
        ]
    if seen["DetectionStatus"] == "DETECTION_FAILED":
        found.append(f"not all could be looked at: {seen.get('DetectionStatusReason', '')}")
    return found
