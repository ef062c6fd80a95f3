"""A trial takes itself down at its hour, by a schedule of the account and with nobody at work."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked
from containers_support import only_the_bootstrap_is_left
from emulator.client import Emulator
from faults_support import ANSWER, BUILDS, TARGETS, Case

from advisor.errors import DeployError, StalePlanError
from deploy.aws.bootstrap import Bootstrap
from deploy.aws.session import AwsSettings
from deploy.target import Plan
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

HOURS = timedelta(hours=1)


@pytest.fixture
def target(emulator: Emulator) -> SageMakerTarget:
    return SageMakerTarget(AwsSettings(poll_seconds=QUICK))


def test_a_trial_is_renewed_and_goes_at_its_hour(
    target: SageMakerTarget, operator: str, emulator: Emulator, onnx_model: Path
) -> None:
    first = target.plan(asked(onnx_model, expires_in=4 * HOURS))
    assert first.expires_at is not None
    assert abs(first.expires_at - datetime.now(UTC) - 4 * HOURS) < timedelta(minutes=2)
    assert emulator.state()["schedules"] == {}
    status = target.apply(first, Log())
    assert status.expires_at == first.expires_at
    written = emulator.state()["schedules"]
    assert written == {"mda-fraud": f"at({first.expires_at:%Y-%m-%dT%H:%M:%S})"}

    kept = target.plan(asked(onnx_model))  # says nothing of it: the hour stands
    assert (kept.expires_at, kept.resources) == (first.expires_at, [])
    longer = target.plan(asked(onnx_model, expires_in=24 * HOURS))
    assert longer.expires_at is not None
    assert {r.action for r in longer.resources if "Image" not in r.kind} <= {"update", "create"}
    target.apply(longer, Log())
    assert target.status(longer).expires_at == longer.expires_at
    emulator.clock(first.expires_at)
    assert target.status(longer).state == "running"

    emulator.clock(longer.expires_at)
    state = emulator.state()
    assert (state["made"], state["running"], state["schedules"]) == ([], [], {})
    assert "mda-fraud" not in state["stacks"]
    over = longer.model_copy(update={"expires_at": datetime.now(UTC) - HOURS})
    gone = target.status(over)
    assert gone.state == "destroyed"
    assert "expired on" in gone.message
    assert target.destroy(longer, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


@pytest.mark.slow
def test_never_takes_the_hour_away_and_destroy_the_schedule(
    target: SageMakerTarget, bootstrapped: Bootstrap, emulator: Emulator, onnx_model: Path
) -> None:
    trial = target.plan(asked(onnx_model, expires_in=4 * HOURS))
    target.apply(trial, Log())
    target.apply(target.plan(asked(onnx_model, expires_in="never")), Log())
    assert emulator.state()["schedules"] == {}
    again = target.plan(asked(onnx_model, expires_in=4 * HOURS))
    target.apply(again, Log())
    report = target.destroy(again, Log())
    assert "AWS::Scheduler::Schedule mda-fraud" in report.removed
    assert only_the_bootstrap_is_left(emulator)


@pytest.mark.slow
def test_a_failed_trial_leaves_no_schedule_and_a_failed_renewal_the_old_one(
    target: SageMakerTarget, bootstrapped: Bootstrap, emulator: Emulator, onnx_model: Path
) -> None:
    emulator.fault("create AWS::SageMaker::Endpoint", "", "Insufficient capacity")
    with pytest.raises(DeployError, match="Insufficient capacity"):
        target.apply(target.plan(asked(onnx_model, expires_in=4 * HOURS)), Log())
    assert only_the_bootstrap_is_left(emulator)
    trial = target.plan(asked(onnx_model, expires_in=4 * HOURS))
    target.apply(trial, Log())
    before = emulator.state()["schedules"]
    emulator.fault("update AWS::SageMaker::Endpoint", "", "Insufficient capacity")
    with pytest.raises(DeployError, match="Insufficient capacity"):
        target.apply(target.plan(asked(onnx_model, expires_in=9 * HOURS)), Log())
    assert emulator.state()["schedules"] == before
    assert target.status(trial).expires_at == trial.expires_at


@pytest.mark.slow
@pytest.mark.parametrize("option", [o for o in TARGETS if o != "sagemaker-realtime"])
def test_every_trial_takes_another_hour_and_a_new_version_in_one_update(
    option: str, case: Case, emulator: Emulator, doubled_model: Path
) -> None:
    """Another hour alone makes nothing anew and restarts nothing."""

    def applied(model: Path, hours: int) -> Plan:
        plan = case.target.plan(replace(case.asking_for(model), expires_in=hours * HOURS))
        assert case.target.apply(plan, case.log).expires_at == plan.expires_at
        return plan

    first = applied(case.model, 4)
    servers = emulator.state()["running"]
    second = applied(case.model, 8)
    changed = [r for r in second.resources if r.kind not in BUILDS]
    assert {r.action for r in changed} <= {"update"}
    assert emulator.state()["running"] == servers
    assert case.answer(second) == ANSWER
    third = applied(doubled_model, 12)
    assert case.answer(third) == 2 * ANSWER
    assert first.expires_at
    assert second.expires_at
    assert third.expires_at
    for over in (first.expires_at, second.expires_at):
        emulator.clock(over)
        assert case.target.status(third).state == "running"
    emulator.clock(third.expires_at)
    assert case.target.status(third).state == "destroyed"
    case.destroy(third)
    assert only_the_bootstrap_is_left(emulator)


def test_a_plan_whose_hour_is_over_is_stale(
    target: SageMakerTarget, bootstrapped: Bootstrap, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model, expires_in=HOURS))
    late = plan.model_copy(update={"expires_at": datetime.now(UTC) - HOURS})
    with pytest.raises(StalePlanError, match="which is over; plan again"):
        target.apply(late, Log())
