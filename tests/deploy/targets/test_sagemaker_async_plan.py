"""What a sized recommendation means for an asynchronous endpoint; no account is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor.recommend import recommend
from advisor.requirements import parse
from deploy.artifact import Artifact, SafetyReport
from deploy.aws.asynchronous import backlog_target, longest_wait_s, queued
from deploy.aws.session import AwsSettings
from deploy.aws.templates import load
from deploy.requests import PlanRequest

OPTION = "sagemaker-async"


def asked(deadline_h: float, requests_per_month: float = 2_000_000) -> PlanRequest:
    need = parse(
        {
            "model": {"format": "onnx", "size_mb": 1, "memory_mb": 300, "service_time_ms": 4000},
            "traffic": {"mode": "async", "requests_per_month": requests_per_month},
            "service": {"p95_ms": None, "deadline_h": deadline_h},
        }
    )
    ranked = recommend(need, options=[OPTION], doubt=False).option(OPTION)
    assert ranked is not None
    safe = SafetyReport(verdict="safe")
    artifact = Artifact(
        path=Path("m.onnx"), format="onnx", size_bytes=1000, digest="cd" * 32, safety=safe
    )
    return PlanRequest(name="fraud", artifact=artifact, need=need, ranked=ranked)


def test_the_backlog_held_is_worked_off_while_a_machine_starts() -> None:
    request = asked(1)
    sizing = request.ranked.sizing
    # 260 s to start one (the option's fact), each worker done every service time.
    held = 260 / (sizing.service_time_ms / 1000) * sizing.concurrency
    assert backlog_target(request) == pytest.approx(held)
    made = queued(request, "ab" * 32, AwsSettings()).parameters
    assert made["RequestsAtOncePerInstance"] == str(sizing.concurrency)
    assert made["MaxInstances"] == str(request.ranked.replicas.max)


def test_the_alarm_on_age_rings_before_deadline_and_before_requests_are_dropped() -> None:
    assert longest_wait_s(asked(1)) == pytest.approx(0.8 * 3600)
    assert longest_wait_s(asked(24)) == pytest.approx(0.8 * 6 * 3600)


def test_what_is_said_of_the_queue_carries_the_endpoint_alone() -> None:
    """These metrics have no dimension VariantName (SageMaker guide, "Monitor asynchronous
    endpoint", 2026-11-22)."""
    resources = load("sagemaker-async.yaml").content["Resources"]
    for name, metric in (
        ("WakeAlarm", "HasBacklogWithoutCapacity"),
        ("BacklogAgeAlarm", "ApproximateAgeOfOldestRequest"),
    ):
        alarm = resources[name]["Properties"]
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SageMaker", metric)
        assert [d["Name"] for d in alarm["Dimensions"]] == ["EndpointName"]
    assert resources["WakeAlarm"]["Properties"]["AlarmActions"] == [{"Ref": "WakePolicy"}]
    assert resources["ScalableTarget"]["Properties"]["MinCapacity"] == {"Ref": "MinInstances"}


def test_replicas_stay_only_where_the_deadline_leaves_no_time_to_start_one() -> None:
    made = {h: queued(asked(h, 20_000), "ab" * 32, AwsSettings()) for h in (1, 1 / 60)}
    low = {h: int(wanted.parameters["MinInstances"]) for h, wanted in made.items()}
    assert low[1] == 0
    assert low[1 / 60] > 0
    assert made[1].known["Endpoint"][1].startswith("0–")
    assert made[1 / 60].parameters["MaxInstances"] == str(low[1 / 60])
