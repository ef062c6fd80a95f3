"""A run and a deployment as a viewer meets them, in each of their states. Nothing is deployed here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from looking import look_into
from streamlit.testing.v1 import AppTest

from advisor.errors import DeployError
from deploy import runs
from deploy.registry import target
from deploy.run_models import Deployment, Kind, RunState, RunStatus, StoredEvent
from deploy.target import Level, Plan, Prediction, State, Status
from ui import guard

Open = Callable[..., AppTest]
NOW = datetime.now(UTC)
HOSTILE = "<b>trial</b> **x** $1 🎉"


def plan() -> Plan:
    return Plan(
        name="trial", option="ecs-fargate", target="ecs", variant="fargate", model_path="m.joblib",
        model_format="joblib", model_digest="0" * 64, bundle_hash="b", account="123456789012",
        region="us-east-1", monthly_usd=12.0, resources=[], expected_minutes=9.0,
        proven_by="emulator", proven_on="never", writes_at_plan_time=[],
    )  # fmt: skip


def a_run(state: RunStatus = "succeeded", kind: Kind = "apply", **more: object) -> RunState:
    return RunState(
        run_id="r1", name="trial", kind=kind, state=state, plan_digest="d", created_at=NOW,
        started_at=NOW, finished_at=None if state in ("pending", "running") else NOW, **more,
    )  # fmt: skip


def a_deployment(run: RunState, state: State = "running") -> Deployment:
    return Deployment(
        name="trial", option="ecs-fargate", target="ecs", plan=plan(), state=state, endpoint=None,
        active_run=run.run_id if run.is_active else None, last_run=run, created_at=NOW,
        updated_at=NOW,
    )  # fmt: skip


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let this be the one deployment, with this run, and this what its target says of it."""

    def put(
        run: RunState,
        status: Status | DeployError | None = None,
        events: tuple[StoredEvent, ...] = (),
        state: State = "running",
    ) -> None:
        def says(*_: object) -> Status:
            if isinstance(status, DeployError):
                raise status
            assert status is not None
            return status

        deployment = a_deployment(run, state)
        monkeypatch.setattr(runs, "run", lambda _: run)
        monkeypatch.setattr(runs, "deployment", lambda _: deployment)
        monkeypatch.setattr(runs, "deployments", lambda **_: [deployment])
        monkeypatch.setattr(runs, "events", lambda *_, **__: list(events))
        monkeypatch.setattr(type(target("ecs")), "status", says)
        monkeypatch.setattr(guard, "refusal", lambda: None)

    return put


def a_status(**more: object) -> Status:
    base = {
        "name": "trial", "option": "ecs-fargate", "target": "ecs", "state": "running",
        "message": "it answers",
    }  # fmt: skip
    return Status.model_validate(base | more)


def said(app: AppTest) -> str:
    shown = (*app.markdown, *app.error, *app.success, *app.info)
    return "\n".join(e.value for e in shown).replace("\\", "")


@pytest.mark.parametrize(
    ("lasts", "words"),
    [
        (timedelta(hours=3, minutes=12, seconds=30), "Expires in 3 h 12 min"),
        (timedelta(minutes=4, seconds=30), "Expires in 4 min"),
        (timedelta(days=2, hours=4, minutes=1), "Expires in 2 d 4 h"),
        (-timedelta(minutes=7, seconds=30), "Expired 7 min ago"),
    ],
)
def test_a_running_trial_counts_down_to_its_hour(
    open_app: Open, there: Callable[..., None], lasts: timedelta, words: str
) -> None:
    at = datetime.now(UTC) + lasts
    there(a_run(), a_status(expires_at=at))
    app = open_app({"run": "r1"}, page="deployments")
    assert f"{words}, at {at:%Y-%m-%d %H:%M} UTC, by itself" in said(app)
    listed = look_into(open_app(page="deployments"), "expander manage trial")
    assert "it answers" in said(listed)


