"""A serverless endpoint: planned, made, asked, updated, taken down."""

from __future__ import annotations

from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked, need, weighted
from containers_support import emptied
from emulator.client import Emulator

from advisor.errors import DeployError, PreflightError
from deploy.aws.serverless_checks import QUOTA
from deploy.aws.session import AwsSettings
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

SERVERLESS = "sagemaker-serverless"
NO_STARTS = need(
    traffic={"requests_per_month": 20_000_000, "pattern": "business-hours"},
    service={"cold_starts_ok": False},
)
ROW = b'{"instances": [[1, 1, 1, 1]]}'
JSON = "application/json"


@pytest.fixture
def target(emulator: Emulator) -> SageMakerTarget:
    return SageMakerTarget(AwsSettings(poll_seconds=QUICK))


def test_an_endpoint_that_the_clock_keeps_ready_from_nothing_to_answers_and_gone(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path, tmp_path: Path
) -> None:
    request = asked(onnx_model, option=SERVERLESS, requirements=NO_STARTS)
    ranked, first = request.ranked, target.plan(request)
    assert (first.monthly_usd, first.variant) == (ranked.monthly_usd.expected, "serverless")
    assert "The endpoint reads no bucket." in first.permissions
    assert not [p for p in first.permissions if "own files" in p]
    status = target.apply(first, Log())
    assert (status.state, "1,024 MB" in status.message) == ("running", True)
    assert target.predict(first, ROW, JSON).body == {"predictions": [10.0]}
    with pytest.raises(DeployError, match="mda-fraud answered 4"):
        target.predict(first, b'{"instances": [[1]]}', JSON)
    state = emulator.state()
    given = state["properties"]
    config = next(v for k, v in given.items() if "EndpointConfig" in k)
    size = config["ProductionVariants"][0]["ServerlessConfig"]
    hours = ranked.sizing.hourly_replicas
    assert size["MemorySizeInMB"] == ranked.sizing.memory_mb
    assert size["ProvisionedConcurrency"] == max(hours) <= size["MaxConcurrency"]
    ready = next(v for k, v in given.items() if "ScalableTarget" in k)
    assert (ready["MinCapacity"], ready["MaxCapacity"]) == (min(hours), max(hours))
    kept = {a["ScalableTargetAction"]["MinCapacity"] for a in ready["ScheduledActions"]}
    assert kept == set(hours)
    assert len(state["alarms"]) == 4  # as many as the bill has
    other = weighted(tmp_path / "other.onnx", [2.0, 4.0, 6.0, 8.0])
    second = target.plan(asked(other, option=SERVERLESS, requirements=NO_STARTS))
    emulator.fault("update AWS::SageMaker::Endpoint", "", "Insufficient capacity")
    with pytest.raises(DeployError, match="it was rolled back and serves"):
        target.apply(second, Log())
    assert target.predict(first, ROW, JSON).body == {"predictions": [10.0]}
    report = target.destroy(first, Log(), everything=True)
    assert report.left_behind == []
    assert emptied(emulator)


@pytest.mark.slow
def test_an_update_answers_with_the_new_model(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path, tmp_path: Path
) -> None:
    first = target.plan(asked(onnx_model, option=SERVERLESS))
    target.apply(first, Log())
    doubled = weighted(tmp_path / "doubled.onnx", [2.0, 4.0, 6.0, 8.0])
    second = target.plan(asked(doubled, option=SERVERLESS))
    target.apply(second, Log())
    assert target.predict(second, ROW, JSON).body == {"predictions": [20.0]}
    assert len(emulator.state()["repositories"]["model-deployment-advisor"]) == 1
    assert target.destroy(second, Log(), everything=True).left_behind == []
    assert emptied(emulator)


def test_too_small_a_quota_and_a_private_network_are_told_before(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    emulator.quotas({QUOTA: 3})
    request = asked(onnx_model, option=SERVERLESS, requirements=NO_STARTS)
    private = need(control={"private_network": True})
    with pytest.raises(PreflightError) as caught:
        target.plan(
            asked(onnx_model, option=SERVERLESS, requirements=private, ranked=request.ranked)
        )
    assert "cannot be in a VPC" in str(caught.value)
    with pytest.raises(PreflightError, match=r"may run 3 requests at once .* the plan needs [4-9]"):
        target.plan(request)
    assert emptied(emulator)
