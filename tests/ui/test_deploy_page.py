"""The Deploy page up to the click: model, plan, confirmation, refusals. Nothing is started here."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.testing.v1 import AppTest

from advisor.errors import DeployError
from advisor.presets import presets
from deploy import planning, runs
from deploy.artifact import Artifact
from deploy.registry import target
from deploy.target import Plan, PlannedResource
from ui import format as fmt
from ui import guard
from ui.answers import encode, flatten
from ui.components import endpoint, model_file

Open = Callable[..., AppTest]
REFUSED = "Deploying is refused: somebody else could reach this."


def at_deploy(open_app: Open, to: str = "local") -> AppTest:
    need = presets()["fraud-detection"].requirements
    packed = urlencode(encode(flatten(need)))
    app = open_app({"option": "sagemaker-realtime", "to": to, "answers": packed}, page="deploy")
    example = next(p.name for p in model_file.examples() if p.suffix == ".joblib")
    app.button(key=f"example {example}").click().run()
    assert not app.exception
    return app


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label == label)


def said(app: AppTest) -> str:
    return "\n".join(e.value for e in app.error).replace("\\", "")


@pytest.fixture(scope="module", autouse=True)
def _examples() -> None:
    if not any(p.suffix == ".joblib" for p in model_file.examples()):
        pytest.fail("the example models are missing; run python examples/make_examples.py")


def test_nothing_starts_before_the_plan_is_agreed_to(open_app: Open) -> None:
    app = at_deploy(open_app)
    assert not app.error
    shown = "\n".join(m.value for m in app.markdown)
    assert "Allowed" in shown
    assert "listens on 127.0.0.1 only" in shown
    assert {m.label for m in app.metric} == {"Where", "Cloud bill a month", "Takes about"}
    assert button(app, "Deploy").disabled
    assert "*Deploy* can be pressed once the box above is ticked." in shown
    app.checkbox[0].check().run()
    assert not button(app, "Deploy").disabled
    assert not any("can be pressed once" in m.value for m in app.markdown)


def test_that_a_model_is_being_looked_at_is_on_the_page_before_the_look_begins(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    enqueue = ScriptRunContext.enqueue

    def noted(self: ScriptRunContext, message: Any) -> None:
        sent.append(str(message))
        enqueue(self, message)

    def looks(*_: object, **__: object) -> Artifact:
        assert any("Looking at the model, in a confined process" in said for said in sent)
        raise DeployError("looked at")

    monkeypatch.setattr(ScriptRunContext, "enqueue", noted)
    monkeypatch.setattr(model_file, "inspect_bytes", looks)
    assert "looked at" in said(at_deploy(open_app))


def test_an_example_takes_the_place_of_the_uploaded_file_on_the_page_too(open_app: Open) -> None:
    app = open_app(page="deploy")
    app.file_uploader(key="model_file").upload("notes.joblib", b"no model", None).run()
    assert "notes.joblib" in said(app)
    example = next(p.name for p in model_file.examples() if p.suffix == ".joblib")
    app.button(key=f"example {example}").click().run()
    assert not app.exception
    assert not app.error
    [shown] = app.file_uploader
    assert shown.value is None


def test_a_plan_that_replaces_what_runs_says_so_where_it_is_agreed_to(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = planning.made

    def replaces(*asked: Any) -> Plan:
        thing = PlannedResource(action="replace", kind="process", name="trial server")
        return made(*asked).model_copy(update={"resources": [thing]})

    monkeypatch.setattr(planning, "made", replaces)
    assert "put this model in the place of" in at_deploy(open_app).checkbox[0].label


def test_another_name_is_another_plan_and_needs_agreeing_again(open_app: Open) -> None:
    app = at_deploy(open_app)
    app.checkbox[0].check().run()
    app.text_input[0].set_value("second-one").run()
    assert "second-one" in app.checkbox[0].label
    assert button(app, "Deploy").disabled


def test_a_name_that_does_not_fit_is_said_with_a_better_one(open_app: Open) -> None:
    app = at_deploy(open_app)
    app.text_input[0].set_value("My Model!").run()
    assert not app.exception
    assert "'my-model'" in said(app)
    assert not [b for b in app.button if b.label == "Deploy"]


def test_a_busy_port_is_said_with_its_holder_and_nothing_is_lost(open_app: Open) -> None:
    app = at_deploy(open_app)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        app.number_input(key="port").set_value(port).run()
        assert not app.exception
        assert f"port {port} is taken by" in said(app)
        assert "nothing was made" in said(app)
        assert not [b for b in app.button if b.label == "Deploy"]
        assert app.text_input[0].value  # the name and the model are kept
        assert "Allowed" in "\n".join(m.value for m in app.markdown)
    app.number_input(key="port").set_value(None).run()
    assert not app.error
    assert button(app, "Deploy").disabled


def test_stale_prices_are_said_before_a_bill_is_planned(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fmt, "age_days", lambda *_: 91)
    shown = "\n".join(w.value for w in at_deploy(open_app, to="sagemaker").warning)
    assert "The prices are 91 days old" in shown
    assert not at_deploy(open_app).warning  # here nothing is billed


def test_a_cloud_without_credentials_is_said_and_nothing_is_made(
    open_app: Open, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    app = at_deploy(open_app, to="sagemaker")
    button(app, "Make the plan").click().run()
    assert not app.exception
    assert "nothing was made" in said(app)
    assert "credentials" in said(app)
    assert not [b for b in app.button if b.label == "Deploy"]


def test_a_refusal_is_shown_and_holds_in_the_handlers(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(guard, "refusal", lambda: REFUSED)
    monkeypatch.setattr(runs, "start_apply", lambda plan, **_: started.append(plan.name))
    monkeypatch.setattr(runs, "start_destroy", lambda name, **_: started.append(name))
    app = at_deploy(open_app)
    assert REFUSED in said(app)
    assert not [b for b in app.button if b.label == "Deploy"]
    endpoint._destroy("anything", "next")  # as if the disabled button had been clicked
    assert started == []


def test_a_model_that_is_none_is_refused_in_words(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app({"to": "local"}, page="deploy")
    app.file_uploader(key="model_file").upload("notes.joblib", b"no model", None).run()
    assert not app.exception
    assert "notes.joblib" in said(app)


def test_an_unknown_run_is_said(open_app: Open) -> None:
    app = open_app({"run": "no-such-run"}, page="deploy")
    assert "no run 'no-such-run'" in said(app)


def plan_for_aws(**changes: object) -> Plan:
    return Plan(
        name="trial", option="ecs-fargate", target="ecs", variant="fargate", model_path="m.joblib",
        model_format="joblib", model_digest="0" * 64, bundle_hash="b", account="123456789012",
        region="us-east-1", monthly_usd=12.0, resources=[], expected_minutes=9.0,
        proven_by="emulator", proven_on="never", writes_at_plan_time=["a change set"],
    ).model_copy(update=changes)  # fmt: skip


@pytest.mark.parametrize(("to", "can"), [("ecs", True), ("sagemaker", False), ("local", False)])
def test_only_what_can_be_public_is_asked_whether_it_should_be(
    open_app: Open, to: str, can: bool
) -> None:
    app = at_deploy(open_app, to=to)
    assert ("Reachable from the internet" in [t.label for t in app.toggle]) is can


def test_a_trial_says_its_hour_and_its_plan_can_be_discarded(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    discarded: list[str] = []
    at = datetime.now(UTC) + timedelta(hours=4, minutes=1)
    ecs = type(target("ecs"))
    monkeypatch.setattr(
        ecs, "plan", lambda _, request: asked.append(request) or plan_for_aws(expires_at=at)
    )
    monkeypatch.setattr(ecs, "discard", lambda _, plan: discarded.append(plan.name))
    app = at_deploy(open_app, to="ecs")
    app.selectbox(key="lasts").set_value("in 4 hours").run()
    assert app.selectbox(key="builder").value == "codebuild"
    app.selectbox(key="builder").set_value("podman").run()
    button(app, "Make the plan").click().run()
    assert not app.exception
    assert [request.expires_in for request in asked] == [timedelta(hours=4)]
    assert [request.settings for request in asked] == [{"builder": "podman"}]
    shown = "\n".join(m.value for m in app.markdown).replace("\\", "")
    assert f"{at:%Y-%m-%d %H:%M} UTC, by itself (expires in 4 h" in shown
    button(app, "Discard this plan").click().run()
    assert discarded == ["trial"]
    assert "is gone" in app.success[-1].value
    assert not [b for b in app.button if b.label in ("Deploy", "Discard this plan")]


def test_a_plan_that_cannot_be_discarded_stays_and_says_why(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object, plan: Plan) -> None:
        raise DeployError("the account said no; try again")

    ecs = type(target("ecs"))
    monkeypatch.setattr(ecs, "plan", lambda _, request: plan_for_aws())
    monkeypatch.setattr(ecs, "discard", refused)
    app = at_deploy(open_app, to="ecs")
    button(app, "Make the plan").click().run()
    button(app, "Discard this plan").click().run()
    assert "the account said no" in said(app)
    assert button(app, "Discard this plan")
