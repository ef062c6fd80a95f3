"""What the advisor may choose for SageMaker is what SageMaker's own API takes."""

from __future__ import annotations

import botocore.session
import pytest

from advisor.catalog.loader import option
from advisor.prices import load_book
from advisor.requirements import parse
from advisor.sizing.candidates import candidates
from advisor.workload import resolve

MODEL = botocore.session.get_session().get_service_model("sagemaker")


@pytest.mark.parametrize(
    ("option_id", "shape", "mode"),
    [
        ("sagemaker-realtime", "ProductionVariantInstanceType", "realtime"),
        ("sagemaker-async", "ProductionVariantInstanceType", "async"),
        ("sagemaker-batch", "TransformInstanceType", "batch"),
    ],
)
@pytest.mark.parametrize("gpu", [False, True], ids=["cpu", "gpu"])
def test_no_machine_is_chosen_that_the_api_refuses(
    option_id: str, shape: str, mode: str, gpu: bool
) -> None:
    need = parse(
        {
            "model": {
                "format": "onnx", "size_mb": 1, "memory_mb": 50, "service_time_ms": 5, "gpu": gpu,
            },
            "traffic": {"mode": mode, "requests_per_month": 1000},
            "placement": {"burstable": True},
        }
    )  # fmt: skip
    taken = set(MODEL.shape_for(shape).enum)
    book = load_book()
    for region in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        offered = candidates(option(option_id), resolve(need), region, book)
        assert len(offered) > 5
        assert set(map(str, offered.name)) <= taken
