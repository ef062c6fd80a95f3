"""Going back to the version before, from the deployment's page: said first, then started."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from streamlit.testing.v1 import AppTest

from advisor.errors import InputError
from deploy import runs
from deploy.registry import target
from deploy.run_store import open_store
from deploy.target import Plan, Status
from ui import guard

Open = Callable[..., AppTest]
Started = list[tuple[str, str]]


def version(digit: str, monthly_usd: float) -> Plan:
    return Plan(
        name="fraud", option="ecs-fargate", target="ecs", variant="fargate", model_path="m.onnx",
        model_format="onnx", model_digest=digit * 64, bundle_hash=digit * 64,
        account="123456789012", region="us-east-1", monthly_usd=monthly_usd, resources=[],
        expected_minutes=9.0, proven_by="emulator", proven_on="never",
    )  # fmt: skip


def applied(plan: Plan) -> str:
    store = open_store()
    run_id, _ = store.begin("apply", plan, by="ann", executor="nobody")
    store.finish(run_id, "succeeded", deployment="running", result={"applied": True})
    return run_id


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What was begun; the service says that "fraud" runs."""
    begun: Started = []

    def start(name: str, plan: Plan, *, by: str = "") -> str:
        begun.append((name, plan.model_digest[0]))
        return runs.deployment(name).last_run.run_id

    ecs = type(target("ecs"))
    status = Status(
        name="fraud", option="ecs-fargate", target="ecs", state="running", message="answers"
    )
    monkeypatch.setattr(ecs, "status", lambda *_: status)
    monkeypatch.setattr(ecs, "plan_rollback", back_to_the_newest)
    monkeypatch.setattr(runs, "start_rollback", start)
    monkeypatch.setattr(guard, "refusal", lambda: None)
    return begun


def back_to_the_newest(_: object, stands: Plan, earlier: Sequence[Plan]) -> Plan:
    return earlier[0].model_copy(update={"rolls_back": True})


def said(app: AppTest) -> str:
    return "\n".join(e.value for e in (*app.markdown, *app.error)).replace("\\", "")


def test_what_would_serve_again_is_said_before_it_is_started(
    open_app: Open, started: Started
) -> None:
    applied(version("1", 50))
    run_id = applied(version("2", 80))
    app = open_app({"run": run_id}, page="deployments")
    app.button(key="back_plan fraud").click().run()
    assert not app.exception
    assert "Serves now: the model 222222222222 (onnx)" in said(app)
    assert "Will serve again: the model 111111111111 (onnx)" in said(app)
    assert "$80.00 before, $50.00 after" in said(app)
    assert started == []
    app.button(key="back_discard fraud").click().run()
    assert not [b for b in app.button if b.key == "back_go fraud"]
    app.button(key="back_plan fraud").click().run()
    app.button(key="back_go fraud").click().run()
    assert not app.exception
    assert started == [("fraud", "1")]


def test_what_was_never_updated_has_no_way_back_and_a_refusal_is_a_sentence(
    open_app: Open, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app({"run": applied(version("1", 50))}, page="deployments")
    assert not [b for b in app.button if b.key == "back_plan fraud"]

    def refuse(*_: object) -> Plan:
        raise InputError("fraud keeps no version before the one that runs")

    monkeypatch.setattr(type(target("ecs")), "plan_rollback", refuse)
    app = open_app({"run": applied(version("2", 50))}, page="deployments")
    app.button(key="back_plan fraud").click().run()
    assert "fraud keeps no version before" in said(app)
    assert started == []
