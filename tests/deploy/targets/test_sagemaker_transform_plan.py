"""What a sized recommendation means for batch transform; no account is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from advisor.recommend import recommend
from advisor.requirements import parse
from deploy.artifact import Artifact, SafetyReport
from deploy.aws.session import AwsSettings
from deploy.aws.transform import AT_ONCE_MB, mini_batch, nightly_start, transform
from deploy.requests import PlanRequest

OPTION = "sagemaker-batch"
NAME_CHARACTERS = 63  # of a transform job (CreateTransformJob, API reference, 2026-11-22)
EXECUTION_ID = 16  # characters of <aws.scheduler.execution-id>, by the example in its guide


def asked(service_time_ms: float = 8, **traffic: Any) -> PlanRequest:
    need = parse(
        {
            "model": {
                "format": "onnx", "size_mb": 1, "memory_mb": 300,
                "service_time_ms": service_time_ms,
            },
            "traffic": {"mode": "batch", "requests_per_month": 100_000, **traffic},
            "service": {"p95_ms": None, "deadline_h": 6},
        }
    )  # fmt: skip
    answer = recommend(need, options=[OPTION], doubt=False)
    ranked = answer.option(OPTION)
    assert ranked is not None, answer.excluded
    safe = SafetyReport(verdict="safe")
    artifact = Artifact(
        path=Path("m.onnx"), format="onnx", size_bytes=1000, digest="cd" * 32, safety=safe
    )
    return PlanRequest(name="fraud", artifact=artifact, need=need, ranked=ranked)


def days(*hours: int) -> tuple[float, ...]:
    return tuple(float(hour in hours) for _ in range(7) for hour in range(24))


@pytest.mark.parametrize(
    ("pattern", "start"),
    [
        ("nightly", "cron(0 1 ? * SUN-SAT *)"),
        ("steady", ""),
        (days(22, 23), "cron(0 22 ? * SUN-SAT *)"),
        (days(23, 0), "cron(0 23 ? * SUN-SAT *)"),
        (days(2, 14), ""),  # two windows a day
        (days(3)[:120] + (0.0,) * 48, "cron(0 3 ? * MON-FRI *)"),
    ],
)
def test_the_run_begins_with_the_one_window_of_the_week(pattern: Any, start: str) -> None:
    request = asked(pattern=pattern)
    assert nightly_start(request) == start
    made = transform(request, "ab" * 32, AwsSettings())
    kinds = [kind for _, kind in made.template.resources(made.parameters)]
    assert ("AWS::Scheduler::Schedule" in kinds) == bool(start)


def test_a_mini_batch_is_answered_in_time_and_fits_beside_the_others() -> None:
    request = asked(request_mb=0.01)
    assert mini_batch(request) == (6, 600)
    made = transform(request, "ab" * 32, AwsSettings()).parameters
    expected_s = 600 * request.ranked.sizing.service_time_ms / 1000
    assert int(made["AnswerSeconds"]) == max(60, round(4 * expected_s))
    slow = asked(4000, request_mb=0.01)
    payload_mb, records = mini_batch(slow)
    assert payload_mb < 6
    assert 4 * records * slow.ranked.sizing.service_time_ms / 1000 <= 3600
    for request in (asked(request_mb=0.001), asked(request_mb=3.2), slow):
        given = transform(request, "ab" * 32, AwsSettings()).parameters
        assert int(given["PayloadMb"]) * int(given["RequestsAtOnce"]) <= AT_ONCE_MB


def test_large_and_very_slow_records_go_one_by_one() -> None:
    for request, payload_mb in ((asked(request_mb=3.2), "4"), (asked(60_000, request_mb=0), "1")):
        made = transform(request, "ab" * 32, AwsSettings()).parameters
        assert (made["BatchStrategy"], made["PayloadMb"]) == ("SingleRecord", payload_mb)


def test_names_of_jobs_fit_for_the_longest_name() -> None:
    longest = "mda-" + "x" * 40
    assert len(f"{longest}-n-") + EXECUTION_ID <= NAME_CHARACTERS
    assert len(f"{longest}-ask-") + 12 <= NAME_CHARACTERS
