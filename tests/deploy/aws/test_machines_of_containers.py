"""Containers on machines of their own, by ECS and without it: from nothing to predictions and gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked, need, sized, weighted
from containers_support import emptied, only_the_bootstrap_is_left
from emulator.client import Emulator

from advisor.errors import DeployError, InputError
from advisor.prices import load_book
from deploy.aws.machines import QUOTAS, quota_name
from deploy.aws.session import AwsSettings
from deploy.targets import ec2
from deploy.targets.ec2 import Ec2Target
from deploy.targets.ecs import EcsTarget

pytestmark = pytest.mark.emulator

JSON = "application/json"
ROW = b'{"instances": [[1, 1, 1, 1]]}'
ON_ECS, ALONE = "ecs-ec2", "ec2"


@pytest.fixture
def on_ecs(emulator: Emulator) -> EcsTarget:
    return EcsTarget(AwsSettings(poll_seconds=QUICK))


@pytest.fixture
def alone(emulator: Emulator) -> Ec2Target:
    return Ec2Target(AwsSettings(poll_seconds=QUICK))


def test_a_service_on_machines_from_nothing_to_gone(
    on_ecs: EcsTarget, emulator: Emulator, onnx_model: Path
) -> None:
    request = asked(onnx_model, option=ON_ECS)
    ranked = request.ranked
    plan = on_ecs.plan(request)
    assert (plan.variant, plan.monthly_usd) == ("ec2", ranked.monthly_usd.expected)
    on_ecs.apply(plan, Log())
    assert on_ecs.predict(plan, ROW, JSON).body["predictions"] == [10.0]
    state = emulator.state()
    assert state["groups_of_machines"] == ["mda-fraud"]
    given = state["properties"]
    provider = given["AWS::ECS::CapacityProvider mda-fraud"]["AutoScalingGroupProvider"]
    assert provider["AutoScalingGroupArn"] == "mda-fraud"
    assert provider["ManagedScaling"]["Status"] == "ENABLED"
    service = given["AWS::ECS::Service mda-fraud"]
    assert service["PlacementConstraints"] == [{"Type": "distinctInstance"}]
    assert "LaunchType" not in service
    assert on_ecs.destroy(plan, Log(), everything=True).left_behind == []
    assert emptied(emulator)


def test_machines_of_their_own_from_nothing_over_a_new_version_to_gone(
    alone: Ec2Target, emulator: Emulator, onnx_model: Path, tmp_path: Path
) -> None:
    request = asked(onnx_model, option=ALONE)
    plan = alone.plan(request)
    assert plan.monthly_usd is not None
    lines = {line.name: line.usd for line in request.ranked.lines}
    assert request.ranked.replicas.max == 1
    assert "Load balancer" not in lines
    # One machine gets a balancer too: an hour of it for $0.0225 in us-east-1, and hardly a unit.
    extra = plan.monthly_usd - request.ranked.monthly_usd.expected
    assert extra == pytest.approx(730 * 0.0225, rel=0.05)
    status = alone.apply(plan, Log())
    assert status.message == "mda-fraud: 1 of 1 machines answer"
    assert alone.predict(plan, ROW, JSON).body["predictions"] == [10.0]
    with pytest.raises(DeployError, match="mda-fraud answered 4"):
        alone.predict(plan, b'{"instances": [[1, 2]]}', JSON)
    newer = alone.plan(asked(weighted(tmp_path / "n.onnx", [5, 0, 0, 0]), option=ALONE))
    alone.apply(newer, Log())
    assert alone.predict(newer, ROW, JSON).body["predictions"] == [5.0]
    (images,) = emulator.state()["repositories"].values()
    assert len(images) == 2
    assert alone.destroy(newer, Log(), everything=True).left_behind == []
    assert emptied(emulator)


def test_a_new_version_that_gets_no_requests_leaves_the_old_one_serving(
    alone: Ec2Target, emulator: Emulator, onnx_model: Path, tmp_path: Path
) -> None:
    """CloudFormation waits for what the new machine reports, and rolls back when it fails."""
    plan = alone.plan(asked(onnx_model, option=ALONE))
    alone.apply(plan, Log())
    newer = alone.plan(asked(weighted(tmp_path / "n.onnx", [5, 0, 0, 0]), option=ALONE))
    emulator.fault("container", "", "65536")  # no such port
    with pytest.raises(DeployError, match=r"1 FAILURE signal.*serves its version from before"):
        alone.apply(newer, Log())
    assert alone.status(plan).state == "running"
    assert alone.predict(plan, ROW, JSON).body["predictions"] == [10.0]
    assert alone.destroy(plan, Log(), everything=True).left_behind == []
    assert emptied(emulator)


@pytest.mark.slow
def test_machines_that_never_answer_are_taken_back(
    alone: Ec2Target, emulator: Emulator, onnx_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ec2, "HEALTHY_LIMIT_S", 2.0)
    plan = alone.plan(asked(onnx_model, option=ALONE))
    emulator.fault("container", "", "65536")  # no such port
    with pytest.raises(DeployError, match="of 1 machines of mda-fraud 0 answer"):
        alone.apply(plan, Log())
    assert emptied(emulator)


@pytest.mark.slow
def test_a_sealed_network_needs_endpoints_that_are_priced(
    on_ecs: EcsTarget, emulator: Emulator, onnx_model: Path
) -> None:
    sealed = need(control={"private_network": True})
    request = asked(onnx_model, option=ON_ECS, requirements=sealed)
    plan = on_ecs.plan(request)
    assert plan.monthly_usd == request.ranked.monthly_usd.expected
    (endpoints,) = [x for x in request.ranked.lines if x.name == "Private endpoints"]
    assert endpoints.quantity == 6 * 2 * 730  # as many as are made, in two zones
    kinds = [r.kind for r in plan.resources]
    assert kinds.count("AWS::EC2::VPCEndpoint") == 7  # six interfaces, and S3's for nothing
    assert "AWS::EC2::InternetGateway" not in kinds
    on_ecs.apply(plan, Log())
    assert on_ecs.predict(plan, ROW, JSON).body["predictions"] == [10.0]
    assert on_ecs.destroy(plan, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


def test_a_machine_with_gpus_is_sent_to_where_drivers_are(
    alone: Ec2Target, onnx_model: Path
) -> None:
    with_gpu = sized(need(), ALONE).model_copy(update={"machine": "g5.xlarge"})
    with pytest.raises(InputError, match="deploy to ecs-ec2"):
        alone.preflight(asked(onnx_model, option=ALONE, ranked=with_gpu))


def test_every_priced_machine_has_a_quota() -> None:
    names = load_book().machines("ec2", "us-east-1", sized=False).name
    assert {quota_name(str(name)) for name in names} <= set(QUOTAS.values())
    assert quota_name("g5.xlarge") == QUOTAS["g"]
    assert quota_name("c8g.medium") == QUOTAS["standard"]
    assert quota_name("inf2.xlarge") == QUOTAS["inf"]
    assert quota_name("u7i-6tb.112xlarge") == QUOTAS["u"]
    assert quota_name("f2.6xlarge") == QUOTAS["f"]
    assert quota_name("dl1.24xlarge") == QUOTAS["dl"]
    assert quota_name("h1.2xlarge") == QUOTAS["standard"]
