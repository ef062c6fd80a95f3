"""The tasks of an ECS service: what they run, and one more that asks from inside the network."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from advisor.errors import DeployError
from deploy.aws.limits import limit
from deploy.aws.session import Aws, code_of, told
from deploy.aws.signed import prediction
from deploy.aws.stack_models import Stack
from deploy.target import Prediction

CONTAINER = "model"
STARTED_BY = "mda-ask"
LIMIT_S = 900.0
ASK_MEMORY_MB = 64  # it loads no model
LOG_LIMIT_S = 60.0
MISSING = ("ClusterNotFoundException", "ServiceNotFoundException", "ResourceNotFoundException")


def running_digests(stack: Stack, aws: Aws) -> set[str]:
    """Digests of the images that the tasks of the stack's task definition run."""
    cluster = stack.outputs["ClusterName"]
    client = aws.client("ecs")
    with told(f"look at the tasks of {cluster}"):
        arns = client.list_tasks(cluster=cluster, serviceName=stack.outputs["ServiceName"])
        tasks = (
            client.describe_tasks(cluster=cluster, tasks=arns["taskArns"])["tasks"]
            if arns["taskArns"]
            else []
        )
    return {
        container.get("imageDigest", "")
        for task in tasks
        if task["taskDefinitionArn"] == stack.outputs["TaskDefinition"]
        for container in task["containers"]
        if container["name"] == CONTAINER
    }


def ask_from_inside(stack: Stack, body: bytes, content_type: str, aws: Aws) -> Prediction:
    """One request to the load balancer, by a task of its own beside the service's; blocks until it
    has ended, which takes the time that a task takes to start. The latency is the task's own.

    Raises DeployError with the server's words, or when the task gave no answer.
    """
    cluster, url = stack.outputs["ClusterName"], f"{stack.outputs['BalancerUrl']}/invocations"
    client = aws.client("ecs")
    with told(f"look at the service {stack.name}"):
        found = client.describe_services(cluster=cluster, services=[stack.outputs["ServiceName"]])
    if not found["services"]:
        raise DeployError(f"the service {stack.name} is not there; look at the status of {cluster}")
    service = found["services"][0]
    where = (
        {"capacityProviderStrategy": service["capacityProviderStrategy"]}
        if service.get("capacityProviderStrategy")
        else {"launchType": service["launchType"]}
    )
    with told(f"start a task that asks {stack.name}"):
        answer = client.run_task(
            cluster=cluster,
            taskDefinition=stack.outputs["TaskDefinition"],
            networkConfiguration=service["networkConfiguration"],
            overrides=_overrides(url, body, content_type, "launchType" not in where),
            startedBy=STARTED_BY,
            count=1,
            **where,
        )
    for failure in answer.get("failures", []):
        raise DeployError(f"no task could be started to ask {stack.name}: {failure['reason']}")
    task = _ended(cluster, answer["tasks"][0]["taskArn"], aws)
    told_line = _answer(stack.outputs["LogGroup"], task, aws)
    if told_line.get("answer") is None:
        why = told_line.get("because") or task.get("stoppedReason", "no reason was given")
        raise DeployError(f"the task that asked {url} got no answer: {why}")
    got = told_line["answer"]
    if got["cut"]:
        raise DeployError(f"{stack.name} answered more than a log line holds; ask from inside")
    return prediction(
        stack.name, got["status"], got["content_type"], got["body"], got["latency_ms"]
    )


def stop_one_off(stack: Stack, aws: Aws) -> list[str]:
    """Stop tasks that still ask, because a cluster with tasks cannot be deleted; what was stopped."""
    cluster = stack.outputs.get("ClusterName")
    if not cluster:
        return []
    client = aws.client("ecs")
    stopped = []
    try:
        with told(f"stop what still asks {stack.name}"):
            for arn in client.list_tasks(cluster=cluster, startedBy=STARTED_BY)["taskArns"]:
                client.stop_task(cluster=cluster, task=arn, reason="the deployment is destroyed")
                stopped.append(f"task {arn.rpartition('/')[2]}")
    except DeployError as error:
        if code_of(error) not in MISSING:
            raise
    return stopped


def _overrides(url: str, body: bytes, content_type: str, on_machines: bool) -> dict[str, Any]:
    environment = {"ASK_BODY": base64.b64encode(body).decode(), "ASK_TYPE": content_type}
    # Beside the service's task, where a machine has a free address for it.
    small = {"memoryReservation": ASK_MEMORY_MB} if on_machines else {}
    overrides = {
        "containerOverrides": [
            {
                "name": CONTAINER,
                "command": ["ask", url],
                "environment": [{"name": k, "value": v} for k, v in environment.items()],
                **small,
            }
        ]
    }
    most = limit("run_task_overrides_characters")
    if len(json.dumps(overrides)) > most:
        raise DeployError(
            f"a request of {len(body):,} bytes does not fit into the {most:,.0f} characters that a "
            "task can be given; send a smaller one, or ask from inside the network"
        )
    return overrides


def _ended(cluster: str, arn: str, aws: Aws) -> dict[str, Any]:
    until = time.monotonic() + LIMIT_S
    client = aws.client("ecs")
    while time.monotonic() < until:
        with told("look at the task that asks"):
            found = client.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
        if found and found[0]["lastStatus"] == "STOPPED":
            task: dict[str, Any] = found[0]
            return task
        time.sleep(aws.settings.poll_seconds)
    with told("stop the task that asks"):
        client.stop_task(cluster=cluster, task=arn, reason="it took too long")
    raise DeployError(f"the task that asks has not ended within {LIMIT_S / 60:.0f} minutes")


def _answer(group: str, task: dict[str, Any], aws: Aws) -> dict[str, Any]:
    """The line of JSON that the task wrote; empty when it wrote none, also some time later."""
    stream = f"mda/{CONTAINER}/{task['taskArn'].rpartition('/')[2]}"
    started = any("exitCode" in c for c in task.get("containers", []))
    until = time.monotonic() + (LOG_LIMIT_S if started else 0)
    while True:
        for line in _lines(group, stream, aws):
            if line.startswith('{"answer"'):
                found: dict[str, Any] = json.loads(line)
                return found
        if time.monotonic() >= until:
            return {}
        time.sleep(aws.settings.poll_seconds)


def _lines(group: str, stream: str, aws: Aws) -> list[str]:
    try:
        with told(f"read {stream} of {group}"):
            page = aws.client("logs").get_log_events(
                logGroupName=group, logStreamName=stream, startFromHead=True
            )
    except DeployError as error:
        if code_of(error) in MISSING:
            return []  # the stream appears with its first line
        raise
    return [str(event["message"]) for event in page["events"]]
