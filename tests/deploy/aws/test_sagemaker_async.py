"""An asynchronous endpoint: planned, made, asked through its bucket, updated, taken down."""

from __future__ import annotations

from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked, need, weighted
from containers_support import emptied
from emulator.client import Emulator

from advisor.errors import DeployError, PreflightError
from deploy.aws.session import AwsSettings
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

ASYNC = "sagemaker-async"
LATER = need(
    model={"service_time_ms": 4000},
    traffic={"mode": "async", "requests_per_month": 2_000_000, "pattern": "business-hours"},
    service={"p95_ms": None, "deadline_h": 1},
)
ROW = b'{"instances": [[1, 1, 1, 1]]}'
JSON = "application/json"


@pytest.fixture
def target(emulator: Emulator) -> SageMakerTarget:
    return SageMakerTarget(AwsSettings(poll_seconds=QUICK))


@pytest.mark.slow
def test_a_queue_from_nothing_to_answers_and_gone(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path, tmp_path: Path
) -> None:
    request = asked(onnx_model, option=ASYNC, requirements=LATER)
    ranked, first = request.ranked, target.plan(request)
    assert (first.monthly_usd, first.variant) == (ranked.monthly_usd.expected, "async")
    assert any("own files in the one bucket" in p for p in first.permissions)
    status = target.apply(first, Log())
    assert (status.state, "invoke-endpoint-async" in status.snippets["aws"]) == ("running", True)
    assert target.predict(first, ROW, JSON).body == {"predictions": [10.0]}
    with pytest.raises(DeployError, match=r"mda-fraud could not answer: .*client error \(422\)"):
        target.predict(first, b'{"instances": [[1]]}', JSON)
    state = emulator.state()
    assert list(state["buckets"].values()) == [[]]  # requests and answers went again
    given = state["properties"]
    config = next(v for k, v in given.items() if "EndpointConfig" in k)
    at_once = config["AsyncInferenceConfig"]["ClientConfig"]["MaxConcurrentInvocationsPerInstance"]
    assert at_once == ranked.sizing.concurrency
    assert config["ProductionVariants"][0]["InstanceType"] == ranked.machine
    scaled = next(v for k, v in given.items() if "ScalableTarget" in k)
    assert (scaled["MinCapacity"], scaled["MaxCapacity"]) == (0, ranked.replicas.max)
    assert len(state["alarms"]) == 4  # as many as the bill has
    other = weighted(tmp_path / "other.onnx", [2.0, 4.0, 6.0, 8.0])
    second = target.plan(asked(other, option=ASYNC, requirements=LATER))
    emulator.fault("update AWS::SageMaker::Endpoint", "", "Insufficient capacity")
    with pytest.raises(DeployError, match="it was rolled back and serves"):
        target.apply(second, Log())
    assert target.predict(first, ROW, JSON).body == {"predictions": [10.0]}
    assert target.destroy(first, Log(), everything=True).left_behind == []
    assert emptied(emulator)


def test_somebody_who_waits_is_sent_elsewhere(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    ranked = asked(onnx_model, option=ASYNC, requirements=LATER).ranked
    with pytest.raises(PreflightError, match=r"ask for realtime, .*choose sagemaker-realtime"):
        target.plan(asked(onnx_model, option=ASYNC, requirements=need(), ranked=ranked))
