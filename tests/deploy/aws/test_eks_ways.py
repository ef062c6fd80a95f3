"""Another way to a cluster: onto one that is there, and stays."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked, client, need, sign_in, weighted
from containers_support import emptied
from emulator.client import Emulator

from advisor.errors import DeployError
from deploy.aws.session import AwsSettings
from deploy.target import Plan
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
