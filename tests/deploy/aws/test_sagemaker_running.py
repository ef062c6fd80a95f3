"""One deployment from an empty account to a running endpoint, looked at from all sides, and gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pytest
from aws_support import QUICK, Log, asked, client, need
from emulator.client import ACCOUNT, REGION, Emulator

from advisor.errors import DeployError, InputError
from deploy.aws.session import AwsSettings
from deploy.target import Plan, Status
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

# Enough traffic in working hours that more machines run at noon than at night.
BUSY = need(
    model={"format": "joblib"},
    traffic={"requests_per_month": 400_000_000, "pattern": "business-hours"},
)
JSON = "application/json"


@dataclass
class Deployed:
    """What plan and apply gave, and the account's state after each."""

    target: SageMakerTarget
    plan: Plan
    planned: dict  # type: ignore[type-arg]
    status: Status
    log: Log
    model: Path


@pytest.fixture(scope="module")
def deployed(account: Emulator, joblib_model: Path) -> Iterator[Deployed]:
    account.reset()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in account.environment().items():
            patch.setenv(name, value)
        target = SageMakerTarget(AwsSettings(poll_seconds=QUICK))
        plan = target.plan(
            asked(joblib_model, requirements=BUSY, owner="risk team", tags={"scenario": "fraud 3"})
        )
        planned = account.state()
        log = Log()
        status = target.apply(plan, log)
        yield Deployed(target, plan, planned, status, log, joblib_model)
        account.reset()


def test_planning_in_an_empty_account_makes_change_sets_only(deployed: Deployed) -> None:
    state, plan = deployed.planned, deployed.plan
    assert state["stacks"] == {"model-deployment-advisor": "REVIEW_IN_PROGRESS"}
    assert (state["buckets"], state["roles"], state["made"], state["builds"]) == ({}, [], [], [])
    assert plan.writes_at_plan_time == [
        "a change set for the stack model-deployment-advisor, which waits in REVIEW_IN_PROGRESS "
        "and bills nothing"
    ]


def test_the_plan_says_everything_that_apply_then_made(
    deployed: Deployed, account: Emulator
) -> None:
    plan = deployed.plan
    assert (plan.account, plan.region, plan.proven_by) == (ACCOUNT, REGION, "emulator")
    assert plan.monthly_usd is not None
    assert plan.monthly_usd > 0
    planned = {(r.kind, r.name) for r in plan.resources if r.action == "create"}
    made = {tuple(resource.split(" ", 1)) for resource in account.state()["made"]}
    endpoints = {(kind, name) for kind, name in made if kind.startswith("AWS::SageMaker")}
    assert len(endpoints) == 3
    assert endpoints <= planned
    kinds = sorted(kind for kind, _ in planned)
    assert "AWS::ApplicationAutoScaling::ScalingPolicy" in kinds
    assert kinds.count("AWS::CloudWatch::Alarm") == 4
    assert kinds.count("AWS::IAM::Role") == 6  # five of the bootstrap stack
    assert any("must carry the workload boundary" in sentence for sentence in plan.permissions)
    assert plan.public == ["nothing: the endpoint answers IAM-signed calls only"]


def test_the_plan_survives_json_and_holds_no_secret(deployed: Deployed) -> None:
    text = deployed.plan.model_dump_json()
    assert Plan.model_validate_json(text) == deployed.plan
    assert "AKIA" not in text
    assert "Secret" not in text


def test_apply_tells_its_steps_in_order_and_ends_running(deployed: Deployed) -> None:
    assert deployed.log.steps() == ["bootstrap", "stack", "bundle", "upload", "build"]
    messages = deployed.log.messages
    assert "Login Succeeded" in messages  # the build's own log
    assert messages.index("Endpoint create complete") < messages.index(
        "ScalingPolicy create complete"
    )
    assert messages[-1] == "mda-fraud is in service"
    assert deployed.status.state == "running"
    assert deployed.status.outputs["EndpointName"] == "mda-fraud"
    assert deployed.status.outputs["Region"] == REGION


def test_a_prediction_is_the_models_own(deployed: Deployed) -> None:
    rows = np.random.default_rng(3).normal(size=(5, 4))
    body = f'{{"instances": {rows.tolist()}}}'.encode()
    answer = deployed.target.predict(deployed.plan, body, JSON)
    expected = joblib.load(deployed.model).predict(rows).tolist()
    assert [p["label"] for p in answer.body["predictions"]] == expected
    assert answer.status_code == 200
    assert answer.latency_ms > 0


def test_a_request_that_the_model_refuses_is_told_in_its_own_words(deployed: Deployed) -> None:
    with pytest.raises(DeployError, match="mda-fraud answered 4") as caught:
        deployed.target.predict(deployed.plan, b'{"instances": [[1, 2]]}', JSON)
    assert "4" in str(caught.value)


