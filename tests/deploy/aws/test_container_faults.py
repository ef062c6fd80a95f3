"""Each kind of resource of each stack of containers or functions fails to come up once; and a run is
killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aws_support import QUICK, Log, asked, need
from containers_support import only_the_bootstrap_is_left
from emulator.client import Emulator

from advisor.errors import AdvisorError, DeployError
from deploy.aws.session import AwsSettings
from deploy.aws.stack_target import StackTarget
from deploy.target import Event
from deploy.targets.batch import BatchTarget
from deploy.targets.ec2 import Ec2Target
from deploy.targets.ecs import EcsTarget
from deploy.targets.lambda_api import LambdaTarget
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

NIGHTLY: dict[str, Any] = {
    "traffic": {"mode": "batch", "requests_per_month": 400_000_000, "pattern": "nightly"},
    "service": {"deadline_h": 4, "p95_ms": None},
}
BUSY: dict[str, Any] = {"traffic": {"requests_per_month": 400_000_000, "pattern": "business-hours"}}
READY: dict[str, Any] = BUSY | {"service": {"cold_starts_ok": False}}
READY["traffic"] = BUSY["traffic"] | {"requests_per_month": 40_000_000}
QUEUED: dict[str, Any] = {
    "model": {"service_time_ms": 4000},
    "traffic": {"mode": "async", "requests_per_month": 2_000_000},
    "service": {"p95_ms": None, "deadline_h": 1},
}
TARGETS: dict[str, tuple[type[StackTarget], dict[str, Any]]] = {
    "ecs-fargate": (EcsTarget, BUSY),
    "ecs-ec2": (EcsTarget, BUSY),
    "ec2": (Ec2Target, {}),
    "aws-batch": (BatchTarget, NIGHTLY),
    "lambda-url": (LambdaTarget, READY),
    "lambda-apigateway": (LambdaTarget, READY),
    "sagemaker-serverless": (SageMakerTarget, READY),
    "sagemaker-async": (SageMakerTarget, QUEUED),
    "sagemaker-batch": (SageMakerTarget, NIGHTLY),
}
CALLS = (
    "codebuild.StartBuild", "cloudformation.ExecuteChangeSet", "cloudformation.DescribeStacks",
    "logs.GetLogEvents",
)  # fmt: skip


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("option", TARGETS)
def test_whatever_fails_to_come_up_is_taken_back(
    option: str, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    """Prints the table of fault and outcome (pytest -s)."""
    make, sections = TARGETS[option]
    target = make(AwsSettings(poll_seconds=QUICK))
    request = asked(onnx_model, option=option, requirements=need(**sections))
    plan = target.plan(request)
    kinds = sorted({r.kind for r in plan.resources if r.kind not in ("AWS::CodeBuild::Build",)})
    for kind in kinds:
        if kind == "AWS::ECR::Image":
            continue  # no resource of the stack: its build fails below
        emulator.fault(f"create {kind}", "", "not this time")
        with pytest.raises(DeployError, match=f"{kind}.*not this time") as caught:
            target.apply(target.plan(request), Log())
        assert "not taken back" not in str(caught.value)
        assert only_the_bootstrap_is_left(emulator), kind
        print(f"{option:12} {kind:45} taken back: {str(caught.value)[:60]} …")
    emulator.fault("build", "", "no space left on device")
    with pytest.raises(DeployError, match="no space left on device"):
        target.apply(target.plan(request), Log())
    assert only_the_bootstrap_is_left(emulator)
    for call in CALLS:  # the last gives a build up, which the emulator may still finish
        emulator.fault(call, "InvalidParameterException", f"{call} is out of order")
        with pytest.raises(AdvisorError, match="is out of order"):
            target.apply(plan if call.startswith("code") else target.plan(request), Log())
        if "Describe" not in call:
            assert only_the_bootstrap_is_left(emulator), call
        print(f"{option:12} {call:45} told, nothing left")


class KilledError(BaseException):
    """The process ends: nothing is taken back, nothing is told."""


@pytest.mark.parametrize(
    ("option", "when"),
    [
        ("ecs-fargate", "Login Succeeded"),
        ("ecs-fargate", "Listener create complete"),
        ("lambda-url", "Login Succeeded"),
        ("lambda-url", "Version create complete"),
    ],
)
def test_a_run_that_was_killed_is_resumed_by_applying_again(
    bootstrapped: None,
    emulator: Emulator,
    onnx_model: Path,
    option: str,
    when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA_URL", emulator.url)
    target = TARGETS[option][0](AwsSettings(poll_seconds=QUICK))
    plan = target.plan(asked(onnx_model, option=option))

    def die(event: Event) -> None:
        if event.message == when:
            raise KilledError

    with pytest.raises(KilledError):
        target.apply(plan, die)
    assert target.apply(plan, Log()).state == "running"
    answer = target.predict(plan, b'{"instances": [[1, 1, 1, 1]]}', "application/json")
    assert answer.body["predictions"] == [10.0]
    assert len(emulator.state()["running"]) == 1
    assert target.destroy(plan, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)
