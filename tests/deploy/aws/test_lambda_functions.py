"""A function from plan to empty account: MiniStack's Lambda, and the bundle's own handler behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import joblib
import numpy as np
import pytest
from aws_support import QUICK, Log, asked, client, need, weighted
from containers_support import emptied, only_the_bootstrap_is_left, smaller
from emulator.client import ACCOUNT, Emulator

from advisor.errors import DeployError, PreflightError
from deploy.aws.bootstrap import STACK_NAME, Bootstrap
from deploy.aws.functions import reserved
from deploy.aws.schedule import weekly
from deploy.aws.session import AwsSettings
from deploy.aws.stacks import Stacks
from deploy.requests import PlanRequest
from deploy.target import Plan, Status
from deploy.targets.lambda_api import LambdaTarget

pytestmark = pytest.mark.emulator

URL, API = "lambda-url", "lambda-apigateway"
# Cold starts ruled out, and hours that differ: instances are kept ready by the clock.
BUSY = need(
    model={"format": "joblib"},
    traffic={"requests_per_month": 40_000_000, "pattern": "business-hours"},
    service={"cold_starts_ok": False},
    control={"canary": True},
)
JSON = "application/json"
ROW = b'{"instances": [[1, 1, 1, 1]]}'


@pytest.fixture
def target(emulator: Emulator) -> LambdaTarget:
    return LambdaTarget(AwsSettings(poll_seconds=QUICK))


def doors(account: Emulator) -> dict[str, str]:
    """Where HTTP APIs and function URLs answer here."""
    names = ("AWS_ENDPOINT_URL_EXECUTE_API", "AWS_ENDPOINT_URL_LAMBDA_URL")
    return dict.fromkeys(names, account.url)


@dataclass
class Deployed:
    """What plan and apply gave."""

    target: LambdaTarget
    plan: Plan
    status: Status
    log: Log
    model: Path


@pytest.fixture(scope="module")
def deployed(account: Emulator, joblib_model: Path) -> Iterator[Deployed]:
    account.reset()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (account.environment() | doors(account)).items():
            patch.setenv(name, value)
        target = LambdaTarget(AwsSettings(poll_seconds=QUICK))
        plan = target.plan(asked(joblib_model, option=URL, requirements=BUSY, owner="risk"))
        log = Log()
        status = target.apply(plan, log)
        yield Deployed(target, plan, status, log, joblib_model)
        account.reset()


def test_the_plan_says_what_is_made_and_costs_what_was_recommended(
    deployed: Deployed, account: Emulator
) -> None:
    plan = deployed.plan
    ranked = asked(deployed.model, option=URL, requirements=BUSY).ranked
    assert (plan.account, plan.option, plan.target, plan.variant) == (
        ACCOUNT, URL, "lambda_api", "url",
    )  # fmt: skip
    assert (plan.monthly_usd, plan.monthly_usd_high) == (
        ranked.monthly_usd.expected, ranked.monthly_usd.high,
    )  # fmt: skip
    planned = {(r.kind, r.name) for r in plan.resources if r.action == "create"}
    assert ("AWS::Lambda::Function", "mda-fraud") in planned
    assert {"AWS::Lambda::Url", "AWS::CodeDeploy::DeploymentGroup"} <= {k for k, _ in planned}
    assert "AWS::ApiGatewayV2::Api" not in {k for k, _ in planned}
    assert "only IAM-signed calls" in plan.public[0]
    assert "lambda:InvokeFunctionUrl and lambda:InvokeFunction" in plan.permissions[-1]


def test_sizes_reservation_and_hours_are_the_recommendations(
    deployed: Deployed, account: Emulator
) -> None:
    request = asked(deployed.model, option=URL, requirements=BUSY)
    hourly = request.ranked.sizing.hourly_replicas
    state = account.state()
    (function,) = state["functions"].values()
    assert function["concurrency"] == reserved(request) > max(hourly)
    ready = function["ready"]["live"]["RequestedProvisionedConcurrentExecutions"]
    assert ready == max(hourly)
    (scaled,) = [v for k, v in state["properties"].items() if "ScalableTarget" in k]
    assert (scaled["MinCapacity"], scaled["MaxCapacity"]) == (0, max(hourly))
    assert scaled["ScheduledActions"] == weekly(hourly)
    about = client("lambda").get_function(FunctionName="mda-fraud", Qualifier="live")
    assert about["Configuration"]["MemorySize"] == request.ranked.sizing.memory_mb
    assert about["Configuration"]["Architectures"] == ["x86_64"]
    assert about["Configuration"]["LoggingConfig"]["LogGroup"] == "/mda/fraud"
    assert "@sha256:" in about["Code"]["ResolvedImageUri"]
    assert state["alarms"]["mda-fraud-latency"]["Threshold"] == 100  # milliseconds
    assert set(state["alarms"]) == {"mda-fraud-5xx", "mda-fraud-latency", "mda-fraud-saturation"}


def test_a_signed_call_of_its_url_is_answered_by_the_bundles_own_handler(
    deployed: Deployed, account: Emulator
) -> None:
    assert deployed.log.messages[-1] == "mda-fraud is in service"
    assert deployed.status.state == "running"
    rows = np.random.default_rng(3).normal(size=(5, 4))
    body = f'{{"instances": {rows.tolist()}}}'.encode()
    answer = deployed.target.predict(deployed.plan, body, JSON)
    expected = joblib.load(deployed.model).predict(rows).tolist()
    assert [p["label"] for p in answer.body["predictions"]] == expected
    assert (answer.status_code, answer.content_type) == (200, JSON)
    with pytest.raises(DeployError, match="answered 422"):
        deployed.target.predict(deployed.plan, b'{"instances": [[1, 2]]}', JSON)
    url = urlsplit(deployed.status.endpoint or "")
    assert url.netloc.endswith(".lambda-url.us-east-1.on.aws")
    unsigned = httpx.post(f"{account.url}{url.path}", headers={"Host": url.netloc}, content=ROW)
    assert unsigned.status_code == 403
    assert "aws:amz:us-east-1:lambda" in deployed.status.snippets["curl"]


@pytest.mark.slow
def test_applying_and_planning_again_change_nothing(deployed: Deployed, account: Emulator) -> None:
    before = account.state()
    assert deployed.target.apply(deployed.plan, Log()) == deployed.status
    again = deployed.target.plan(asked(deployed.model, option=URL, requirements=BUSY, owner="risk"))
    assert (again.resources, again.expected_minutes) == ([], 0)
    assert account.state()["functions"] == before["functions"]


def test_y_a_new_version_keeps_the_one_before(
    deployed: Deployed, account: Emulator, tmp_path: Path
) -> None:
    target = deployed.target
    plan = target.plan(version(deployed, tmp_path, 2.0))
    actions = {(r.action, r.kind.rpartition("::")[2]) for r in plan.resources}
    assert {("update", "Function"), ("replace", "Version"), ("update", "Alias")} <= actions
    target.apply(plan, Log())
    assert target.predict(plan, ROW, JSON).body["predictions"] == [2.0]
    assert account.state()["functions"]["mda-fraud"]["versions"] == ["1", "2"]
    (kept,) = account.state()["repositories"].values()
    assert len(kept) == 2


def test_z_destroying_leaves_an_empty_account_and_is_fine_to_repeat(
    deployed: Deployed, account: Emulator
) -> None:
    """Last in this file: it ends what the others look at."""
    report = deployed.target.destroy(deployed.plan, Log())
    assert report.left_behind == []
    assert only_the_bootstrap_is_left(account)
    assert deployed.target.status(deployed.plan).state == "destroyed"
    assert deployed.target.destroy(deployed.plan, Log(), everything=True).left_behind == []
    assert emptied(account)
    assert deployed.target.destroy(deployed.plan, Log(), everything=True).removed == []


def test_what_a_function_cannot_be_is_said_before_anything_is_made(
    target: LambdaTarget, emulator: Emulator, onnx_model: Path
) -> None:
    def said(option: str, **more: Any) -> str:
        found = target.preflight(asked(onnx_model, option=option, **more))
        return " ".join(f.message for f in found if not f.ok)

    sealed = need(control={"private_network": True})
    assert "a private REST API is priced, but not deployed" in said(API, requirements=sealed)
    issuer = {"jwt_issuer": "https://login.example.org"}
    assert "whatever they were made" in said(API, public=True, settings=issuer)
    assert "a function URL knows IAM only" in said(URL, public=True, settings=issuer)
    late = need(traffic={"mode": "async"})
    assert "a function answers whoever calls it" in said(API, requirements=late)
    with pytest.raises(PreflightError, match="priced, but not deployed"):
        target.plan(asked(onnx_model, option=API, requirements=sealed))
    assert emulator.state()["stacks"] == {}


def test_a_small_quota_keeps_nothing_reserved_and_a_smaller_one_stops(
    target: LambdaTarget, emulator: Emulator, onnx_model: Path
) -> None:
    emulator.quotas({"lambda.concurrency": 10})
    found = {f.check: f for f in target.preflight(asked(onnx_model, option=URL))}
    assert not found["quota"].blocking
    assert "nothing is reserved" in found["quota"].message
    emulator.fault("lambda.GetAccountSettings", "AccessDeniedException", "not you", status=403)
    found = {f.check: f for f in target.preflight(asked(onnx_model, option=URL))}
    assert "could not be read, so nothing is reserved" in found["quota"].message
    ready = asked(onnx_model, option=URL, requirements=smaller(BUSY))
    with pytest.raises(PreflightError, match="7 instances are to be kept ready; the account may"):
        target.plan(ready)


@pytest.mark.slow
def test_an_http_api_passes_signed_calls_only(
    target: LambdaTarget,
    bootstrapped: Bootstrap,
    emulator: Emulator,
    onnx_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in doors(emulator).items():
        monkeypatch.setenv(name, value)
    emulator.quotas({"lambda.concurrency": 10})  # as new accounts have it
    plan = target.plan(asked(onnx_model, option=API))
    status = target.apply(plan, Log())
    assert emulator.state()["functions"]["mda-fraud"]["concurrency"] is None
    assert target.predict(plan, ROW, JSON).body["predictions"] == [10.0]
    host = urlsplit(status.endpoint or "").netloc
    assert host.endswith(".execute-api.us-east-1.amazonaws.com")
    unsigned = httpx.post(f"{emulator.url}/invocations", headers={"Host": host}, content=ROW)
    assert unsigned.status_code == 403
    emulator.reset()


@pytest.mark.slow
def test_an_alarm_takes_a_release_back_and_the_version_before_serves(
    target: LambdaTarget,
    bootstrapped: Bootstrap,
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in doors(emulator).items():
        monkeypatch.setenv(name, value)
    good = target.plan(asked(weighted(tmp_path / "1.onnx", [2.0, 0, 0, 0]), option=URL))
    target.apply(good, Log())
    ring("mda-fraud-5xx", "ALARM")
    worse = target.plan(asked(weighted(tmp_path / "2.onnx", [3.0, 0, 0, 0]), option=URL))
    with pytest.raises(DeployError, match=r"alarms have been activated.*its version from before"):
        target.apply(worse, Log())
    live = client("lambda").get_alias(FunctionName="mda-fraud", Name="live")
    assert live["FunctionVersion"] == "1"
    assert target.predict(good, ROW, JSON).body["predictions"] == [2.0]
    ring("mda-fraud-5xx", "OK")
    target.apply(target.plan(asked(tmp_path / "2.onnx", option=URL)), Log())
    assert target.predict(good, ROW, JSON).body["predictions"] == [3.0]


@pytest.mark.slow
def test_versions_older_than_the_one_before_are_deleted(
    target: LambdaTarget, bootstrapped: Bootstrap, emulator: Emulator, tmp_path: Path
) -> None:
    for factor in (1.0, 2.0, 3.0, 4.0):
        model = weighted(tmp_path / f"{factor}.onnx", [factor, 0, 0, 0])
        plan = target.plan(asked(model, option=URL))
        target.apply(plan, Log())
    assert emulator.state()["functions"]["mda-fraud"]["versions"] == ["3", "4"]
    assert client("lambda").get_alias(FunctionName="mda-fraud", Name="live")["FunctionVersion"] == (
        "4"
    )


@pytest.mark.slow
def test_the_operators_two_policies_suffice(
    target: LambdaTarget,
    operator: str,
    stacks: Stacks,
    account: Emulator,
    onnx_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Plan, apply, call and destroy by somebody who has these policies and no other."""
    for name, value in doors(account).items():
        monkeypatch.setenv(name, value)
    with pytest.MonkeyPatch.context() as root:
        for name, value in account.environment().items():
            root.setenv(name, value)
        more = client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        (policy,) = [
            output["OutputValue"]
            for output in more["Outputs"]
            if output["OutputKey"] == "FunctionOperatorPolicyArn"
        ]
        client("iam").attach_user_policy(UserName="operator", PolicyArn=policy)
    plan = target.plan(asked(onnx_model, option=URL))
    assert target.apply(plan, Log()).state == "running"
    assert target.predict(plan, ROW, JSON).body["predictions"] == [10.0]
    assert target.destroy(plan, Log()).left_behind == []


def version(deployed: Deployed, folder: Path, factor: float) -> PlanRequest:
    """A request for a new model under the same name."""
    model = weighted(folder / f"{factor}.onnx", [factor, 0, 0, 0])
    return asked(model, option=URL, requirements=smaller(BUSY), owner="risk")


def ring(name: str, state: str) -> None:
    client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
