"""One emulated AWS account for the whole session, empty again for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_support import QUICK, Log, client, sign_in, weighted
from emulator.client import REGION, Emulator
from fault_wire import Wire, wired
from faults_support import Case, looked_at_once

from deploy.aws.bootstrap import STACK_NAME, Bootstrap, BootstrapStack
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.stacks import Stacks


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path_factory.mktemp("emulator"))
    yield emulator
    emulator.close()


@pytest.fixture(scope="session")
def doubled_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twice what the weighted sum of `onnx_model` gives."""
    return weighted(tmp_path_factory.mktemp("models") / "doubled.onnx", [2.0, 4.0, 6.0, 8.0])


@pytest.fixture
def emulator(account: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Emulator:
    """The emulator, empty, and this process's AWS environment pointing at it."""
    account.reset()
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ADVISOR_AWS_POLL_SECONDS", str(QUICK))
    monkeypatch.setenv("ADVISOR_HOME", str(tmp_path / "home"))
    return account


@pytest.fixture
def aws(emulator: Emulator) -> Aws:
    return Aws(REGION, AwsSettings(poll_seconds=QUICK))


@pytest.fixture
def stacks(aws: Aws) -> Stacks:
    return Stacks(aws)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def bootstrapped(stacks: Stacks) -> Bootstrap:
    """The account has its bootstrap stack."""
    stack = BootstrapStack(stacks)
    change_set = stack.prepare("tests")
    assert change_set is not None
    return stack.ensure(change_set, Log())


@pytest.fixture
def operator(bootstrapped: Bootstrap, stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> str:
    """This process becomes a user who has the operator policy of the bootstrap and nothing else."""
    iam = client("iam")
    iam.create_user(UserName="operator")
    policy = stacks.get(STACK_NAME).outputs["SageMakerOperatorPolicyArn"]
    iam.attach_user_policy(UserName="operator", PolicyArn=policy)
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    return policy


@pytest.fixture
def wire() -> Iterator[Wire]:
    with wired() as found, pytest.MonkeyPatch.context() as patch:
        looked_at_once(patch)
        yield found


@pytest.fixture
def case(
    option: str, wire: Wire, bootstrapped: None, emulator: Emulator, onnx_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Case:  # fmt: skip
    for door in ("LAMBDA_URL", "EXECUTE_API"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{door}", emulator.url)
    if option == "eks":
        sign_in(monkeypatch)
    return Case(option, emulator, onnx_model, wire)
