"""What a sized recommendation means for a serverless endpoint; no account is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.recommend import recommend
from advisor.recommendation import Ranked
from advisor.requirements import Requirements, parse
from deploy.artifact import Artifact, SafetyReport
from deploy.aws.clock import DAYS, week_changes
from deploy.aws.serverless import most_at_once, ready_hours, serverless
from deploy.aws.serverless_checks import limits
from deploy.aws.session import AwsSettings
from deploy.requests import PlanRequest

OPTION = "sagemaker-serverless"
HASH = "ab" * 32
NO_STARTS = {
    "traffic": {"pattern": "business-hours", "requests_per_month": 20_000_000},
    "service": {"cold_starts_ok": False},
}


def need(**sections: dict[str, Any]) -> Requirements:
    given: dict[str, dict[str, Any]] = {
        "model": {"format": "onnx", "size_mb": 1, "memory_mb": 300, "service_time_ms": 8},
        "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
        "service": {"p95_ms": 100, "availability_percent": 99},
    }
    for name, answers in sections.items():
        given[name] = given.get(name, {}) | answers
    return parse(given)


def asked(**sections: dict[str, Any]) -> PlanRequest:
    wanted = need(**sections)
    ranked = recommend(wanted, options=[OPTION], doubt=False).option(OPTION)
    assert ranked is not None
    artifact = Artifact(
        path=Path("model.onnx"), format="onnx", size_bytes=1000, digest="cd" * 32,
        safety=SafetyReport(verdict="safe"),
    )  # fmt: skip
    return PlanRequest(name="fraud", artifact=artifact, need=wanted, ranked=ranked)


def sized(request: PlanRequest, **changes: Any) -> PlanRequest:
    ranked: Ranked = request.ranked
    sizing = ranked.sizing.model_copy(update=changes)
    return replace(request, ranked=ranked.model_copy(update={"sizing": sizing}))


def test_memory_and_requests_at_once_are_the_sizings() -> None:
    request = asked()
    made = serverless(request, HASH, AwsSettings())
    assert made.parameters["MemoryMb"] == f"{request.ranked.sizing.memory_mb:g}"
    # 0.76 requests/s of 13.8 ms are 0.0105 at once: B(1) is 1 %, B(2) 0.006 %.
    assert made.parameters["MaxConcurrency"] == "2"
    assert "ReadyTarget" not in dict(made.template.resources(made.parameters))
    assert made.architecture == "x86_64"


def test_no_more_is_asked_for_than_the_service_has() -> None:
    request = asked(traffic={"requests_per_month": 2_000_000_000, "pattern": "spiky"})
    slow = sized(request, service_time_ms=2000.0)
    assert most_at_once(slow) > 200
    assert serverless(slow, HASH, AwsSettings()).parameters["MaxConcurrency"] == "200"


def test_memory_between_two_steps_is_refused() -> None:
    with pytest.raises(InputError, match=r"2,000 MB cannot be had; it has one of 1,024"):
        serverless(sized(asked(), memory_mb=2000.0), HASH, AwsSettings())


def test_instances_are_kept_ready_by_the_clock_as_sized() -> None:
    request = asked(**NO_STARTS)
    hours = request.ranked.sizing.hourly_replicas
    assert len(set(hours)) > 1
    made = serverless(request, HASH, AwsSettings()).parameters
    assert (made["ReadyMin"], made["ReadyMax"]) == (str(min(hours)), str(max(hours)))
    assert int(made["MaxConcurrency"]) >= max(hours)
    times = [t for t in made["ReadyTimes"].split(",") if t != "-"]
    counts = [int(c) for c in made["ReadyCounts"].split(",") if c != "-"]
    assert followed(list(zip(times, counts, strict=True))) == list(ready_hours(request))


def test_hours_without_requests_keep_one() -> None:
    quiet = sized(asked(**NO_STARTS), hourly_replicas=(0,) * 100 + (3,) * 68)
    assert set(ready_hours(quiet)) == {1, 3}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=168, max_size=168), st.integers(21, 60))
def test_the_clock_never_keeps_less_than_asked(hourly: list[int], most: int) -> None:
    changes, counts = week_changes(hourly, most)
    assert len(changes) <= most
    assert all(c >= h for c, h in zip(counts, hourly, strict=True))
    assert max(counts) == max(hourly)
    if changes:
        assert followed(changes) == list(counts)
    else:
        assert len(set(counts)) == 1


def followed(changes: list[tuple[str, int]]) -> list[int]:
    """The count of each hour when a scheduler follows the expressions for two weeks."""
    at = {}
    for expression, count in changes:
        _minute, hour, _dom, _month, days, _year = expression[5:-1].split()
        first, last = DAYS.index(days[:3]), DAYS.index(days[-3:])
        for day in range(first, last + 1):  # 0 is Sunday
            at[(day - 1) % 7 * 24 + int(hour)] = count
    now, hours = 0, []
    for hour in range(2 * 168):
        now = at.get(hour % 168, now)
        hours.append(now)
    return hours[168:]


def test_a_release_is_new_when_the_endpoint_would_be_another() -> None:
    request = asked()
    name = serverless(request, HASH, AwsSettings()).parameters["ReleaseName"]
    bigger = sized(request, memory_mb=2048.0)
    assert serverless(bigger, HASH, AwsSettings()).parameters["ReleaseName"] != name
    other = replace(request, need=need(service={"p95_ms": 90}))  # an alarm only
    assert serverless(other, HASH, AwsSettings()).parameters["ReleaseName"] == name


def test_limits_of_the_service_are_told_with_the_way_out() -> None:
    request = asked()
    assert all(f.ok for f in limits(request))
    elsewhere = replace(
        request, ranked=request.ranked.model_copy(update={"region": "mx-central-1"})
    )
    (found,) = [f for f in limits(elsewhere) if not f.ok]
    assert "not offered in mx-central-1" in found.message
    private = replace(request, need=need(control={"private_network": True}))
    (found,) = [f for f in limits(private) if not f.ok]
    assert (found.blocking, "cannot be in a VPC" in found.message) == (True, True)
    huge = replace(request, artifact=request.artifact.model_copy(update={"size_bytes": 12 << 30}))
    (found,) = [f for f in limits(huge) if not f.ok]
    assert "takes 10 GB" in found.message
    with pytest.raises(InputError, match="'subnet_ids' is no setting"):
        serverless(replace(request, settings={"subnet_ids": ["s"]}), HASH, AwsSettings())