def test_no_status_is_asked_for_until_somebody_opens_the_card(
    open_app: Open, there: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    there(a_run(), a_status())
    asked: list[str] = []

    def says(_: object, plan: Plan) -> Status:
        asked.append(plan.name)
        return a_status(name=plan.name)

    monkeypatch.setattr(type(target("ecs")), "status", says)
    at = datetime.now(UTC) + timedelta(hours=3, minutes=12, seconds=30)
    stack = {"Scenario": "Card *fraud*", "Owner": "ada"}
    known = {"expires_at": at, "parameters": {"stack": stack}}
    several = [
        a_deployment(a_run()).model_copy(
            update={"name": name, "plan": plan().model_copy(update={"name": name} | known)}
        )
        for name in ("trial", "other", "third")
    ]
    monkeypatch.setattr(runs, "deployments", lambda **_: several)
    app = open_app(page="deployments")
    assert asked == []
    assert [h.value.replace("\\", "") for h in app.header][:3] == ["Card *fraud*"] * 3
    shown = said(app)
    assert ":small[:gray[other]]" in shown
    assert "ECS on Fargate, in 123456789012, us-east-1, of ada" in shown
    assert shown.count("Expires in 3 h 12 min") == 3  # of the plan: nobody was asked
    look_into(app, "expander manage other")
    assert set(asked) == {"other"}


def test_what_runs_without_an_hour_counts_nothing(
    open_app: Open, there: Callable[..., None]
) -> None:
    there(a_run(), a_status())
    text = said(open_app({"run": "r1"}, page="deployments"))
    assert "it answers" in text
    assert "xpire" not in text


@pytest.mark.parametrize(("level", "shown"), [("warning", "info"), ("error", "error")])
def test_a_run_that_was_cancelled_as_asked_is_no_failure(
    open_app: Open, there: Callable[..., None], level: Level, shown: str
) -> None:
    words = "cancelled; what the run made was taken back"
    end = StoredEvent(id=1, run_id="r1", at=NOW, level=level, step="end", message=words)
    there(a_run("cancelled", error=words), a_status(), events=(end,), state="destroyed")
    app = open_app({"run": "r1"}, page="deployments")
    assert not app.exception
    assert [e.value for e in app.get(shown) if e.value.startswith("cancelled")] == [words]


def test_an_active_run_is_followed_and_can_be_cancelled(
    open_app: Open, there: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = StoredEvent(id=1, run_id="r1", at=NOW, level="info", step="build", message=HOSTILE)
    there(a_run("running"), events=(event,), state="applying")
    cancelled: list[str] = []
    monkeypatch.setattr(runs, "cancel", cancelled.append)
    app = open_app({"run": "r1"}, page="deployments")
    assert "Deploying trial" in app.title[0].value
    assert "the run goes on" in said(app)
    assert HOSTILE in said(app)
    assert not [m for m in app.markdown if "<b>" in m.value and m.allow_html]
    next(b for b in app.button if b.label == "Cancel").click().run()
    assert cancelled == ["r1"]


def test_a_failed_run_says_why_and_what_stands_can_be_removed(
    open_app: Open, there: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "the quota for tasks is used up; ask for a higher one"
    there(a_run("failed", error=why), a_status(state="failed", message=why), state="failed")
    started: list[str] = []
    monkeypatch.setattr(runs, "start_destroy", lambda name, **_: started.append(name) or "r2")
    app = open_app({"run": "r1"}, page="deployments")
    assert why in said(app)
    button = next(b for b in app.button if b.label == "Destroy")
    assert button.disabled
    next(c for c in app.checkbox if c.label.startswith("Yes, remove")).check().run()
    next(b for b in app.button if b.label == "Destroy").click().run()
    assert started == ["trial"]
    assert app.query_params["run"] == "r2"


@pytest.mark.parametrize(
    ("state", "sentence"),
    [("succeeded", "Gone: nothing of it runs"), ("failed", "Not everything is gone yet")],
)
def test_the_end_of_a_deployment_is_said(
    open_app: Open, there: Callable[..., None], state: RunStatus, sentence: str
) -> None:
    there(a_run(state, "destroy", result={"removed": ["AWS::ECS::Service web"]}), state="destroyed")
    text = said(open_app({"run": "r1"}, page="deployments"))
    assert sentence in text
    assert ("AWS::ECS::Service web" in text) is (state == "succeeded")


def test_a_status_that_cannot_be_asked_is_said(open_app: Open, there: Callable[..., None]) -> None:
    there(a_run(), DeployError("the account does not answer; check the network and try again"))
    app = open_app({"run": "r1"}, page="deployments")
    assert not app.exception
    assert "the account does not answer" in said(app)


def test_a_request_from_the_page_shows_the_answer_or_what_was_wrong(
    open_app: Open, there: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    there(a_run(), a_status(snippets={"curl": "curl https://x"}))
    answers: list[object] = [
        Prediction(body={"predictions": [7]}, content_type="j", status_code=200, latency_ms=12.0),
        DeployError("the model said no to 'rows'; send instances"),
    ]

    def predict(*_: object) -> object:
        answer = answers.pop(0)
        if isinstance(answer, DeployError):
            raise answer
        return answer

    monkeypatch.setattr(type(target("ecs")), "predict", predict)
    app = open_app({"run": "r1"}, page="deployments")
    next(b for b in app.button if b.label == "Predict").click().run()
    assert '{"predictions": [7]}' in [c.value for c in app.code]
    next(b for b in app.button if b.label == "Predict").click().run()
    assert "the model said no" in said(app)


def test_a_run_that_is_unknown_is_said_on_the_page_of_deployments(open_app: Open) -> None:
    app = open_app({"run": "<b>none</b>"}, page="deployments")
    assert not app.exception
    assert "no run" in said(app)
