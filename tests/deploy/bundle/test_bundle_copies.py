"""Quick models on several processors: copies of the whole server that share one port."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from conftest import StartServer
from model_server import copies as copies_module
from model_server.copies import Copies
from model_server.errors import ModelError
from model_server.forked import CAN_FORK, DEATHS
from model_server.log import Log
from model_server.telemetry import Metrics
from serving import Server, start, stop

from deploy.artifact import Artifact
from deploy.bundle.pack import Bundle

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="processes are forked on Linux only")
COUNT = 3
WAIT_S = 20.0


@pytest.fixture(scope="module")
def shared(
    bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("copies") / "log"
    server = start(bundles["onnx"].path, log, WORKERS=str(COUNT), QUEUE_SIZE="100")
    yield server
    stop(server)


def row(artifacts: dict[str, Artifact]) -> bytes:
    body = artifacts["onnx"].example_request()
    assert body is not None
    return body


def clients(server: Server, count: int, stack: ExitStack) -> list[httpx.Client]:
    """Each with a connection of its own."""
    made = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    return [
        stack.enter_context(
            httpx.Client(base_url=server.client.base_url, timeout=30, limits=made, trust_env=False)
        )
        for _ in range(count)
    ]


def ask(client: httpx.Client, body: bytes) -> httpx.Response:
    return client.post("/predict", content=body, headers={"content-type": "application/json"})


def answered_by(response: httpx.Response) -> str:
    """The process: the ids that it gives begin alike."""
    return response.headers["x-request-id"][:12]


def counted(server: Server, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.client.get("/metrics").text, re.M)
    return float(found[1]) if found else 0.0


def until(holds: Any) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def ready_line(server: Server) -> dict[str, Any]:
    return next(e for e in server.events() if e["event"] == "ready")


def test_connections_are_shared_out_evenly_and_answers_are_the_model_s(
    shared: Server, artifacts: dict[str, Artifact]
) -> None:
    said = ready_line(shared)
    assert (said["copies"], said["workers"], said["workers_allowed"]) == (COUNT, 1, COUNT)
    assert said["queue"] == 34  # of 100, each has its third
    with ExitStack() as stack:
        answers = [ask(c, row(artifacts)) for c in clients(shared, 4 * COUNT, stack)]
        by = Counter(answered_by(a) for a in answers)
        assert len(by) == COUNT
        pooled = answered_by(ask(shared.client, row(artifacts)))
        if pooled in by:  # and not accepted before there were copies
            by[pooled] += 1
        assert max(by.values()) - min(by.values()) <= 1
    assert len({a.text for a in answers}) == 1
    assert answers[0].status_code == 200


def test_the_figures_are_those_of_all_copies_at_once(
    shared: Server, artifacts: dict[str, Artifact]
) -> None:
    names = 'model_requests_total{status="200"}', "model_request_seconds_count"
    with ExitStack() as stack:
        every = clients(shared, 2 * COUNT, stack)
        told = [counted(shared, name) for name in names]
        for _ in range(3):
            assert {ask(c, row(artifacts)).status_code for c in every} == {200}
            told = [count + len(every) for count in told]
            # a request is counted after its answer was sent, and another process may be asked
            until(lambda told=told: [counted(shared, name) for name in names] == told)
    assert counted(shared, "model_request_seconds_sum") > 0
    assert counted(shared, "model_ready") == 1


def test_every_request_is_logged_once_and_in_one_piece(
    shared: Server, artifacts: dict[str, Artifact]
) -> None:
    def many(client: httpx.Client) -> list[str]:
        return [ask(client, row(artifacts)).headers["x-request-id"] for _ in range(150)]

    with ExitStack() as stack, ThreadPoolExecutor(2 * COUNT) as pool:
        asked = [i for ids in pool.map(many, clients(shared, 2 * COUNT, stack)) for i in ids]
    assert len(set(asked)) == len(asked)

    def logged() -> Counter[str]:
        return Counter(e["request_id"] for e in shared.events() if e["event"] == "request")

    until(lambda: set(asked) <= set(logged()))
    assert max(logged().values()) == 1


def test_a_copy_that_ends_is_replaced_and_what_was_counted_stays(
    bundles: dict[str, Bundle], artifacts: dict[str, Artifact], start_server: StartServer
) -> None:
    server = start_server(bundles["onnx"].path, WORKERS="2")
    process = psutil.Process(server.process.pid)
    with ExitStack() as stack:
        assert {ask(c, row(artifacts)).status_code for c in clients(server, 8, stack)} == {200}
    name = 'model_requests_total{status="200"}'
    until(lambda: counted(server, name) == 8)
    server.client.close()  # its connection may be with the one that is about to end
    victim = process.children()[0]
    victim.kill()
    until(lambda: "worker ended" in [e["event"] for e in server.events()])
    until(lambda: len(process.children()) == 2 and victim not in process.children())
    server.client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False)
    with ExitStack() as stack:
        answers = [ask(c, row(artifacts)) for c in clients(server, 8, stack)]
    assert {a.status_code for a in answers} == {200}
    until(lambda: counted(server, name) == 16)


def test_copies_that_end_again_and_again_stop_the_server(
    bundles: dict[str, Bundle], start_server: StartServer
) -> None:
    server = start_server(bundles["onnx"].path, WORKERS="2")
    process = psutil.Process(server.process.pid)
    server.client.close()
    killed: set[int] = set()
    end = time.monotonic() + WAIT_S
    while len(killed) < DEATHS:
        assert time.monotonic() < end
        for copy in process.children():
            if copy.pid not in killed and len(killed) < DEATHS:
                killed.add(copy.pid)
                copy.kill()
        time.sleep(0.05)
    assert server.process.wait(WAIT_S) == 1
    assert "copies of the server ended within" in server.log.read_text()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_what_a_copy_has_begun_is_finished_and_none_outlives_the_server(
    how: str, bundles: dict[str, Bundle], artifacts: dict[str, Artifact], start_server: StartServer
) -> None:
    """Also when the server is killed: the line to it ends, and that is the word to stop."""
    server = start_server(bundles["joblib"].path, WORKERS="2")
    assert ready_line(server)["copies"] == 2
    every = psutil.Process(server.process.pid).children()
    body = row(artifacts)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += b"content-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as line:
        line.sendall(head + body)
        assert line.recv(1 << 20).startswith(b"HTTP/1.1 200")  # so a copy has the connection
        line.sendall(head + body[:20])
        time.sleep(0.2)
        server.process.send_signal(getattr(signal, how))
        if how == "SIGKILL":
            server.process.wait(WAIT_S)
        time.sleep(0.5)  # longer than anybody needs to see the signal
        line.sendall(body[20:])
        said = b""
        while piece := line.recv(1 << 20):
            said += piece
    assert said.startswith(b"HTTP/1.1 200")
    assert server.process.wait(WAIT_S) == (0 if how == "SIGTERM" else -signal.SIGKILL)
    psutil.wait_procs(every, WAIT_S)
    assert not any(copy.is_running() for copy in every)
    assert [e["event"] for e in server.events()].count("stopped") == (how == "SIGTERM")


@pytest.mark.parametrize(
    "settings",
    [{"WORKERS": "1"}, {"WORKERS": "2", "WORKER_KIND": "threads"},
     {"WORKERS": "2", "MODEL_THREADS": "2"}],
)  # fmt: skip
def test_one_processor_threads_and_models_with_threads_of_their_own_get_none(
    settings: dict[str, str], bundles: dict[str, Bundle], start_server: StartServer
) -> None:
    server = start_server(bundles["onnx"].path, **settings)
    assert ready_line(server)["copies"] == 0
    assert not psutil.Process(server.process.pid).children()


@pytest.mark.parametrize("fault", ["is never ready", "ends at once"])
def test_copies_that_do_not_start_are_told_and_none_is_left(
    fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(copies_module, "START_S", 0.5)

    def live(line: socket.socket, place: int) -> None:
        if place == 1:
            line.send(b"ready")
        if place == 1 or fault == "is never ready":
            time.sleep(WAIT_S)

    async def begin() -> None:
        made = Copies(2, live, Metrics(), Log(), 1.0, lambda _: None)
        with pytest.raises(ModelError, match=r"not ready after|ended before it was ready"):
            await made.start()
        assert not made.take(None)

    before = set(psutil.Process().children())
    asyncio.run(begin())
    made = set(psutil.Process().children()) - before
    # One that has ended may still wait to be collected: the loop that would do so is gone.
    until(lambda: all(not c.is_running() or c.status() == psutil.STATUS_ZOMBIE for c in made))


def test_figures_of_places_add_up_and_a_new_process_goes_on_counting() -> None:
    metrics = Metrics()
    metrics.answered(200, 0.002)
    metrics.share(2)
    metrics.answered(200, 0.002)
    metrics.take(1)
    metrics.answered(429, 0.5)
    metrics.refused += 1
    metrics.waiting, metrics.left = 7, 3
    assert metrics.left_at(1) == 3
    metrics.take(2)
    metrics.answered(200, 0.004)
    metrics.take(1)  # after the one before has ended, with what waited there
    metrics.answered(429, 0.5)
    text = metrics.text().decode()
    for line in (
        'model_requests_total{status="200"} 3.0', 'model_requests_total{status="429"} 2.0',
        'model_request_seconds_bucket{le="0.0025"} 2.0', "model_request_seconds_count 5.0",
        "model_queue_full_total 1.0", "model_queue_requests 0.0",
    ):  # fmt: skip
        assert line in text.splitlines()
    total = re.search(r"^model_request_seconds_sum (\S+)$", text, re.M)
    assert total is not None
    assert float(total[1]) == pytest.approx(np.sum([0.002, 0.002, 0.5, 0.004, 0.5]))
