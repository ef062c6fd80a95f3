"""The account on the deployments page: looked at on demand, kept with its age, errors as sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from advisor.errors import DeployError, PreflightError
from deploy import in_account
from deploy.aws.account import Standing
from ui import account, guard

Open = Callable[..., AppTest]
NOW = datetime.now(UTC)


def standing(name: str, **changes: Any) -> Standing:
    return Standing(
        name=name, region="us-east-1", state="running", stack_status="CREATE_COMPLETE",
        target="ecs", owner="ada", created_at=NOW, hours_up=73.0, expires_at=None,
        monthly_usd=100.0, so_far_usd=10.0, requests_last_hour=1234.0, errors_last_hour=2.0,
        p95_ms_last_hour=41.5, recorded_here=False, drift=None, option="ecs-fargate",
    ).model_copy(update=changes)  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether drift was asked for, at each look; two deployments stand there."""
    looks: list[bool] = []

    def found(_: object, *, drift: bool = False) -> list[Standing]:
        looks.append(drift)
        changed = ["AWS::Logs::LogGroup /mda/fraud (modified)"] if drift else None
        scored = standing("fraud", drift=changed, scenario="Card *fraud*", owner="unknown")
        return [scored, standing("mine", recorded_here=True)]

    there = SimpleNamespace(account="123456789012", region="us-east-1")
    monkeypatch.setattr(in_account, "in_region", lambda _: there)
    monkeypatch.setattr(in_account, "standing_in", found)
    account.forget()
    yield looks
    account.forget()


def text(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info]
    return "\n".join(part.value for part in parts).replace("\\", "")


def look(app: AppTest) -> AppTest:
    app.button(key="look_into_account").click().run()
    assert not app.exception
    return app


def test_nothing_is_asked_until_somebody_asks(open_app: Open, asked: list[bool]) -> None:
    app = open_app(page="deployments")
    assert asked == []
    assert app.button(key="look_into_account").label == "Look into the account"
    look(app)
    assert asked == [False]
    table = app.table[0].value
    first, second = table["Deployment"]
    assert first.replace("\\", "") == "**Card *fraud***  \n:small[:gray[fraud]]"
    assert second == "**mine**"
    assert list(table["Service"]) == ["ECS on Fargate"] * 2
    assert list(table["Owner"]) == ["–", "ada"]
    assert list(table["Requests, last hour"]) == ["1,234", "1,234"]
    assert list(table["p95"]) == ["42 ms", "42 ms"]
    assert list(table["Kept here"]) == ["no", "yes"]
    assert "into account 123456789012, us-east-1" in text(app)

    another = open_app(page="deployments")  # another session finds the same, with its age
    assert asked == [False]
    assert list(another.table[0].value["Service"]) == ["ECS on Fargate"] * 2
    assert another.button(key="look_into_account").label == "Look again"


def test_what_was_changed_by_hand_is_said(open_app: Open, asked: list[bool]) -> None:
    app = open_app(page="deployments")
    app.toggle(key="account_drift").set_value(True)  # and the click before it is drawn
    look(app)
    assert asked == [True]
    assert "fraud differs from its template: AWS::Logs::LogGroup" in text(app)


@pytest.mark.parametrize(
    "said", ["no AWS credentials were found on this machine; sign in", "AWS denied permission"]
)
def test_an_account_that_cannot_be_asked_is_a_sentence(
    said: str, open_app: Open, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object, **__: object) -> list[Standing]:
        raise PreflightError(said)

    monkeypatch.setattr(in_account, "standing_in", refuse)
    app = look(open_app(page="deployments"))
    assert said in text(app)
    assert not app.table


def test_an_empty_account_says_so(
    open_app: Open, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_account, "standing_in", lambda *_, **__: [])
    assert "nothing of it costs there" in text(look(open_app(page="deployments")))


def test_only_what_is_not_kept_here_is_taken_down_from_here_and_typed(
    open_app: Open, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, str]] = []

    def refuse(name: str, region: str) -> str:
        begun.append((name, region))
        raise DeployError("somebody else is at it")

    monkeypatch.setattr(in_account, "start_taking_down", refuse)
    app = look(open_app(page="deployments"))
    assert app.selectbox(key="account_name").options == ["Card *fraud* · fraud · ECS on Fargate"]
    assert app.button(key="account_destroy").disabled
    app.text_input(key="account_typed").set_value("fraud").run()
    app.button(key="account_destroy").click().run()
    assert not app.exception
    assert begun == [("fraud", "us-east-1")]
    assert "somebody else is at it" in text(app)


def test_a_refusal_holds_in_the_handlers(
    open_app: Open, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app(page="deployments")
    monkeypatch.setattr(guard, "refusal", lambda: "Deploying is refused: others reach this.")
    look(app)
    assert asked == []
    assert "Deploying is refused" in text(app)
