"""Other ways to a cluster: onto one that is there, through a public door, in a sealed network, killed
on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from aws_support import QUICK, Log, asked, client, need, sign_in, weighted
from containers_support import emptied, only_the_bootstrap_is_left
from emulator.client import Emulator

from advisor.errors import DeployError
from deploy.aws.session import AwsSettings
from deploy.target import Event, Plan
from deploy.targets.eks import EksTarget

pytestmark = pytest.mark.emulator

EKS = "eks"
JSON = "application/json"
ROW = b'{"instances": [[1, 1, 1, 1]]}'
SETTINGS = AwsSettings(poll_seconds=QUICK, cluster_cidrs=("203.0.113.7/32",))


@pytest.fixture
def target(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> EksTarget:
    sign_in(monkeypatch)
    return EksTarget(SETTINGS)


@pytest.mark.slow
def test_on_a_cluster_that_is_there_only_objects_come_and_go(
    target: EksTarget, emulator: Emulator, onnx_model: Path, tmp_path: Path
) -> None:
    """The cluster of another deployment takes a second model, and keeps its first."""
    first = target.plan(asked(onnx_model, option=EKS))
    target.apply(first, Log())
    before = emulator.state()["made"]
    there = need(placement={"existing_cluster": True})
    model = weighted(tmp_path / "second.onnx", [7, 0, 0, 0])
    request = asked(
        model, "second", option=EKS, requirements=there, settings={"cluster": "mda-fraud"}
    )
    plan = target.plan(request)
    assert plan.monthly_usd == request.ranked.monthly_usd.expected
    assert {r.kind for r in plan.resources if r.kind.startswith("AWS::E")} == {"AWS::ECR::Image"}
    assert plan.public == ["nothing: the service has an address inside the cluster only"]
    status = target.apply(plan, Log())
    assert status.endpoint == "http://model.mda-second.svc/invocations"
    assert "from a pod of the same cluster" in status.snippets["curl"]
    assert target.predict(plan, ROW, JSON).body["predictions"] == [7.0]
    assert emulator.state()["made"] == before
    client("cloudformation").delete_stack(StackName="mda-second")  # by hand
    until_gone(target, plan)
    report = target.destroy(plan, Log())  # the objects go although the stack is gone
    assert "Kubernetes Namespace mda-second of mda-fraud" in report.removed
    emulator.fault("pod", "ImagePullBackOff", "no such image")
    with pytest.raises(DeployError, match=r"no such image.*its objects are gone again"):
        target.apply(target.plan(request), Log())
    assert not [k for k in emulator.state()["kubernetes"]["mda-fraud"] if "second" in k]
    assert target.predict(first, ROW, JSON).body["predictions"] == [10.0]
    assert target.destroy(first, Log(), everything=True).left_behind == []
    assert emptied(emulator)


def until_gone(target: EksTarget, plan: Plan) -> None:
    until = time.monotonic() + 60
    while target.status(plan).state != "destroyed":
        assert time.monotonic() < until
        time.sleep(QUICK)


class KilledError(BaseException):
    """The process ends: nothing is taken back, nothing is told."""


KILLED_AT = (
    "Cluster create in progress",
    "Namespace mda-fraud is applied",
    "Deployment model is applied",
    "The load balancer reaches the pods",
)


@pytest.mark.slow
def test_a_public_trial_killed_on_the_way_serves_signed_calls_is_updated_and_ends_by_itself(
    target: EksTarget,
    bootstrapped: None,
    emulator: Emulator,
    onnx_model: Path,
    doubled_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EXECUTE_API", emulator.url)
    hours = timedelta(hours=4)
    plan = target.plan(asked(onnx_model, option=EKS, public=True, expires_in=hours))
    assert any("only IAM-signed calls" in said for said in plan.public)
    for when in KILLED_AT:
        with pytest.raises(KilledError):
            target.apply(plan, dying(when))
    assert target.apply(plan, Log()).state == "running"
    assert len(emulator.state()["running"]) == 1  # one pod's server, nothing made twice
    assert emulator.state()["calls"]["cloudformation.ExecuteChangeSet"] == 2

    host = urlsplit(target.status(plan).endpoint or "").netloc
    assert host.endswith(".execute-api.us-east-1.amazonaws.com")
    assert target.predict(plan, ROW, JSON).body["predictions"] == [10.0]
    unsigned = httpx.post(f"{emulator.url}/invocations", headers={"Host": host}, content=ROW)
    assert unsigned.status_code == 403

    newer = target.plan(asked(doubled_model, option=EKS, public=True))
    assert newer.expires_at == plan.expires_at
    with pytest.raises(KilledError):
        target.apply(newer, dying("Deployment model is applied"))
    target.apply(newer, Log())
    assert target.predict(newer, ROW, JSON).body["predictions"] == [20.0]

    assert plan.expires_at is not None
    emulator.clock(plan.expires_at)
    state = emulator.state()
    assert (state["made"], state["clusters"], state["running"]) == ([], [], [])
    assert target.status(newer).state == "destroyed"
    assert target.destroy(newer, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


@pytest.mark.slow
def test_a_sealed_network_serves_without_a_way_out(
    target: EksTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    sealed = need(control={"private_network": True})
    plan = target.plan(asked(onnx_model, option=EKS, requirements=sealed))
    kinds = [r.kind for r in plan.resources]
    assert kinds.count("AWS::EC2::VPCEndpoint") >= 5  # registry (two), logs, EC2, roles of pods
    assert not {"AWS::EC2::NatGateway", "AWS::EC2::InternetGateway"} & set(kinds)
    target.apply(plan, Log())
    assert target.predict(plan, ROW, JSON).body["predictions"] == [10.0]
    assert target.destroy(plan, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


def dying(when: str) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        if event.message == when:
            raise KilledError

    return emit
