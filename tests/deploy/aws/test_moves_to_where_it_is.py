"""A move to where a deployment stands already is refused, whoever asks, and leaves nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from aws_support import QUICK, asked, need
from emulator.client import Emulator

from advisor.errors import InputError
from deploy import moving
from deploy.aws.session import AwsSettings
from deploy.run_models import Deployment, RunState, plan_digest
from deploy.target import Plan
from deploy.targets.ecs import EcsTarget
from deploy.targets.lambda_api import LambdaTarget
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

TARGETS = {
    "sagemaker-realtime": SageMakerTarget, "ecs-fargate": EcsTarget, "lambda-url": LambdaTarget,
}  # fmt: skip
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def running(plan: Plan) -> Deployment:
    """The deployment of that plan as its runs know it."""
    run = RunState(
        run_id="1", name=plan.name, kind="apply", state="succeeded", created_at=NOW,
        plan_digest=plan_digest(plan),
    )  # fmt: skip
    return Deployment(
        name=plan.name, option=plan.option, target=plan.target, plan=plan, state="running",
        endpoint=None, active_run=None, last_run=run, created_at=NOW, updated_at=NOW,
    )  # fmt: skip


@pytest.fixture
def found(option: str, bootstrapped: None, emulator: Emulator, onnx_model: Path) -> Deployment:
    """Ann's deployment on the option."""
    target = TARGETS[option](AwsSettings(poll_seconds=QUICK))
    return running(target.plan(asked(onnx_model, option=option, owner="ann")))


@pytest.mark.parametrize("option", TARGETS)
def test_nobody_moves_it_to_where_it_is(found: Deployment, emulator: Emulator) -> None:
    before = emulator.state()["stacks"]
    for owner in ("ann", "bob", ""):
        with pytest.raises(InputError, match=f"fraud is on {found.option} already"):
            moving.plan_move(found, ["fraud"], found.option, owner=owner)
    assert emulator.state()["stacks"] == before


@pytest.mark.parametrize("option", ["lambda-url"])
def test_other_answers_are_a_move_and_it_stays_whose_it_was(found: Deployment) -> None:
    more = need(traffic={"mode": "realtime", "requests_per_month": 20_000_000})
    new = moving.plan_move(found, ["fraud"], found.option, more)
    assert (new.name, new.parameters["stack"]["Owner"]) == ("fraud-2", "ann")


@pytest.mark.parametrize("option", ["sagemaker-realtime"])
def test_a_network_of_ones_own_is_a_move(found: Deployment) -> None:
    stack = found.plan.parameters["stack"] | {"UseVpc": "true", "SubnetIds": "subnet-1,subnet-2"}
    plan = found.plan.model_copy(update={"parameters": found.plan.parameters | {"stack": stack}})
    new = moving.plan_move(running(plan), ["fraud"], found.option, owner="bob")
    assert (new.name, new.parameters["stack"]["Owner"]) == ("fraud-2", "bob")
