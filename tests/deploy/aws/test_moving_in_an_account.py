"""A move from one service of an account to another: both stand for a while, then one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_support import QUICK, asked, need
from emulator.client import Emulator

from deploy import moving, runs
from deploy.aws.session import AwsSettings
from deploy.target import Plan
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = [pytest.mark.emulator, pytest.mark.slow]

ROW = b'{"instances": [[1, 1, 1, 1]]}'
LIMIT_S = 500
REALTIME, FARGATE = "sagemaker-realtime", "ecs-fargate"


@pytest.fixture
def old(bootstrapped: None, emulator: Emulator, onnx_model: Path) -> Iterator[Plan]:
    """What serves as "fraud"."""
    plan = SageMakerTarget(AwsSettings(poll_seconds=QUICK)).plan(
        asked(onnx_model, option=REALTIME, requirements=need())
    )
    try:
        run = runs.wait(runs.start_apply(plan), LIMIT_S)
        assert run.state == "succeeded", run.error
        yield plan
    finally:
        runs.shutdown(finish_s=20)


def move_to(option: str) -> tuple[Plan, str]:
    new = moving.plan_move(
        runs.deployment("fraud"), moving.taken(runs.deployments()), moving.option_of(option)
    )
    run = runs.wait(runs.start_move("fraud", new, ROW), LIMIT_S)
    return new, run.error or ""


def test_from_sagemaker_to_containers(old: Plan, emulator: Emulator) -> None:
    _new, error = move_to("ecs:fargate")
    assert error == ""
    [found] = runs.deployments()
    assert (found.name, found.plan.name, found.option) == ("fraud", "fraud-2", FARGATE)
    assert set(emulator.state()["stacks"]) == {"model-deployment-advisor", "mda-fraud-2"}
    assert runs.wait(runs.start_destroy("fraud"), LIMIT_S).state == "succeeded"
    assert set(emulator.state()["stacks"]) == {"model-deployment-advisor"}
    assert list(emulator.state()["repositories"].values()) == [[]]


def test_what_does_not_come_up_there_leaves_the_old_one_serving(
    old: Plan, emulator: Emulator
) -> None:
    emulator.fault("create AWS::ECS::Service", "", "no capacity today")
    _, error = move_to(FARGATE)
    assert "no capacity today" in error
    assert "fraud-2 was taken away and fraud serves as before" in error
    [found] = runs.deployments()
    assert (found.plan.name, found.state) == ("fraud", "running")
    assert set(emulator.state()["stacks"]) == {"model-deployment-advisor", "mda-fraud"}
    target = SageMakerTarget(AwsSettings(poll_seconds=QUICK))
    assert target.predict(old, ROW, "application/json").body["predictions"] == [10.0]
