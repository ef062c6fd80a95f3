"""Moving a deployment from its page: planned first, typed to confirm, and the run is followed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from streamlit.testing.v1 import AppTest

from advisor.errors import NothingFitsError
from deploy import moving, runs
from deploy.registry import target
from deploy.run_models import Deployment, RunState
from deploy.target import Plan, Status
from ui import guard

Open = Callable[..., AppTest]
NOW = datetime.now(UTC)


def plan(name: str, option: str, monthly_usd: float) -> Plan:
    return Plan(
        name=name, option=option, target="ecs", variant="fargate", model_path="m.onnx",
        model_format="onnx", model_digest="0" * 64, bundle_hash="b", account="123456789012",
        region="us-east-1", monthly_usd=monthly_usd, resources=[], expected_minutes=9.0,
        proven_by="emulator", proven_on="never", permissions=["whoever calls signs"],
    )  # fmt: skip


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What was begun; one deployment, "fraud", runs."""
    started: list[tuple[object, ...]] = []
    run = RunState(
        run_id="r1", name="fraud", kind="apply", state="succeeded", plan_digest="d", created_at=NOW
    )
    there = Deployment(
        name="fraud", option="ec2", target="ecs", plan=plan("fraud", "ec2", 50), state="running",
        endpoint=None, active_run=None, last_run=run, created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    status = Status(name="fraud", option="ec2", target="ecs", state="running", message="answers")

    def start(name: str, new: Plan, sample: bytes, *, keep_old: bool = False) -> str:
        started.append((name, new.name, sample, keep_old))
        return "r1"

    monkeypatch.setattr(runs, "run", lambda _: run)
    monkeypatch.setattr(runs, "deployment", lambda _: there)
    monkeypatch.setattr(runs, "deployments", lambda **_: [there])
    monkeypatch.setattr(runs, "events", lambda *_, **__: [])
    monkeypatch.setattr(runs, "start_move", start)
    monkeypatch.setattr(type(target("ecs")), "status", lambda *_: status)
    monkeypatch.setattr(guard, "refusal", lambda: None)
    monkeypatch.setattr(moving, "sample_of", lambda _: b"[]")
    monkeypatch.setattr(moving, "plan_move", lambda found, used, to: plan("fraud-2", to, 80))
    return started


def said(app: AppTest) -> str:
    return "\n".join(e.value for e in (*app.markdown, *app.error)).replace("\\", "")


def opened(open_app: Open) -> AppTest:
    app = open_app({"run": "r1"}, page="deployments")
    app.toggle(key="move_open fraud").set_value(True).run()
    app.selectbox(key="move_to fraud").set_value("ecs-fargate").run()
    app.button(key="move_plan fraud").click().run()
    assert not app.exception
    return app


def test_what_changes_is_said_and_the_name_typed_before_it_moves(
    open_app: Open, begun: list[tuple[object, ...]]
) -> None:
    app = opened(open_app)
    assert "$50.00 before, $80.00 after" in said(app)
    assert "Callers get another address" in said(app)
    assert app.button(key="move_go fraud").disabled
    app.checkbox(key="move_keep fraud").check().run()
    app.text_input(key="move_typed fraud").set_value("fraud").run()
    app.button(key="move_go fraud").click().run()
    assert not app.exception
    assert begun == [("fraud", "fraud-2", b"[]", True)]


def test_where_nothing_fits_is_a_sentence(
    open_app: Open, begun: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Plan:
        raise NothingFitsError("ecs-fargate does not fit: too large")

    monkeypatch.setattr(moving, "plan_move", refuse)
    app = opened(open_app)
    assert "does not fit: too large" in said(app)
    assert not [b for b in app.button if b.key == "move_go fraud"]
    assert begun == []


def test_what_is_chosen_just_before_a_click_counts(
    open_app: Open, begun: list[tuple[object, ...]]
) -> None:
    """Both arrive before a run has drawn the choice: so does a click that interrupts that run."""
    app = open_app({"run": "r1"}, page="deployments")
    app.toggle(key="move_open fraud").set_value(True).run()
    app.selectbox(key="move_to fraud").set_value("ecs-fargate")
    app.button(key="move_plan fraud").click().run()
    assert any("to ecs-fargate" in line for line in said(app).splitlines())
    app.text_input(key="move_typed fraud").set_value("fraud").run()
    app.checkbox(key="move_keep fraud").set_value(True)
    app.button(key="move_go fraud").click().run()
    assert begun == [("fraud", "fraud-2", b"[]", True)]
