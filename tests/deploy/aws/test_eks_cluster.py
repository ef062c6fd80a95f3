"""A cluster of its own from an empty account to predictions, a new version, and gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pytest
from aws_support import QUICK, Log, asked, need, sign_in, weighted
from containers_support import emptied, only_the_bootstrap_is_left, smaller
from emulator.client import ACCOUNT, Emulator

from advisor.errors import DeployError, PreflightError
from deploy.aws.session import AwsSettings
from deploy.target import Plan, Status
from deploy.targets.eks import EksTarget

pytestmark = pytest.mark.emulator

EKS = "eks"
# Small enough that data between zones does not make one large node the cheaper plan.
BUSY = need(
    model={"format": "joblib"},
    traffic={
        "requests_per_month": 400_000_000, "pattern": "business-hours",
        "request_mb": 0.0005, "response_mb": 0.0005,
    },
)  # fmt: skip
JSON = "application/json"
ROW = b'{"instances": [[1, 1, 1, 1]]}'
DOOR = "203.0.113.7/32"
SETTINGS = AwsSettings(poll_seconds=QUICK, cluster_cidrs=(DOOR,))


@dataclass
class Deployed:
    """What plan and apply gave."""

    target: EksTarget
    plan: Plan
    status: Status
    log: Log
    model: Path
    arn: str


@pytest.fixture(scope="module")
def deployed(account: Emulator, joblib_model: Path) -> Iterator[Deployed]:
    account.reset()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in account.environment().items():
            patch.setenv(name, value)
        arn = sign_in(patch)
        target = EksTarget(SETTINGS)
        plan = target.plan(asked(joblib_model, option=EKS, requirements=BUSY, owner="risk"))
        log = Log()
        status = target.apply(plan, log)
        yield Deployed(target, plan, status, log, joblib_model, arn)
        account.reset()


def test_the_plan_names_resources_objects_and_doors_and_costs_what_was_recommended(
    deployed: Deployed, account: Emulator
) -> None:
    plan = deployed.plan
    ranked = asked(deployed.model, option=EKS, requirements=BUSY).ranked
    assert (plan.account, plan.option, plan.target) == (ACCOUNT, EKS, "eks")
    assert plan.monthly_usd == ranked.monthly_usd.expected
    planned = {(r.kind, r.name) for r in plan.resources if r.action == "create"}
    assert ("AWS::EKS::Cluster", "mda-fraud") in planned
    assert {name for kind, name in planned if kind.startswith("Kubernetes ")} == {
        "mda-fraud", "mda-fraud/model",
    }  # fmt: skip
    assert plan.public == [
        f"the cluster's API server, from {DOOR} only: each call is authenticated by IAM",
        "nothing else: the load balancer has addresses inside the network only",
    ]
    assert any("nodes may join" in said for said in plan.permissions)


def test_apply_ends_with_every_pod_on_a_node_of_its_own(
    deployed: Deployed, account: Emulator
) -> None:
    ranked = asked(deployed.model, option=EKS, requirements=BUSY).ranked
    low, high = ranked.replicas.min, ranked.replicas.max
    assert high > low
    assert deployed.status.state == "running"
    assert (
        deployed.status.message == f"fraud: {low} of {low} pods serve, {low} of {low} nodes are up"
    )
    assert (deployed.status.endpoint or "").startswith("http://mda-fraud")
    assert "The load balancer reaches the pods" in deployed.log.messages
    state = account.state()
    kept = state["kubernetes"]["mda-fraud"]
    assert "horizontalpodautoscalers/mda-fraud/model" in kept
    assert "deployments/kube-system/cluster-autoscaler" in kept
    nodes = next(v for k, v in state["properties"].items() if "AccessEntry" in k)
    assert nodes["PrincipalArn"] == deployed.arn


def test_a_prediction_through_the_api_server_is_the_models_own(deployed: Deployed) -> None:
    rows = np.random.default_rng(3).normal(size=(5, 4))
    body = f'{{"instances": {rows.tolist()}}}'.encode()
    answer = deployed.target.predict(deployed.plan, body, JSON)
    expected = joblib.load(deployed.model).predict(rows).tolist()
    assert [p["label"] for p in answer.body["predictions"]] == expected
    assert answer.status_code == 200
    with pytest.raises(DeployError, match="mda-fraud answered 4"):
        deployed.target.predict(deployed.plan, b'{"instances": [[1, 2]]}', JSON)


def test_applying_and_planning_again_change_nothing(deployed: Deployed, account: Emulator) -> None:
    before = account.state()
    assert deployed.target.apply(deployed.plan, Log()) == deployed.status
    again = deployed.target.plan(asked(deployed.model, option=EKS, requirements=BUSY, owner="risk"))
    assert (again.resources, again.expected_minutes) == ([], 0)
    after = account.state()
    assert (after["made"], after["running"]) == (before["made"], before["running"])


def test_y_a_new_version_rolls_out_and_one_that_does_not_start_goes_back(
    deployed: Deployed, account: Emulator, tmp_path: Path
) -> None:
    target, request = deployed.target, smaller(BUSY)
    model = weighted(tmp_path / "2.onnx", [2, 0, 0, 0])
    plan = target.plan(asked(model, option=EKS, requirements=request, owner="risk"))
    assert {("update", "Kubernetes Deployment")} <= {(r.action, r.kind) for r in plan.resources}
    target.apply(plan, Log())
    assert target.predict(plan, ROW, JSON).body["predictions"] == [2.0]
    (kept,) = account.state()["repositories"].values()
    assert len(kept) == 2  # this one, and the one before to go back to
    bad = target.plan(
        asked(weighted(tmp_path / "3.onnx", [3, 0, 0, 0]), option=EKS, requirements=request,
              owner="risk")
    )  # fmt: skip
    account.fault("pod", "CrashLoopBackOff", "back-off restarting failed container")
    with pytest.raises(DeployError, match=r"back-off restarting.*the version before serves again"):
        target.apply(bad, Log())
    assert target.predict(plan, ROW, JSON).body["predictions"] == [2.0]
    assert len(account.state()["running"]) == 1


def test_z_destroying_leaves_an_empty_account_and_is_fine_to_repeat(
    deployed: Deployed, account: Emulator
) -> None:
    """Last of those that share a deployment: it ends what they look at."""
    report = deployed.target.destroy(deployed.plan, Log())
    assert report.left_behind == []
    assert "Kubernetes Namespace mda-fraud of mda-fraud" in report.removed
    assert account.state()["clusters"] == []
    assert only_the_bootstrap_is_left(account)
    assert deployed.target.status(deployed.plan).state == "destroyed"
    assert deployed.target.destroy(deployed.plan, Log(), everything=True).left_behind == []
    assert emptied(account)


@pytest.fixture
def signed_in(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    return sign_in(monkeypatch)


@pytest.fixture
def target(signed_in: str) -> EksTarget:
    return EksTarget(SETTINGS)


def said(target: EksTarget, model: Path, *, public: bool = False, **settings: object) -> str:
    """What preflight finds fault with."""
    request = asked(model, option=EKS, public=public, settings=settings)
    return " ".join(f"{f.message}; {f.fix}" for f in target.preflight(request) if not f.ok)


def test_what_is_missing_is_said_before_anything_is_made(
    emulator: Emulator, onnx_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = EksTarget(AwsSettings(poll_seconds=QUICK))
    root = said(closed, onnx_model)
    assert "where this machine is not; set ADVISOR_AWS_CLUSTER_CIDRS" in root
    assert "root, which cannot be an administrator of a cluster" in root
    open_ = EksTarget(SETTINGS)
    assert "'anywhere', which is no network" in said(open_, onnx_model, cluster_cidrs=["anywhere"])
    group = "arn:aws:iam::123456789012:group/all"
    assert "which is no role or user" in said(open_, onnx_model, cluster_admin_arn=group)
    assert "no EKS cluster 'nowhere'" in said(open_, onnx_model, cluster="nowhere", public=True)
    assert "only its own ingress" in said(open_, onnx_model, cluster="nowhere", public=True)
    sign_in(monkeypatch)
    sealed = BUSY.model_copy(update={"control": need(control={"private_network": True}).control})
    request = asked(onnx_model, option=EKS, requirements=smaller(sealed))
    with pytest.raises(PreflightError, match=r"registry\.k8s\.io"):
        open_.plan(request)
    assert emulator.state()["stacks"] == {}
