"""Batch transform: planned, made, jobs through it, at night by itself, updated, taken down."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aws_support import QUICK, Log, asked, client, need, weighted
from containers_support import GONE, only_the_bootstrap_is_left
from emulator.client import Emulator

from advisor.errors import DeployError, InputError, PreflightError
from deploy.aws.session import AwsSettings
from deploy.target import Plan
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

BATCH = "sagemaker-batch"
NIGHTLY = need(
    traffic={"mode": "batch", "requests_per_month": 400_000_000, "pattern": "nightly"},
    service={"deadline_h": 4, "p95_ms": None},
)
TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"
ROWS = b'{"instances": [[1, 1, 1, 1], [1, 0, 0, 0]]}'
JSON = "application/json"
JOB_LOGS = "/aws/sagemaker/TransformJobs"


@pytest.fixture
def target(emulator: Emulator) -> SageMakerTarget:
    return SageMakerTarget(AwsSettings(poll_seconds=QUICK, alarm_topic_arn=TOPIC))


def test_jobs_from_nothing_to_answers_and_gone(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    request = asked(onnx_model, option=BATCH, requirements=NIGHTLY)
    ranked, plan = request.ranked, target.plan(request)
    assert (plan.monthly_usd, plan.variant) == (ranked.monthly_usd.expected, "batch")
    status = target.apply(plan, Log())
    assert (status.state, "no job has run yet" in status.message) == ("running", True)
    assert target.predict(plan, ROWS, JSON).body == {"predictions": [10.0, 1.0]}
    with pytest.raises(InputError, match="the JSON holds no rows"):
        target.predict(plan, b'{"rows": 1}', JSON)
    assert list(emulator.state()["buckets"].values()) == [[]]  # files of those jobs went again
    job = described(jobs("ask")[-1])
    assert job["TransformResources"]["InstanceType"] == ranked.machine
    assert job["MaxConcurrentTransforms"] == ranked.sizing.concurrency
    assert "is completed" in target.status(plan).message
    assert target.destroy(plan, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


@pytest.mark.slow
def test_a_new_model_takes_over_and_a_failed_one_leaves_the_old(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path, tmp_path: Path
) -> None:
    wanted = asked(onnx_model, option=BATCH, requirements=NIGHTLY)
    first = target.plan(wanted)
    target.apply(first, Log())
    night = at_night(emulator, first)
    assert night["TransformResources"]["InstanceCount"] == wanted.ranked.replicas.max
    other = weighted(tmp_path / "other.onnx", [2.0, 4.0, 6.0, 8.0])
    request = asked(other, option=BATCH, requirements=NIGHTLY)
    emulator.fault("create AWS::SageMaker::Model", "", "not this time")
    with pytest.raises(DeployError, match="not this time"):
        target.apply(target.plan(request), Log())
    assert target.predict(first, ROWS, JSON).body == {"predictions": [10.0, 1.0]}
    second = target.plan(request)
    target.apply(second, Log())
    assert target.predict(second, ROWS, JSON).body == {"predictions": [20.0, 2.0]}
    night = at_night(emulator, second)
    assert night["ModelName"] == target.status(second).outputs["ModelName"]
    emulator.fault("transform", "", "CapacityError: Unable to provision requested ML compute")
    with pytest.raises(DeployError, match=r"failed: CapacityError"):
        target.predict(second, ROWS, JSON)
    assert "is failed: CapacityError" in target.status(second).message
    assert target.destroy(second, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


@pytest.mark.slow
def test_whoever_has_the_operator_policy_alone_goes_the_whole_way(
    operator: str, target: SageMakerTarget, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model, option=BATCH, requirements=NIGHTLY))
    target.apply(plan, Log())
    assert target.predict(plan, b"1,1,1,1\n", "text/csv").body == {"predictions": [10.0]}
    with pytest.raises(DeployError, match=r"failed: ClientError.*rows.csv: .*client error \(422\)"):
        target.predict(plan, b"1,1\n", "text/csv")
    assert "the last job, mda-fraud-ask-" in target.status(plan).message
    assert streams()
    assert target.destroy(plan, Log()).left_behind == []
    assert not streams()


def test_what_cannot_be_is_told_before(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    ranked = asked(onnx_model, option=BATCH, requirements=NIGHTLY).ranked
    with pytest.raises(PreflightError, match=r"ask for realtime, .*choose sagemaker-realtime"):
        target.plan(asked(onnx_model, option=BATCH, requirements=need(), ranked=ranked))
    emulator.quotas({f"{ranked.machine} for transform job usage": 0})
    with pytest.raises(PreflightError, match=r"may run 0 × ml\.\S+ for transform jobs"):
        target.plan(asked(onnx_model, option=BATCH, requirements=NIGHTLY))
    emulator.quotas({})
    large = need(
        traffic={"mode": "batch", "requests_per_month": 1000, "request_mb": 101},
        service={"p95_ms": None, "deadline_h": 4},
    )
    with pytest.raises(PreflightError, match=r"a machine of a transform job is sent 100 MB"):
        target.plan(asked(onnx_model, option=BATCH, requirements=large, ranked=ranked))
    assert not any(emulator.state()[what] for what in GONE)


def at_night(emulator: Emulator, plan: Plan) -> dict[str, Any]:
    """The hour comes, with a file in the folder; the job, described, when its answers are there."""
    bucket = client("s3").list_buckets()["Buckets"][0]["Name"]
    folder, before = f"work/{plan.name}", set(jobs("n"))
    client("s3").put_object(Bucket=bucket, Key=f"{folder}/in/day.csv", Body=b"1,1,1,1\n0,1,0,0\n")
    emulator.clock(datetime(2026, 11, 24, 1, tzinfo=UTC))
    (name,) = set(jobs("n")) - before
    until = time.monotonic() + 60
    while (job := described(name))["TransformJobStatus"] == "InProgress":
        assert time.monotonic() < until
        time.sleep(QUICK)
    assert job["TransformJobStatus"] == "Completed", job
    answers = f"{folder}/out/{name.rpartition('-')[2]}/day.csv.out"
    body = client("s3").get_object(Bucket=bucket, Key=answers)["Body"].read()
    assert len(body.splitlines()) == 2
    return job


def jobs(kind: str) -> list[str]:
    found = client("sagemaker").list_transform_jobs()["TransformJobSummaries"]
    return [j["TransformJobName"] for j in found if f"-{kind}-" in j["TransformJobName"]]


def described(name: str) -> dict[str, Any]:
    out: dict[str, Any] = client("sagemaker").describe_transform_job(TransformJobName=name)
    return out


def streams() -> list[Any]:
    out: list[Any] = client("logs").describe_log_streams(logGroupName=JOB_LOGS)["logStreams"]
    return out
