"""Bundles of real models and real servers, each made once for the whole run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server, start, stop, wait_ready

from deploy.artifact import Artifact, inspect
from deploy.bundle.pack import Bundle, pack

ROOT = Path(__file__).resolve().parents[3]
for folder in ("deploy/bundle/runtime", "deploy/safety/confined"):
    sys.path.insert(0, str(ROOT / folder))
sys.path.insert(0, str(ROOT / "examples"))

StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the example models, made by the script that ships."""
    import make_examples

    folder = tmp_path_factory.mktemp("examples")
    make_examples.main(folder)
    return folder


@pytest.fixture(scope="session")
def artifacts(examples: Path) -> dict[str, Artifact]:
    return {form: inspect(examples / f"breast_cancer.{form}") for form in ("joblib", "onnx")}


@pytest.fixture(scope="session")
def bundles(
    artifacts: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return {form: pack(found, folder / form) for form, found in artifacts.items()}


@pytest.fixture(scope="session")
def servers(
    bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    """One running server for each example model."""
    logs = tmp_path_factory.mktemp("logs")
    running = {f: start(b.path, logs / f"{f}.log", wait=False) for f, b in bundles.items()}
    try:
        for server in running.values():
            wait_ready(server)
        yield running
    finally:
        for server in running.values():
            stop(server)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers of one's own, which end with the test."""
    running: list[Server] = []

    def once(bundle: Path, **env: Any) -> Server:
        running.append(start(bundle, tmp_path / f"server-{len(running)}.log", **env))
        return running[-1]

    yield once
    for server in running:
        stop(server)


@pytest.fixture(scope="session")
def slow_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """y = x, after multiplying two 1400 x 1400 matrices: some 0.1 s a call, whatever the rows."""
    from onnx import TensorProto, helper, save

    def constant(name: str, values: list[int]) -> Any:
        return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)

    nodes = [
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("Expand", ["top", "size"], ["wide"]),
        helper.make_node("MatMul", ["wide", "wide"], ["product"]),
        helper.make_node("ReduceMin", ["product"], ["low"], keepdims=0),
        helper.make_node("Sub", ["low", "low"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "slow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [constant("size", [1400, 1400])],
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("slow")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, folder / "slow.onnx")
    return pack(inspect(folder / "slow.onnx"), folder / "bundle")
