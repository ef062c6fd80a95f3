"""Images built on this machine instead of in the account: who may, what is said, what is checked.

Docker is the emulator's stand-in for it here; tests/deploy/images has real engines.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked, client, need
from emulator import shims
from emulator.client import Emulator

from advisor.errors import DeployError, InputError, PreflightError, StalePlanError
from deploy.aws.bootstrap import STACK_NAME
from deploy.aws.session import AwsSettings
from deploy.aws.stacks import Stacks
from deploy.planning import plan_deployment
from deploy.target import Plan
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

ROW = b'{"instances": [[1, 1, 1, 1]]}'
DOCKER = {"settings": {"builder": "docker"}}


@pytest.fixture
def target(emulator: Emulator) -> SageMakerTarget:
    return SageMakerTarget(AwsSettings(poll_seconds=QUICK))


@pytest.fixture
def docker(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Docker on this machine: the emulator's stand-in first on PATH; where it keeps images."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{shims.__file__}" docker "$@"\n')
    program.chmod(0o755)
    images = emulator.log.parent / "images"
    images.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("EMULATOR_IMAGES", str(images))
    return images


def planned(target: SageMakerTarget, model: Path) -> Plan:
    return target.plan(asked(model, **DOCKER))


def test_an_image_is_built_here_and_pushed_with_the_pushers_policy_alone(
    target: SageMakerTarget,
    bootstrapped: object,
    stacks: Stacks,
    emulator: Emulator,
    docker: Path,
    onnx_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs = stacks.get(STACK_NAME).outputs
    iam = client("iam")  # signs as the account's own user, whoever this process is later
    iam.create_user(UserName="builder")
    iam.attach_user_policy(UserName="builder", PolicyArn=outputs["SageMakerOperatorPolicyArn"])
    key = iam.create_access_key(UserName="builder")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])

    plan = planned(target, onnx_model)
    kinds = {r.kind: r for r in plan.resources}
    assert "AWS::CodeBuild::Build" not in kinds
    assert kinds["build on this machine"].detail.startswith("by Docker")
    assert [f.message for f in plan.findings if f.check == "builder"] == [
        "Docker 28.0.0 on this machine builds the image for x86_64"
    ]
    with pytest.raises(DeployError, match="sign in to the account's image registry"):
        target.apply(plan, Log())

    iam.attach_user_policy(UserName="builder", PolicyArn=outputs["ImagePusherPolicyArn"])
    plan = planned(target, onnx_model)
    log = Log()
    target.apply(plan, log)
    assert target.predict(plan, ROW, "application/json").body["predictions"] == [10.0]
    state = emulator.state()
    assert state["builds"] == []
    (tags,) = state["repositories"].values()
    assert tags == [f"bundle-{plan.bundle_hash[:24]}"]
    assert list(state["buckets"].values()) == [[]]  # nothing was uploaded
    assert docker.joinpath("removed").read_text().endswith(tags[0])
    assert any(m.startswith("#2 naming to") for m in log.messages)  # the engine's own log
    assert "is in the repository" in "\n".join(log.messages)


def test_a_builder_that_does_not_work_here_blocks_the_plan(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PreflightError, match=r"docker is not on this machine's PATH; .*codebuild"):
        planned(target, onnx_model)
    assert emulator.state()["stacks"] == {}


def test_only_known_builders_are_taken(
    emulator: Emulator, onnx_model: Path, tmp_path: Path
) -> None:
    target = SageMakerTarget(AwsSettings(poll_seconds=QUICK, builder="kaniko"))
    with pytest.raises(InputError, match=r"ADVISOR_AWS_BUILDER is 'kaniko'; use one of codebuild"):
        target.plan(asked(onnx_model))
    for option, builder, told in (
        ("sagemaker-realtime", "kaniko", "use one of codebuild, docker, podman, buildah"),
        ("docker-host", "docker", "leave it out"),
    ):
        with pytest.raises(InputError, match=f"'{builder}' builds no image for {option}; {told}"):
            plan_deployment(option, onnx_model, need(), settings={"builder": builder})


@pytest.mark.slow
def test_another_base_image_is_another_plan(
    target: SageMakerTarget,
    bootstrapped: object,
    docker: Path,
    onnx_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = planned(target, onnx_model)
    monkeypatch.setenv("ADVISOR_BASE_IMAGE", "registry.example.com/mirror/python")
    with pytest.raises(StalePlanError, match=r"the bundle is now .*plan again"):
        target.apply(plan, Log())
