"""Every option's whole life as a trial: updated, rolled back, killed on the way, and gone by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aws_support import QUICK, Log, asked, client, need, sign_in
from containers_support import only_the_bootstrap_is_left
from emulator.client import Emulator
from faults_support import ANSWER, ROWS, TARGETS

from advisor.errors import InputError, PreflightError
from deploy import rollback, runs
from deploy.aws.session import AwsSettings
from deploy.aws.stack_target import StackTarget
from deploy.bundle.pack import image_tag
from deploy.cli import main
from deploy.target import Event, Plan
from deploy.targets.eks import EksTarget
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

LIMIT_S = 300
HOURS = timedelta(hours=4)
SETTINGS = AwsSettings(poll_seconds=QUICK, cluster_cidrs=("203.0.113.7/32",))
KINDS: dict[str, tuple[type[StackTarget], dict[str, Any]]] = {**TARGETS, "eks": (EksTarget, {})}


class KilledError(BaseException):
    """The process ends: nothing is taken back, nothing is told."""


@pytest.fixture
def doors(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for door in ("LAMBDA_URL", "EXECUTE_API"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{door}", emulator.url)
    sign_in(monkeypatch)


@pytest.mark.usefixtures("bootstrapped", "doors")
@pytest.mark.parametrize(
    "option",
    [pytest.param(o, marks=() if o == "sagemaker-realtime" else pytest.mark.slow) for o in KINDS],
)
def test_a_trial_is_updated_goes_back_although_killed_and_ends_by_itself(
    option: str, emulator: Emulator, onnx_model: Path, doubled_model: Path
) -> None:
    kind, answers = KINDS[option]
    target = kind(SETTINGS)

    def applied(model: Path, **more: Any) -> Plan:
        plan = target.plan(asked(model, option=option, requirements=need(**answers), **more))
        target.apply(plan, Log())
        return plan

    def answer(plan: Plan) -> float:
        body = target.predict(plan, ROWS, "application/json").body
        return float(body["predictions"][0])

    first = applied(onnx_model, expires_in=HOURS)
    with pytest.raises(InputError, match="keeps no version before the one that runs"):
        target.plan_rollback(first, [])
    second = applied(doubled_model)  # the hour stays
    assert answer(second) == 2 * ANSWER
    dropped = target.plan_rollback(second, [first])
    assert target.discard(dropped) == ["the change set of the stack mda-fraud"]
    built = len(emulator.state()["builds"])

    back = target.plan_rollback(second, [first])
    assert not [r for r in back.resources if r.action in ("create", "delete")]
    with pytest.raises(KilledError):
        target.apply(back, dying())
    assert target.apply(back, Log()).state == "running"
    assert answer(back) == ANSWER
    assert len(emulator.state()["builds"]) == built  # out of what is kept
    assert kept(emulator) == {image_tag(p.bundle_hash) for p in (first, second)}

    forward = target.plan_rollback(back, [second, first])
    assert forward.expires_at is not None
    assert target.apply(forward, Log()).expires_at == second.expires_at
    assert answer(forward) == 2 * ANSWER
    emulator.clock(forward.expires_at)
    state = emulator.state()
    assert (state["made"], state["running"], state["schedules"]) == ([], [], {})
    assert target.status(forward).state == "destroyed"
    assert target.destroy(forward, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


def dying() -> Callable[[Event], None]:
    """Ends the process once CloudFormation is at it."""

    def emit(event: Event) -> None:
        if event.step == "stack" and event.message.endswith("in progress"):
            raise KilledError

    return emit


def kept(emulator: Emulator) -> set[str]:
    (tags,) = emulator.state()["repositories"].values()
    return set(tags)


@pytest.mark.slow
def test_a_run_brings_the_version_before_back_and_says_when_it_is_gone(
    bootstrapped: None,
    emulator: Emulator,
    onnx_model: Path,
    doubled_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = SageMakerTarget(AwsSettings(poll_seconds=QUICK))
    try:
        for model in (onnx_model, doubled_model):
            run = runs.wait(runs.start_apply(target.plan(asked(model))), LIMIT_S)
            assert run.state == "succeeded", run.error
    finally:
        runs.shutdown(finish_s=20)
    assert main(["rollback", "fraud"]) == 2  # nobody to ask: nothing is left of the plan
    assert not waiting(emulator)
    emulator.fault("create AWS::SageMaker::Model", "", "no capacity")
    assert main(["rollback", "fraud", "--yes"]) == 1
    assert "no capacity" in capsys.readouterr().err
    assert main(["rollback", "fraud", "--yes"]) == 0
    assert "update in progress" in capsys.readouterr().out
    found = runs.deployment("fraud")
    assert target.predict(found.plan, ROWS, "application/json").body["predictions"] == [ANSWER]
    (former,) = kept(emulator) - {image_tag(found.plan.bundle_hash)}
    [repository] = emulator.state()["repositories"]
    client("ecr").batch_delete_image(
        repositoryName=repository, imageIds=[{"imageTag": former}]
    )  # by hand
    with pytest.raises(InputError, match="is gone from the registry"):
        rollback.plan_rollback("fraud")
    moved = found.model_copy(update={"plan": found.plan.model_copy(update={"account": "9" * 12})})
    with pytest.raises(PreflightError, match="switch back"):
        target.plan_rollback(moved.plan, [])
    assert main(["destroy", "fraud", "--yes"]) == 0
    assert only_the_bootstrap_is_left(emulator)


def waiting(emulator: Emulator) -> list[str]:
    """Change sets of the deployment that nobody has executed."""
    found = client("cloudformation").list_change_sets(StackName="mda-fraud")["Summaries"]
    return [s["ChangeSetName"] for s in found if s["ExecutionStatus"] == "AVAILABLE"]
