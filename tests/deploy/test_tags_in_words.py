"""Who answers for a deployment and what was decided on: from the words that people use to tags."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor import scenario
from deploy import __main__ as terminal
from deploy.aws.templates import load
from deploy.aws.wanted import TAG_VALUE, common_parameters
from deploy.moving import scenario_of
from deploy.registry import target
from deploy.requests import NOBODY, PlanRequest, tag_text
from deploy.target import Plan

ANSWERS = """
model: {format: onnx, size_mb: 1, memory_mb: 60, service_time_ms: 4}
traffic: {mode: realtime, requests_per_month: 100000}
"""


@given(st.text())
def test_whatever_somebody_calls_it_aws_takes_it(text: str) -> None:
    made = tag_text(text)
    assert TAG_VALUE.match(made)
    assert tag_text(made) == made


def test_what_aws_takes_stays_as_it_is() -> None:
    assert (
        tag_text("Betrugserkennung für Köln: v2 @ 10/s") == "Betrugserkennung für Köln: v2 @ 10/s"
    )
    assert tag_text("O'Brien (risk) & co") == "O-Brien -risk- - co"


@pytest.mark.parametrize("template", ["bootstrap.yaml", "ecs-fargate.yaml", "sagemaker-async.yaml"])
def test_an_owner_whom_nobody_named_is_called_the_same_in_templates(template: str) -> None:
    assert load(template).content["Parameters"]["Owner"]["Default"] == NOBODY


@pytest.mark.parametrize(
    ("named", "tag"), [("name: 'Fraud (EU) 🎉'\n", "Fraud -EU- -"), ("", "unnamed")]
)
def test_the_name_of_the_scenario_and_the_owner_reach_the_plan(
    tmp_path: Path, onnx_model: Path, monkeypatch: pytest.MonkeyPatch, named: str, tag: str
) -> None:
    asked: list[PlanRequest] = []

    def planned(_: object, request: PlanRequest) -> Plan:
        asked.append(request)
        raise KeyboardInterrupt  # nobody asks an account here

    monkeypatch.setattr(type(target("ecs")), "plan", planned)
    monkeypatch.setenv("USER", "o'brien")
    answers = tmp_path / "answers.yaml"
    answers.write_text(named + ANSWERS, encoding="utf-8")
    assert scenario.load(answers).name == ("Fraud (EU) 🎉" if named else "")
    with pytest.raises(KeyboardInterrupt):
        terminal.main(
            ["plan", "--target", "ecs-fargate", "--model", str(onnx_model), "--requirements",
             str(answers), "--out", str(tmp_path / "plan.json")]
        )  # fmt: skip
    parameters = common_parameters(asked[0])
    assert (parameters["Owner"], parameters["Scenario"]) == ("o-brien", tag)
    plan = Plan.model_construct(parameters={"stack": parameters})
    assert scenario_of(plan) == ("" if tag == "unnamed" else tag)
