"""A queue of AWS Batch: planned, made, a job through it, taken down."""

from __future__ import annotations

from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked, need
from containers_support import emptied, only_the_bootstrap_is_left
from emulator.client import REGION, Emulator

from advisor.errors import DeployError, InputError, PreflightError
from deploy.aws.session import AwsSettings
from deploy.cli import main
from deploy.targets.batch import BatchTarget

pytestmark = pytest.mark.emulator

BATCH = "aws-batch"
NIGHTLY = need(
    traffic={"mode": "batch", "requests_per_month": 400_000_000, "pattern": "nightly"},
    service={"deadline_h": 4, "p95_ms": None},
)


@pytest.fixture
def target(emulator: Emulator) -> BatchTarget:
    return BatchTarget(AwsSettings(poll_seconds=QUICK))


def test_a_queue_from_nothing_to_answers_and_gone(
    target: BatchTarget, emulator: Emulator, onnx_model: Path
) -> None:
    request = asked(onnx_model, option=BATCH, requirements=NIGHTLY)
    ranked, plan = request.ranked, target.plan(request)
    assert plan.monthly_usd == ranked.monthly_usd.expected
    status = target.apply(plan, Log())
    assert (status.state, status.snippets["aws"].count("submit-job")) == ("running", 1)
    answer = target.predict(
        plan, b'{"instances": [[1, 1, 1, 1], [1, 0, 0, 0]]}', "application/json"
    )
    assert answer.body == {"predictions": [10.0, 1.0]}
    assert target.predict(plan, b"1,1,1,1\n0,1,0,0\n", "text/csv").body["predictions"] == [10, 2]
    with pytest.raises(InputError, match="the JSON holds no rows"):
        target.predict(plan, b'{"rows": 1}', "application/json")
    with pytest.raises(DeployError, match=r"the job failed: .*: .*line 1"):
        target.predict(plan, b"1,1\n", "text/csv")
    emulator.fault("job", "", "Host EC2 (i-1) terminated")
    with pytest.raises(DeployError, match="the job failed: Host EC2"):
        target.predict(plan, b"1,1,1,1\n", "text/csv")
    state = emulator.state()
    assert list(state["buckets"].values()) == [[]]  # every file of those jobs went again
    given = state["properties"]
    machines = given["AWS::Batch::ComputeEnvironment mda-fraud"]["ComputeResources"]
    job = given["AWS::Batch::JobDefinition mda-fraud"]["ContainerProperties"]
    wanted = {r["Type"]: float(r["Value"]) for r in job["ResourceRequirements"]}
    assert machines["MinvCpus"] == 0
    assert machines["InstanceTypes"] == [ranked.machine]
    # As many jobs fit on a machine as the sizing lets it serve at once.
    assert machines["MaxvCpus"] == ranked.replicas.max * ranked.sizing.concurrency * wanted["VCPU"]
    assert wanted["MEMORY"] * ranked.sizing.concurrency < (ranked.sizing.memory_mb or 0)
    assert target.destroy(plan, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)
    assert target.destroy(plan, Log(), everything=True).left_behind == []
    assert emptied(emulator)


def test_a_plan_that_was_never_applied_is_destroyed_too(
    target: BatchTarget, emulator: Emulator, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model, option=BATCH, requirements=NIGHTLY))
    assert target.status(plan).state == "destroyed"
    assert target.destroy(plan, Log()).left_behind == []
    assert emptied(emulator)


@pytest.mark.slow
def test_the_selftest_takes_a_queue_too(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["selftest", "--target", BATCH, "--region", REGION, "--yes"]) == 0
    told = capsys.readouterr().out
    assert "| predict | yes |" in told
    assert "Left behind: nothing" in told


def test_somebody_who_waits_is_sent_elsewhere(
    target: BatchTarget, emulator: Emulator, onnx_model: Path
) -> None:
    ranked = asked(onnx_model, option=BATCH, requirements=NIGHTLY).ranked
    with pytest.raises(PreflightError, match=r"ask for realtime, .*choose ecs-fargate"):
        target.plan(asked(onnx_model, option=BATCH, requirements=need(), ranked=ranked))
