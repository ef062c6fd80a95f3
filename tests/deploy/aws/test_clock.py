"""The laptop sleeps in the middle of a run, or its clock is wrong.

`time_machine` moves the wall clock of this process, the emulator that of the account; the monotonic
clock goes on, as it does on a machine that slept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from aws_support import QUICK, Log, asked, client, document, sign_in
from containers_support import only_the_bootstrap_is_left
from emulator.client import ACCOUNT, Emulator

from advisor.errors import DeployError, PreflightError, StalePlanError
from deploy import expiry
from deploy.aws.session import AwsSettings
from deploy.target import Event
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

HOUR = timedelta(hours=1)
NIGHT = 9 * HOUR  # longer than a stack is waited for, and than a role's session lasts
ROW = b'{"instances": [[1, 1, 1, 1]]}'


@pytest.fixture
def target(
    bootstrapped: None, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> SageMakerTarget:
    """Working as a role, whose session lasts an hour."""
    user = sign_in(monkeypatch)
    trust = {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam = client("iam")
    role = iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=document(trust))["Role"]
    iam.put_role_policy(RoleName="deployer", PolicyName="all", PolicyDocument=document(may))
    return SageMakerTarget(AwsSettings(poll_seconds=QUICK, role_arn=role["Arn"]))


@contextmanager
def clock(by: timedelta) -> Iterator[None]:
    with time_machine.travel(datetime.now(UTC) + by, tick=True):
        yield


def sleeping(when: str, fall_asleep: Callable[[], object]) -> Callable[[Event], None]:
    """An `emit` that sleeps once, at the first event that says so."""
    said: list[str] = []

    def emit(event: Event) -> None:
        if when in event.message and when not in said:
            said.append(when)
            fall_asleep()

    return emit


def test_a_night_asleep_in_the_middle_of_an_apply(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model, expires_in=24 * HOUR))
    assert plan.expires_at is not None
    assert expiry.left(plan.expires_at).startswith("expires in 23 h 5")
    asleep = clock(NIGHT)

    def sleep() -> None:
        emulator.later(NIGHT)
        asleep.__enter__()

    before = emulator.state()["calls"].get("sts.AssumeRole", 0)
    began = time.monotonic()
    try:
        status = target.apply(plan, sleeping("create in progress", sleep))
        assert time.monotonic() - began < 300
        assert status.state == "running"
        assert emulator.state()["calls"].get("sts.AssumeRole", 0) >= before + 2  # renewed by itself
        assert target.predict(plan, ROW, "application/json").body["predictions"] == [10.0]
        assert status.expires_at == plan.expires_at
        assert expiry.left(plan.expires_at).startswith("expires in 14 h 5")
        assert target.destroy(plan, Log()).left_behind == []
    finally:
        asleep.__exit__(None, None, None)
    emulator.later(timedelta())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "error", "said"),
    [
        ("is in the repository", StalePlanError, "a trial until .* which is over"),
        ("create in progress", DeployError, "was deleted, nothing is left"),
    ],
)
def test_a_trial_whose_hour_passes_asleep_is_not_made_or_goes(
    when: str,
    error: type[DeployError],
    said: str,
    target: SageMakerTarget,
    emulator: Emulator,
    onnx_model: Path,
) -> None:
    """Before the account has its hour nothing is made: a schedule for yesterday would never come.
    Afterwards the account has taken it down meanwhile."""
    plan = target.plan(asked(onnx_model, expires_in=4 * HOUR))
    asleep = clock(NIGHT)

    def sleep() -> None:
        emulator.later(NIGHT)
        emulator.clock(datetime.now(UTC) + NIGHT)
        asleep.__enter__()

    try:
        with pytest.raises(error, match=said):
            target.apply(plan, sleeping(when, sleep))
        assert target.destroy(plan, Log()).left_behind == []
    finally:
        asleep.__exit__(None, None, None)
    emulator.later(timedelta())
    assert only_the_bootstrap_is_left(emulator)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (3 * HOUR, r"3\.0 h ahead"),
        pytest.param(-NIGHT, r"9\.0 h behind", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_clock_is_named_and_nothing_is_lost(
    by: timedelta, said: str, target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    with clock(by), pytest.raises(PreflightError, match=f"the clock of this machine is {said}"):
        target.plan(asked(onnx_model))
    assert target.plan(asked(onnx_model)).account == ACCOUNT
    assert emulator.state()["running"] == []


@pytest.mark.slow
def test_a_clock_that_jumps_in_mid_run_is_named_and_the_same_plan_goes_on(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    """Asleep or not, AWS takes no call any more: what stands is named, and goes on once it is right."""
    plan = target.plan(asked(onnx_model))
    jump = clock(-NIGHT)
    with pytest.raises(DeployError, match=r"the clock of this machine is 9\.0 h behind"):
        target.apply(plan, sleeping("create in progress", jump.__enter__))
    jump.__exit__(None, None, None)
    assert target.apply(plan, Log()).state == "running"
    assert target.destroy(plan, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)
