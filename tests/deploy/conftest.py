"""A home of its own for each test, tiny real models, requests to deploy them here, and templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from template_parts import NAMES

from advisor.recommendation import PeopleTime, Range, Ranked, Replicas, Sizing
from advisor.requirements import Requirements, parse
from deploy.artifact import Artifact, inspect
from deploy.aws.templates import Template, load
from deploy.requests import PlanRequest
from deploy.target import Event
from deploy.targets import local_process

NOTHING = Range(low=0, expected=0, high=0)


@pytest.fixture(params=NAMES)
def template(request: pytest.FixtureRequest) -> Template:
    """Every CloudFormation template in turn."""
    return load(request.param)


@pytest.fixture
def advisor_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty ADVISOR_HOME; servers that a test leaves running there are ended."""
    home = tmp_path / "home"
    monkeypatch.setenv("ADVISOR_HOME", str(home))
    monkeypatch.delenv("ADVISOR_DATABASE_URL", raising=False)
    yield home
    for process in local_process.strays(home.resolve()):
        local_process.stop(process, grace_s=5)


@pytest.fixture(scope="session")
def onnx_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = x0 + 2 x1 + 3 x2 + 4 x3, as ONNX: starts fast."""
    from onnx import TensorProto, checker, helper, save

    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 1], [1.0, 2.0, 3.0, 4.0])
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "sum",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
            [weights],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    checker.check_model(model)
    path = tmp_path_factory.mktemp("models") / "weighted-sum.onnx"
    save(model, path)
    return path


@pytest.fixture(scope="session")
def joblib_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A logistic regression on four features: 1 where their sum is positive."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(7).normal(size=(200, 4))
    model = LogisticRegression().fit(rows, (rows.sum(axis=1) > 0).astype(int))
    path = tmp_path_factory.mktemp("models") / "positive sum.joblib"
    joblib.dump(model, path)
    return path


@pytest.fixture
def requirements() -> Requirements:
    return parse(
        {
            "model": {"format": "onnx", "size_mb": 1, "memory_mb": 200, "service_time_ms": 2},
            "traffic": {"mode": "realtime", "requests_per_month": 100_000},
            "placement": {"clouds": ["own-hardware"], "node_hourly_usd": 0.1},
        }
    )


@pytest.fixture
def local_request(advisor_home: Path, requirements: Requirements) -> Callable[..., PlanRequest]:
    """local_request(model_path, name=..., **settings): a request to deploy it on this machine."""

    def make(model: Path, name: str = "tiny", **settings: object) -> PlanRequest:
        return PlanRequest(
            name=name,
            artifact=looked_at(model, model.stat().st_mtime_ns),
            need=requirements,
            ranked=ranked_docker_host(),
            settings=settings,
        )

    return make


@pytest.fixture
def heard() -> list[Event]:
    """Pass `heard.append` as the emit callback."""
    return []


@cache
def looked_at(model: Path, changed_ns: int) -> Artifact:
    """Look at each model file once a session, not once a test."""
    return inspect(model)


def ranked_docker_host() -> Ranked:
    return Ranked(
        option="docker-host",
        name="Own host",
        kind="self-hosted",
        cloud="own-hardware",
        score=0.5,
        contributions={},
        utilities={},
        region="own",
        machine="own node",
        replicas=Replicas(min=1, max=1),
        p95_ms=10,
        monthly_usd=NOTHING,
        at_least=False,
        people_monthly_usd=0,
        people=PeopleTime(
            monthly_hours=NOTHING, setup_hours=NOTHING, hourly_usd=0, monthly_usd=NOTHING
        ),
        total_monthly_usd=0,
        lines=(),
        reasons=(),
        warnings=(),
        sizing=Sizing(
            model="test",
            service_time_ms=2,
            concurrency=1,
            utilisation=0.1,
            arrival_peak_per_s=0.1,
            replica_hours=730,
        ),
        deploy_target="local",
        deploy_variant="process",
    )