def test_the_sdks_own_variables_redirect_single_services(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(DeployError, match="could not be reached"):
        deployed.target.predict(deployed.plan, b"{}", JSON)


def test_scaling_follows_the_sizing(deployed: Deployed, account: Emulator) -> None:
    properties = account.state()["properties"]
    target = next(v for k, v in properties.items() if "ScalableTarget" in k)
    policy = next(v for k, v in properties.items() if "ScalingPolicy" in k)
    stack = deployed.plan.parameters["stack"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (
        int(stack["MinInstances"]), int(stack["MaxInstances"]),
    )  # fmt: skip
    assert target["MaxCapacity"] > target["MinCapacity"]
    held = policy["TargetTrackingScalingPolicyConfiguration"]
    assert held["TargetValue"] == float(stack["InvocationsPerInstanceTarget"])
    assert policy["ResourceId"] == target["ResourceId"] == "endpoint/mda-fraud/variant/AllTraffic"


def test_alarms_logs_and_tags_are_as_asked(deployed: Deployed, account: Emulator) -> None:
    state = account.state()
    assert state["alarms"]["mda-fraud-latency"]["Threshold"] == 100_000  # microseconds
    assert state["log_groups"]["/aws/sagemaker/Endpoints/mda-fraud"] == 30
    endpoint = state["properties"]["AWS::SageMaker::Endpoint mda-fraud"]
    tags = {tag["Key"]: tag["Value"] for tag in endpoint["Tags"]}
    assert tags["mda:owner"] == "risk team"
    assert tags["mda:scenario"] == "fraud 3"
    assert tags["mda:deployment"] == "fraud"
    assert tags["mda:expires-on"] == "never"


def test_the_container_reaches_nothing_and_the_upload_is_gone(
    deployed: Deployed, account: Emulator
) -> None:
    state = account.state()
    model = next(
        v for k, v in state["properties"].items() if k.startswith("AWS::SageMaker::Model ")
    )
    assert model["EnableNetworkIsolation"] is True
    assert list(state["buckets"].values()) == [[]]


def test_applying_again_finds_what_is_there(deployed: Deployed, account: Emulator) -> None:
    before = account.state()
    again = deployed.target.apply(deployed.plan, Log())
    after = account.state()
    assert again == deployed.status
    assert after["made"] == before["made"]
    assert after["running"] == before["running"]
    assert len(after["builds"]) == len(before["builds"])
    executed = "cloudformation.ExecuteChangeSet"
    assert after["calls"][executed] == before["calls"][executed]


def test_planning_the_same_again_changes_nothing(deployed: Deployed, account: Emulator) -> None:
    again = deployed.target.plan(
        asked(deployed.model, requirements=BUSY, owner="risk team", tags={"scenario": "fraud 3"})
    )
    assert (again.resources, again.writes_at_plan_time) == ([], [])
    assert again.expected_minutes == 0
    log = Log()
    assert deployed.target.apply(again, log).state == "running"
    assert log.messages == ["Nothing differs from what runs"]


def test_a_name_that_somebody_else_uses_is_a_finding(deployed: Deployed, account: Emulator) -> None:
    cloudformation = client("cloudformation")
    template = "Resources: {G: {Type: 'AWS::Logs::LogGroup'}}"
    cloudformation.create_stack(StackName="mda-theirs", TemplateBody=template)
    found = deployed.target.preflight(asked(deployed.model, "theirs", requirements=BUSY))
    (finding,) = [f for f in found if f.check == "name"]
    cloudformation.delete_stack(StackName="mda-theirs")
    assert not finding.ok
    assert "was not made here" in finding.message


def test_another_variant_is_refused_by_name(deployed: Deployed) -> None:
    request = asked(deployed.model, requirements=BUSY)
    other = request.ranked.model_copy(update={"deploy_variant": "shadow"})
    with pytest.raises(InputError, match="'shadow' of sagemaker"):
        deployed.target.plan(asked(deployed.model, requirements=BUSY, ranked=other))


def test_z_destroying_leaves_an_empty_account_and_is_fine_to_repeat(
    deployed: Deployed, account: Emulator
) -> None:
    """Last in this file: it ends what the others look at."""
    log = Log()
    report = deployed.target.destroy(deployed.plan, log)
    assert report.left_behind == []
    assert report.kept == ["the bootstrap stack: bucket, repository and build project"]
    assert any(r.startswith("AWS::ECR::Image") for r in report.removed)
    state = account.state()
    assert (state["made"], state["running"], state["alarms"]) == ([], [], {})
    assert state["repositories"] == {"model-deployment-advisor": []}
    assert state["stacks"] == {"model-deployment-advisor": "CREATE_COMPLETE"}
    assert log[-1].level == "done"
    assert deployed.target.status(deployed.plan).state == "destroyed"
    everything = deployed.target.destroy(deployed.plan, Log(), everything=True)
    assert everything.left_behind == []
    state = account.state()
    for what in (
        "stacks",
        "buckets",
        "repositories",
        "projects",
        "roles",
        "policies",
        "log_groups",
    ):
        assert not state[what], what
    assert deployed.target.destroy(deployed.plan, Log(), everything=True).removed == []
