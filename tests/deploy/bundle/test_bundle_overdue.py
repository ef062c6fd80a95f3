"""Predictions that do not come to an end: given up in time, whoever makes them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import psutil
import pytest
from conftest import ROOT, StartServer
from model_server import engine as engines
from model_server.engine import Engine
from model_server.errors import ModelError, RequestError
from model_server.forked import CAN_FORK, DEATHS
from model_server.speed import Speed
from model_server.telemetry import Metrics
from model_server.values import Batch, Output
from serving import Server

from deploy.artifact import inspect
from deploy.bundle.pack import Bundle, pack

LIMIT = {"PREDICT_TIMEOUT_S": "1"}
FOR_YEARS = 1e15
SLOW = 20_000  # rounds; some milliseconds, too long for the event loop


def looping(path: Path, least: int) -> Path:
    """y = x + 1, as often as the row says and `least` times more. Safe to load, quick to try."""
    from onnx import TensorProto as Type
    from onnx import helper, save

    def told(name: str, kind: int, shape: list[int | None]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    column: list[int | None] = [None, 1]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["y", "1"], ["z"])],
        "body",
        [told("i", Type.INT64, []), told("go", Type.BOOL, []), told("y", Type.FLOAT, column)],
        [told("on", Type.BOOL, []), told("z", Type.FLOAT, column)],
        [helper.make_tensor("1", Type.FLOAT, [1], [1.0])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("Cast", ["top"], ["said"], to=Type.INT64),
        helper.make_node("Add", ["said", "least"], ["rounds"]),
        helper.make_node("Loop", ["rounds", "yes", "x"], ["out"], body=body),
    ]
    graph = helper.make_graph(
        nodes, "looping", [told("x", Type.FLOAT, column)], [told("out", Type.FLOAT, column)],
        [helper.make_tensor("yes", Type.BOOL, [], [True]),
         helper.make_tensor("least", Type.INT64, [], [least])],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def both_workers(server: Server, ended: int) -> list[psutil.Process]:
    """Once so many have ended and been replaced."""
    end = time.monotonic() + 20
    while True:
        seen = [e for e in server.events() if e["event"] == "worker ended"]
        found = psutil.Process(server.process.pid).children()
        if len(seen) == ended and len(found) == 2:
            return found
        assert time.monotonic() < end
        time.sleep(0.05)


def ask(server: Server, row: Any) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{server.port}/predict", json=[row], timeout=30)


@pytest.mark.parametrize(("least", "workers"), [(0, "1"), (0, "2"), (SLOW, "1"), (SLOW, "2")])
def test_a_graph_that_loops_for_years_is_given_up_and_the_server_goes_on(
    least: int, workers: str, start_server: StartServer, tmp_path: Path
) -> None:
    model = looping(tmp_path / "looping.onnx", least)
    server = start_server(pack(inspect(model), tmp_path / "bundle").path, WORKERS=workers, **LIMIT)
    ready = next(e for e in server.events() if e["event"] == "ready")
    assert ready["inline"] == (least == 0)
    for _ in range(2):
        given_up = ask(server, [FOR_YEARS])
        assert (given_up.status_code, given_up.json()["code"]) == (504, "too_slow")
        assert "no answer after 1 s" in given_up.json()["error"]
        assert ask(server, [3.0]).json() == [6.0 + least]
    assert server.process.poll() is None
    workers_left = psutil.Process(server.process.pid).cpu_times().user
    time.sleep(0.5)  # nothing goes on in the background
    assert psutil.Process(server.process.pid).cpu_times().user - workers_left < 0.25


def test_a_pattern_that_tries_for_years_is_given_up(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Within a regular expression Python's lock is held all the time."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = CountVectorizer(token_pattern=r"(?:a+)+b|\w+")
    model = make_pipeline(words, LogisticRegression()).fit(["aab one", "two three"] * 5, [0, 1] * 5)
    joblib.dump(model, tmp_path / "words.joblib")
    bundle = pack(inspect(tmp_path / "words.joblib"), tmp_path / "bundle")
    server = start_server(bundle.path, WORKERS="1", **LIMIT)
    assert ask(server, "a" * 60 + "!").status_code == 504
    assert ask(server, "two").status_code == 200


@pytest.mark.skipif(not CAN_FORK, reason="processes are forked on Linux only")
def test_a_worker_process_that_does_not_answer_is_replaced(
    start_server: StartServer, tmp_path: Path
) -> None:
    from sklearn.ensemble import BaggingRegressor
    from sklearn.linear_model import Ridge

    rows = np.random.default_rng(0).normal(size=(200, 4))
    model = BaggingRegressor(Ridge(), n_estimators=40, random_state=0).fit(rows, rows[:, 0])
    joblib.dump(model, tmp_path / "loop.joblib")
    bundle: Bundle = pack(inspect(tmp_path / "loop.joblib"), tmp_path / "bundle")
    server = start_server(bundle.path, WORKERS="2", WORKER_KIND="processes", **LIMIT)
    for ended in range(DEATHS + 1):  # they would end the server if they counted as such
        for worker in both_workers(server, ended):
            worker.suspend()
        assert ask(server, [0.1, 0.2, 0.3, 0.4]).status_code == 504
    for worker in both_workers(server, DEATHS + 1):
        worker.resume()
    assert ask(server, [0.1, 0.2, 0.3, 0.4]).status_code == 200
    assert server.process.poll() is None


class Stuck:
    """Never answers the row 0, and cannot be stopped."""

    class signature:
        fixed_batch = False

    def __init__(self) -> None:
        self.gate = threading.Event()

    def predict(self, batch: Batch, method: Any) -> Output:
        if not batch.data.any():
            self.gate.wait(12)
        return Output(batch.data[:, 0])


def test_a_thread_that_cannot_be_stopped_ends_the_server_but_loses_no_other_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "GRACE_S", 0.2)
    model, heard = Stuck(), list[ModelError]()

    async def scenario() -> None:
        queue = Engine(
            model, Speed(0.1, 0.1, 1.0, True), Metrics(), workers=1, limit_s=0.3,
            broken=heard.append,
        )  # fmt: skip
        stuck = queue.submit(Batch("array", np.zeros((1, 1)), 1), "default")
        others = [queue.submit(Batch("array", np.ones((1, 1)), 1), "default") for _ in range(3)]
        with pytest.raises(RequestError, match="given up"):
            await asyncio.wait_for(stuck, 10)
        for answer in await asyncio.wait_for(asyncio.gather(*others), 10):
            assert answer.values.tolist() == [1.0]
        assert queue.busy  # so the process does not wait for the thread when it ends
        assert len(heard) == 1
        model.gate.set()
        queue.close()

    asyncio.run(scenario())


def test_who_has_left_lets_a_call_be_stopped_after_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from model_server.onnx_model import OnnxModel
    from model_server.signature import Signature

    found = inspect(looping(tmp_path / "looping.onnx", 0)).signature
    assert found is not None
    model = OnnxModel(tmp_path / "looping.onnx", Signature.of(found.model_dump()), 1)
    monkeypatch.setattr(engines, "ABANDONED_S", 0.3)

    async def scenario() -> None:
        queue = Engine(model, Speed(0.1, 0.1, 1.0, True), Metrics(), workers=1, limit_s=600.0)
        asked = queue.submit(Batch("array", np.full((1, 1), FOR_YEARS, "float32"), 1), "default")
        await asyncio.sleep(0.1)
        assert queue.busy
        asked.cancel()
        end = time.monotonic() + 10
        while queue.busy:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        queue.close()

    asyncio.run(scenario())


def test_a_call_on_the_loop_that_nothing_stops_ends_the_process(tmp_path: Path) -> None:
    script = (
        "import time\n"
        "from model_server import overdue\n"
        "from model_server.log import Log\n"
        "overdue.GRACE_S = 0.3\n"
        "watch = overdue.OnLoop(object(), 0.4, Log())\n"
        "watch.begin(time.perf_counter())\n"
        "while True:\n"
        "    try:\n"
        "        time.sleep(30)\n"
        "    except overdue.OverdueError:\n"
        "        pass\n"
    )
    runtime = ROOT / "deploy/bundle/runtime"
    done = subprocess.run([sys.executable, "-c", script], cwd=runtime, capture_output=True,
                          text=True, timeout=25)  # fmt: skip
    assert done.returncode == 1
    assert '"event":"prediction does not end"' in done.stdout
