"""A machine behind a load balancer asks it, through Session Manager: no SSH, no open port."""

from __future__ import annotations

import base64
import json
import shlex
import time
from typing import Any

from advisor.errors import DeployError
from deploy.aws.limits import limit
from deploy.aws.session import Aws, code_of, told
from deploy.aws.signed import prediction
from deploy.aws.stack_models import Stack
from deploy.target import Prediction

LIMIT_S = 300.0
WAITING = ("Pending", "InProgress", "Delayed")


def target_states(stack: Stack, aws: Aws) -> list[str]:
    """How the load balancer sees each machine: "healthy", "initial", "unhealthy" …"""
    return [state for _, state in _targets(stack, aws)]


def ask_from_machine(stack: Stack, body: bytes, content_type: str, aws: Aws) -> Prediction:
    """One request to the load balancer, by a container that a machine runs once; blocks until it
    has ended. Raises DeployError with the server's words, or when there was no answer."""
    healthy = [machine for machine, state in _targets(stack, aws) if state == "healthy"]
    if not healthy:
        raise DeployError(
            f"no machine of {stack.name} answers, so none can ask; look at its status"
        )
    url = f"{stack.outputs['BalancerUrl']}/invocations"
    script = _script(url, stack.outputs["ImageUri"], body, content_type)
    client = aws.client("ssm")
    with told(f"let {healthy[0]} ask {stack.name}"):
        sent = client.send_command(
            InstanceIds=[healthy[0]],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": [script]},
        )["Command"]["CommandId"]
    done = _ended(sent, healthy[0], aws)
    for line in done.get("StandardOutputContent", "").splitlines():
        if line.startswith('{"answer"'):
            return _prediction(json.loads(line), url, stack)
    why = done.get("StandardErrorContent") or done["StatusDetails"]
    raise DeployError(f"{healthy[0]} asked {url} and got no answer: {why.strip()[-300:]}")


def _prediction(line: dict[str, Any], url: str, stack: Stack) -> Prediction:
    got = line["answer"]
    if got is None:
        raise DeployError(f"{url} gave no answer: {line['because']}")
    if got["cut"]:
        raise DeployError(f"{stack.name} answered more than a log line holds; ask from inside")
    return prediction(
        stack.name, got["status"], got["content_type"], got["body"], got["latency_ms"]
    )


def _targets(stack: Stack, aws: Aws) -> list[tuple[str, str]]:
    with told(f"look at the machines of {stack.name}"):
        found = aws.client("elbv2").describe_target_health(
            TargetGroupArn=stack.outputs["TargetGroupArn"]
        )["TargetHealthDescriptions"]
    return [(t["Target"]["Id"], t["TargetHealth"]["State"]) for t in found]


def _script(url: str, image: str, body: bytes, content_type: str) -> str:
    environment = {"ASK_BODY": base64.b64encode(body).decode(), "ASK_TYPE": content_type}
    given = [f"--env={key}={value}" for key, value in environment.items()]
    script = shlex.join(["docker", "run", "--rm", "--network", "host", *given, image, "ask", url])
    most = limit("run_command_characters")
    if len(script) > most:
        raise DeployError(
            f"a request of {len(body):,} bytes does not fit into the {most:,.0f} characters that a "
            "machine can be told; send a smaller one, or ask from inside the network"
        )
    return script


def _ended(command: str, machine: str, aws: Aws) -> dict[str, Any]:
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        try:
            with told(f"read what {machine} answered"):
                done: dict[str, Any] = aws.client("ssm").get_command_invocation(
                    CommandId=command, InstanceId=machine
                )
        except DeployError as error:
            if code_of(error) != "InvocationDoesNotExist":  # appears a little after it was sent
                raise
            done = {"Status": "Pending"}
        if done["Status"] not in WAITING:
            return done
        time.sleep(aws.settings.poll_seconds)
    raise DeployError(f"{machine} has not answered within {LIMIT_S / 60:.0f} minutes")
