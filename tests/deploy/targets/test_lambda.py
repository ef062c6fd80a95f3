"""What a sized recommendation means for a function; no account is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cfnlint.api
import pytest
from cfnlint import ManualArgs
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from advisor.sizing.queueing import erlang_b
from deploy.artifact import Artifact, SafetyReport
from deploy.aws.functions import function, reserved
from deploy.aws.schedule import DAYS, weekly
from deploy.aws.session import AwsSettings
from deploy.aws.templates import load
from deploy.aws.wanted import Wanted
from deploy.registry import target_for
from deploy.requests import PlanRequest
from deploy.targets.lambda_api import LambdaTarget

URL, API = "lambda-url", "lambda-apigateway"
HASH = "ab" * 32


def need(**sections: dict[str, Any]) -> Requirements:
    base: dict[str, dict[str, Any]] = {
        "model": {"format": "onnx", "size_mb": 1, "memory_mb": 300, "service_time_ms": 8},
        "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
        "service": {"p95_ms": 100},
    }
    for name, answers in sections.items():
        base[name] = base.get(name, {}) | answers
    return parse(base)


READY = need(
    traffic={"requests_per_month": 40_000_000, "pattern": "business-hours"},
    service={"cold_starts_ok": False},
)


def request(option: str, wanted: Requirements, **more: Any) -> PlanRequest:
    ranked = recommend(wanted, options=[option], doubt=False).option(option)
    assert ranked is not None
    artifact = Artifact(
        path=Path("model.onnx"),
        format="onnx",
        size_bytes=1000,
        digest="cd" * 32,
        safety=SafetyReport(verdict="safe"),
    )
    return PlanRequest(name="fraud", artifact=artifact, need=wanted, ranked=ranked, **more)


def made(wanted: Wanted) -> set[str]:
    return {logical_id for logical_id, _ in wanted.template.resources(wanted.parameters)}


@pytest.mark.parametrize("option", [URL, API])
def test_each_option_names_the_target_and_a_variant_of_it(option: str) -> None:
    assert isinstance(target_for(option), LambdaTarget)
    assert request(option, need()).ranked.deploy_variant in LambdaTarget.variants


def test_sizes_are_the_recommendations() -> None:
    asked = request(URL, need(placement={"arm": True}))
    wanted = function(asked, HASH, AwsSettings())
    parameters, sizing = wanted.parameters, asked.ranked.sizing
    assert int(parameters["MemoryMb"]) == sizing.memory_mb
    arm = asked.ranked.machine.endswith(" ARM")
    assert (wanted.architecture, parameters["Architecture"]) == (
        ("arm64", "arm64") if arm else ("x86_64", "x86_64")
    )
    assert wanted.bundle == "lambda"
    assert parameters["LatencyAlarmMs"] == "100"
    # Where nothing is kept ready, nothing is scaled.
    assert (parameters["ReadyAtFirst"], parameters["ReadyByClock"]) == ("0", "false")
    assert "Ready" not in made(wanted)
    assert wanted.monthly_extra_usd == 0


def test_instances_kept_ready_follow_the_hours_of_the_sizing() -> None:
    asked = request(API, READY)
    wanted = function(asked, HASH, AwsSettings())
    hourly = asked.ranked.sizing.hourly_replicas
    assert int(wanted.parameters["ReadyAtFirst"]) == max(hourly) == asked.ranked.replicas.max
    assert "Ready" in made(wanted)
    actions = wanted.additions["Ready"]["ScheduledActions"]
    assert replayed(actions) == list(hourly)
    sent = json.loads(wanted.text)
    assert sent["Resources"]["Ready"]["Properties"]["ScheduledActions"] == actions
    assert load("lambda.yaml").text != wanted.text
    steady = need(service={"cold_starts_ok": False})
    flat = function(request(API, steady), HASH, AwsSettings())
    assert flat.parameters["ReadyByClock"] == "false"
    assert int(flat.parameters["ReadyAtFirst"]) > 0


@pytest.mark.slow
def test_cfn_lint_finds_nothing_in_the_template_with_its_hours() -> None:
    text = function(request(API, READY), HASH, AwsSettings()).text
    assert cfnlint.api.lint(text, config=ManualArgs(regions=["us-east-1"])) == []


def replayed(actions: list[dict[str, Any]]) -> list[int]:
    """Instances in each hour of the week, read back from the cron expressions."""
    week = [-1] * 168
    for action in actions:
        minute, hours, month_day, month, days, year = action["Schedule"][5:-1].split()
        assert (minute, month_day, month, year) == ("0", "?", "*", "*")
        both = action["ScalableTargetAction"]
        assert both["MinCapacity"] == both["MaxCapacity"]
        for day in expanded(days, list(DAYS)):
            for hour in expanded(hours, [str(n) for n in range(24)]):
                assert week[day * 24 + hour] == -1, "two actions in one hour"
                week[day * 24 + hour] = both["MinCapacity"]
    return week


def expanded(field: str, names: list[str]) -> list[int]:
    if field == "*":
        return list(range(len(names)))
    out: list[int] = []
    for part in field.split(","):
        first, _, last = part.partition("-")
        out += range(names.index(first), names.index(last or first) + 1)
    return out


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=168, max_size=168))
def test_every_hour_of_any_week_is_set_once(hourly: list[int]) -> None:
    actions = weekly(hourly)
    assert replayed(actions) == hourly
    assert len(actions) <= 168
    assert len({a["ScheduledActionName"] for a in actions}) == len(actions)


def test_days_that_are_alike_share_their_actions() -> None:
    day = [1] * 8 + [5] * 10 + [1] * 6
    actions = weekly(day * 5 + [1] * 48)
    assert [a["Schedule"] for a in actions] == [
        "cron(0 0-7,18-23 ? * MON-FRI *)",
        "cron(0 8-17 ? * MON-FRI *)",
        "cron(0 * ? * SAT-SUN *)",
    ]
    with pytest.raises(ValueError, match="a week has 168"):
        weekly(day)


@pytest.mark.parametrize(
    ("option", "public", "settings", "reach", "there", "absent"),
    [
        (URL, False, {}, "url-iam", {"Url"}, {"Api", "Tokens"}),
        (URL, True, {}, "url-iam", {"Url"}, {"Api", "Tokens"}),
        (API, False, {}, "gateway-iam", {"Api", "ApiMayCall"}, {"Url", "Tokens"}),
        (
            API,
            True,
            {"jwt_issuer": "https://login.example.org", "jwt_audience": ("models",)},
            "gateway-jwt",
            {"Api", "Tokens"},
            {"Url"},
        ),
        # An issuer of the machine's opens nothing that was not asked to be public.
        (API, False, {"jwt_issuer": "https://login.example.org"}, "gateway-iam", {"Api"}, {"Url"}),
    ],
)  # fmt: skip
def test_each_door_asks_who_calls(
    option: str,
    public: bool,
    settings: dict[str, Any],
    reach: str,
    there: set[str],
    absent: set[str],
) -> None:
    wanted = function(request(option, need(), public=public), HASH, AwsSettings(**settings))
    assert wanted.parameters["Reach"] == reach
    assert there <= made(wanted)
    assert not absent & made(wanted)
    assert "over TLS" in wanted.public[0]
    assert wanted.callers_need


def test_the_time_limit_is_the_catalogs_or_the_longest_calls() -> None:
    def limit_s(option: str, **sections: Any) -> int:
        wanted = function(request(option, need(**sections)), HASH, AwsSettings())
        return int(wanted.parameters["TimeoutSeconds"])

    assert limit_s(API) == 30
    assert limit_s(URL) == 30
    slow = {"max_processing_s": 200, "p95_ms": 240_000}
    assert limit_s(URL, service=slow, model={"load_time_s": 10}) == 440
    assert limit_s(URL, service=slow | {"max_processing_s": 880}) == 900


def test_what_is_reserved_turns_hardly_anybody_away() -> None:
    asked = request(URL, READY)
    sizing, load_s = asked.ranked.sizing, asked.need.model.load_time_s
    calls = sizing.arrival_peak_per_s * (sizing.service_time_ms / 1000 + load_s)
    count = reserved(asked)
    assert float(erlang_b(count, calls)) <= 1e-6 < float(erlang_b(count - 1, calls))
    assert count >= asked.ranked.replicas.max


def test_only_what_changes_the_function_publishes_a_version() -> None:
    asked = request(URL, need())
    release = function(asked, HASH, AwsSettings()).parameters["Release"]
    topic = "arn:aws:sns:us-east-1:123456789012:ops"
    alarmed = function(asked, HASH, AwsSettings(alarm_topic_arn=topic))
    assert alarmed.parameters["Release"] == release
    assert function(asked, "00" * 32, AwsSettings()).parameters["Release"] != release
    bigger = request(URL, need(model={"memory_mb": 3000}))
    assert function(bigger, HASH, AwsSettings()).parameters["Release"] != release


def test_wrong_settings_are_refused() -> None:
    asked = request(URL, need(), settings={"subnet_ids": ["subnet-1"]})
    with pytest.raises(InputError, match="'subnet_ids' is no setting"):
        function(asked, HASH, AwsSettings())
