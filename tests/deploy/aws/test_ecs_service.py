"""A service of containers from an empty account to predictions, a new version, and gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from aws_support import QUICK, Log, asked, client, need, sized, weighted
from containers_support import FARGATE, emptied, only_the_bootstrap_is_left, smaller
from emulator.client import ACCOUNT, Emulator

from advisor.errors import DeployError, PreflightError
from advisor.requirements import Requirements
from deploy.aws.session import AwsSettings
from deploy.target import Plan, Status
from deploy.targets.ecs import EcsTarget

pytestmark = pytest.mark.emulator

BUSY = need(
    model={"format": "joblib"},
    traffic={"requests_per_month": 400_000_000, "pattern": "business-hours"},
)
JSON = "application/json"
ROW = b'{"instances": [[1, 1, 1, 1]]}'


@dataclass
class Deployed:
    """What plan and apply gave."""

    target: EcsTarget
    plan: Plan
    status: Status
    log: Log
    model: Path


@pytest.fixture(scope="module")
def deployed(account: Emulator, joblib_model: Path) -> Iterator[Deployed]:
    account.reset()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in account.environment().items():
            patch.setenv(name, value)
        target = EcsTarget(AwsSettings(poll_seconds=QUICK))
        plan = target.plan(asked(joblib_model, option=FARGATE, requirements=BUSY, owner="risk"))
        log = Log()
        status = target.apply(plan, log)
        yield Deployed(target, plan, status, log, joblib_model)
        account.reset()


@pytest.fixture
def target(emulator: Emulator) -> EcsTarget:
    return EcsTarget(AwsSettings(poll_seconds=QUICK))


def test_the_plan_says_what_is_made_and_costs_what_was_recommended(
    deployed: Deployed, account: Emulator
) -> None:
    plan = deployed.plan
    ranked = asked(deployed.model, option=FARGATE, requirements=BUSY).ranked
    assert (plan.account, plan.option, plan.target) == (ACCOUNT, FARGATE, "ecs")
    assert plan.monthly_usd == ranked.monthly_usd.expected
    planned = {(r.kind, r.name) for r in plan.resources if r.action == "create"}
    made = {tuple(resource.split(" ", 1)) for resource in account.state()["made"]}
    assert {m for m in made if m[0].endswith(("::Service", "::Cluster"))} <= planned
    kinds = sorted(kind for kind, _ in planned)
    assert kinds.count("AWS::CloudWatch::Alarm") == 4
    assert "AWS::ElasticLoadBalancingV2::LoadBalancer" in kinds
    assert "AWS::ApiGatewayV2::Api" not in kinds
    assert plan.public[0].startswith("nothing")


def test_apply_ends_running_and_says_how_to_reach_it(deployed: Deployed) -> None:
    assert deployed.log.messages[-1] == "mda-fraud is in service"
    assert deployed.status.state == "running"
    assert deployed.status.endpoint is not None
    assert deployed.status.endpoint.startswith("http://mda-fraud")
    assert "from inside" in deployed.status.snippets["curl"]


def test_a_prediction_from_inside_is_the_models_own(deployed: Deployed, account: Emulator) -> None:
    rows = np.random.default_rng(3).normal(size=(5, 4))
    body = f'{{"instances": {rows.tolist()}}}'.encode()
    answer = deployed.target.predict(deployed.plan, body, JSON)
    expected = joblib.load(deployed.model).predict(rows).tolist()
    assert [p["label"] for p in answer.body["predictions"]] == expected
    assert (answer.status_code, answer.content_type) == (200, JSON)
    assert answer.latency_ms > 0
    with pytest.raises(DeployError, match="mda-fraud answered 4"):
        deployed.target.predict(deployed.plan, b'{"instances": [[1, 2]]}', JSON)
    with pytest.raises(DeployError, match="does not fit into the 8,192 characters"):
        deployed.target.predict(deployed.plan, b" " * 9000, JSON)
    account.fault("task", "", "CannotPullContainerError: no space left")
    with pytest.raises(DeployError, match="no space left"):
        deployed.target.predict(deployed.plan, body, JSON)


def test_sizes_scaling_and_alarms_are_the_recommendations(
    deployed: Deployed, account: Emulator
) -> None:
    ranked = asked(deployed.model, option=FARGATE, requirements=BUSY).ranked
    state = account.state()
    of = {k: v for k, v in state["properties"].items() if "ECS" in k or "AutoScaling" in k}
    task = next(v for k, v in of.items() if "TaskDefinition" in k)
    assert ranked.sizing.vcpu is not None
    assert int(task["Cpu"]) == ranked.sizing.vcpu * 1024
    assert int(task["Memory"]) == ranked.sizing.memory_mb
    assert task["RuntimePlatform"]["CpuArchitecture"] == "X86_64"
    assert task["ContainerDefinitions"][0]["Image"].endswith(deployed.plan.bundle_hash[:24])
    scaled = next(v for k, v in of.items() if "ScalableTarget" in k)
    assert (scaled["MinCapacity"], scaled["MaxCapacity"]) == (
        ranked.replicas.min, ranked.replicas.max,
    )  # fmt: skip
    service = of["AWS::ECS::Service mda-fraud"]
    rollback = service["DeploymentConfiguration"]
    assert rollback["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert rollback["Alarms"]["AlarmNames"] == ["mda-fraud-5xx", "mda-fraud-latency"]
    assert state["alarms"]["mda-fraud-latency"]["Threshold"] == 0.1  # seconds
    assert state["log_groups"]["/mda/fraud"] == 30
    tags = {tag["Key"]: tag["Value"] for tag in service["Tags"]}
    assert (tags["mda:owner"], tags["mda:deployment"]) == ("risk", "fraud")


def test_applying_and_planning_again_change_nothing(deployed: Deployed, account: Emulator) -> None:
    before = account.state()
    assert deployed.target.apply(deployed.plan, Log()) == deployed.status
    again = deployed.target.plan(
        asked(deployed.model, option=FARGATE, requirements=BUSY, owner="risk")
    )
    assert (again.resources, again.expected_minutes) == ([], 0)
    after = account.state()
    assert (after["made"], after["running"]) == (before["made"], before["running"])


def test_y_a_new_version_keeps_the_image_of_the_one_before(
    deployed: Deployed, account: Emulator, tmp_path: Path
) -> None:
    target, tags = deployed.target, []
    for factor in (2.0, 3.0):  # the third drops what the first left
        model = weighted(tmp_path / f"{factor}.onnx", [factor, 0, 0, 0])
        plan = target.plan(asked(model, option=FARGATE, requirements=smaller(BUSY), owner="risk"))
        actions = {(r.action, r.kind.rpartition("::")[2]) for r in plan.resources}
        assert {("replace", "TaskDefinition"), ("update", "Service")} <= actions
        target.apply(plan, Log())
        # As many tasks as scaling has arrived at go on: no count is said that would reset them.
        service = account.state()["properties"]["AWS::ECS::Service mda-fraud"]
        assert ("DesiredCount" in service) is (plan.parameters["stack"]["Scales"] == "false")
        assert target.predict(plan, ROW, JSON).body["predictions"] == [factor]
        (kept,) = account.state()["repositories"].values()
        assert len(kept) == 2
        tags.append(kept)
    assert len({tag for pair in tags for tag in pair}) == 3  # the first one went
    assert len(account.state()["running"]) == 1


def test_z_destroying_leaves_an_empty_account_and_is_fine_to_repeat(
    deployed: Deployed, account: Emulator
) -> None:
    """Last in this file: it ends what the others look at."""
    report = deployed.target.destroy(deployed.plan, Log())
    assert report.left_behind == []
    assert len([r for r in report.removed if r.startswith("AWS::ECR::Image")]) == 2
    assert only_the_bootstrap_is_left(account)
    assert deployed.target.status(deployed.plan).state == "destroyed"
    assert deployed.target.destroy(deployed.plan, Log(), everything=True).left_behind == []
    assert emptied(account)
    assert deployed.target.destroy(deployed.plan, Log(), everything=True).removed == []


def test_what_of_a_network_is_missing_is_said_before_anything_is_made(
    target: EcsTarget, emulator: Emulator, onnx_model: Path
) -> None:
    ec2 = client("ec2")
    network = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(
        VpcId=network, CidrBlock="10.1.1.0/24", AvailabilityZone="us-east-1a"
    )["Subnet"]["SubnetId"]
    settings: dict[str, Any] = {
        "vpc_id": network, "subnet_ids": [subnet], "security_group_ids": ["sg-0123456789abcdef0"],
    }  # fmt: skip
    with pytest.raises(PreflightError, match="lie in us-east-1a only"):
        target.plan(asked(onnx_model, option=FARGATE, settings=settings))
    with pytest.raises(PreflightError, match="belong to another network"):
        target.plan(asked(onnx_model, option=FARGATE, settings=settings | {"vpc_id": "vpc-1"}))
    emulator.quotas({"Fargate On-Demand vCPU resource count": 0, "other": 1, "third": 1})
    wanted = need(control={"private_network": True})
    with pytest.raises(PreflightError) as caught:
        target.plan(asked(onnx_model, option=FARGATE, requirements=wanted, public=True))
    assert "control.private_network is true" in str(caught.value)
    assert "may run 0 vCPU on Fargate" in str(caught.value)
    assert emulator.state()["stacks"] == {}


def test_a_stack_that_an_ended_apply_left_is_named_when_the_next_one_fails(
    target: EcsTarget,
    bootstrapped: None,
    emulator: Emulator,
    onnx_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = target.plan(asked(onnx_model, option=FARGATE))
    proof = EcsTarget.verify

    def ends(*_: object) -> None:
        raise KeyboardInterrupt  # as when the machine goes off

    def fails(*_: object) -> None:
        raise DeployError("sign in again")

    monkeypatch.setattr(EcsTarget, "verify", ends)
    with pytest.raises(KeyboardInterrupt):
        target.apply(plan, Log())
    monkeypatch.setattr(EcsTarget, "verify", fails)
    with pytest.raises(
        DeployError, match=r"sign in again; the stack mda-fraud stands, from an apply"
    ):
        target.apply(plan, Log())
    monkeypatch.setattr(EcsTarget, "verify", proof)
    target.apply(plan, Log())
    assert target.status(plan).state == "running"
    assert target.destroy(plan, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


@pytest.mark.slow
def test_a_container_that_does_not_start_is_taken_back(
    target: EcsTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model, option=FARGATE))
    emulator.fault("container", "", "65536")  # no such port
    with pytest.raises(DeployError, match="Circuit Breaker"):
        target.apply(plan, Log())
    assert only_the_bootstrap_is_left(emulator)


def public(model: Path, wanted: Requirements | None = None, **settings: Any) -> Any:
    return asked(
        model,
        option=FARGATE,
        requirements=wanted,
        ranked=sized(need(), FARGATE),
        public=True,
        settings=settings,
    )


def test_a_public_door_costs_its_requests(
    target: EcsTarget, bootstrapped: None, onnx_model: Path
) -> None:
    request = public(onnx_model)
    plan = target.plan(request)
    assert plan.monthly_usd is not None
    # 2 million requests at $1 a million (API Gateway pricing, HTTP APIs, first 300 million).
    assert plan.monthly_usd - request.ranked.monthly_usd.expected == pytest.approx(2.0)
    assert "only IAM-signed calls" in plan.public[0]


def test_what_a_public_door_needs_is_asked_for(
    target: EcsTarget, emulator: Emulator, onnx_model: Path
) -> None:
    def said(wanted: Requirements | None = None, **settings: Any) -> str:
        found = target.preflight(public(onnx_model, wanted, **settings))
        return " ".join(f.message for f in found if not f.ok)

    assert "whatever they were made" in said(jwt_issuer="https://login.example.org")
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    assert "without the name it is for" in said(certificate_arn=certificate)
    topic, elsewhere = "arn:aws:sns:us-east-1:123456789012:alarms", ("us-east-1", "eu-west-1")
    given = {"certificate_arn": certificate, "domain": "a.example.org", "alarm_topic_arn": topic}
    assert "another region" not in said(**given)
    for name in ("certificate_arn", "alarm_topic_arn"):  # which AWS would refuse after minutes
        moved = given[name].replace(*elsewhere)
        assert f"{moved} lies in eu-west-1" in said(**given | {name: moved})
        other = "arn:aws:iam::123456789012:role/x"
        assert f"{name.upper()} is {other!r}, which is no ARN of" in said(**given | {name: other})
    for domain in ("https://a.example.org", "a b.example.org", "localhost"):
        assert "no name of a host" in said(**given | {"domain": domain})
    for issuer in ("http://login.example.org", "login.example.org", "https://"):
        assert "no issuer of tokens" in said(jwt_issuer=issuer, jwt_audience=["me"])
    assert "more than the 10 MB" in said(need(traffic={"request_mb": 11}))
    assert "an HTTP API waits 30 s" in said(
        need(service={"max_processing_s": 31, "p95_ms": 20_000})
    )
