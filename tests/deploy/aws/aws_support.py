"""What the AWS tests share: a listening `emit`, and requests as the advisor itself sizes them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from emulator.client import REGION

from advisor.recommend import recommend
from advisor.recommendation import Ranked
from advisor.requirements import Requirements, parse
from deploy.artifact import Artifact, inspect
from deploy.requests import PlanRequest
from deploy.target import Event

QUICK = 0.1  # seconds between two looks at the emulator
OPTION = "sagemaker-realtime"


class Log(list[Event]):
    """An `emit` that keeps what it is told."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    @property
    def messages(self) -> list[str]:
        return [event.message for event in self]

    def steps(self) -> list[str]:
        """The steps in order, each once."""
        return list(dict.fromkeys(event.step for event in self))


def client(service: str) -> Any:
    """A client of the test's own, with the credentials that the environment holds now."""
    return boto3.Session(region_name=REGION).client(service)  # type: ignore[call-overload]


def document(*statements: dict[str, Any]) -> str:
    """A policy of IAM."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def sign_in(patch: pytest.MonkeyPatch, name: str = "deployer") -> str:
    """This process becomes a user: the root user cannot be a cluster's administrator."""
    iam = client("iam")
    arn: str = iam.create_user(UserName=name)["User"]["Arn"]
    everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=everything)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    return arn


def need(**sections: dict[str, Any]) -> Requirements:
    """Requirements of a small model; sections add to or replace these."""
    given: dict[str, dict[str, Any]] = {
        "model": {"format": "onnx", "size_mb": 1, "memory_mb": 300, "service_time_ms": 8},
        "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
        "service": {"p95_ms": 100, "availability_percent": 99},
        "placement": {"arm": False},
    }
    for name, answers in sections.items():
        given[name] = given.get(name, {}) | answers
    return parse(given)


def sized(requirements: Requirements, option: str = OPTION) -> Ranked:
    """The option as the recommendation sizes it."""
    return _sized(requirements.model_dump_json(), option)


@cache
def _sized(text: str, option: str) -> Ranked:
    answer = recommend(Requirements.model_validate_json(text), options=[option], doubt=False)
    found = answer.option(option)
    assert found is not None, answer.excluded
    return found


@cache
def looked_at(model: Path) -> Artifact:
    """The model file inspected once: that takes seconds."""
    return inspect(model)


def asked(
    model: Path,
    name: str = "fraud",
    *,
    option: str = OPTION,
    requirements: Requirements | None = None,
    ranked: Ranked | None = None,
    **more: Any,
) -> PlanRequest:
    """A request to deploy the model as the advisor sizes it."""
    wanted = requirements or need()
    return PlanRequest(
        name=name,
        artifact=looked_at(model),
        need=wanted,
        ranked=ranked or sized(wanted, option),
        **more,
    )


def weighted(path: Path, weights: list[float]) -> Path:
    """An ONNX model that sums its four features under these weights."""
    from onnx import TensorProto, helper, save

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "sum",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 1], weights)],
    )
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path
