"""Worker processes for models whose threads wait for each other: used, replaced, and gone in time."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import StartServer
from model_server.forked import CAN_FORK, DEATHS
from serving import Server

from deploy.artifact import inspect
from deploy.bundle.pack import Bundle, pack

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="processes are forked on Linux only")
ROW = [0.1, 0.2, 0.3, 0.4]
WAIT_S = 60.0


@pytest.fixture(scope="module")
def model() -> Any:
    """Small estimators in a Python loop: Python's lock is held nearly all the time, and one row
    takes well over what a server alone or copies of it are for, on a fast machine too."""
    from sklearn.ensemble import BaggingRegressor
    from sklearn.linear_model import Ridge

    random = np.random.default_rng(0)
    rows = random.normal(size=(200, 4))
    return BaggingRegressor(Ridge(), n_estimators=60, random_state=0).fit(rows, rows @ [1, 2, 3, 4])


@pytest.fixture(scope="module")
def bundle(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    import joblib

    folder = tmp_path_factory.mktemp("loop")
    joblib.dump(model, folder / "loop.joblib")
    return pack(inspect(folder / "loop.joblib"), folder / "bundle")


@pytest.fixture
def server(bundle: Bundle, start_server: StartServer) -> Server:
    # Batching is off: one worker that shares calls would do for this model.
    return start_server(bundle.path, WORKERS="2", WORKER_KIND="processes", MAX_BATCH_ROWS="1")


def workers(server: Server) -> list[psutil.Process]:
    """Those that live: who was ended a moment ago is a child for a while yet."""
    return [one for one in psutil.Process(server.process.pid).children() if _lives(one)]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def until(holds: Any) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def ask(server: Server, rows: Any = None) -> Any:
    return server.client.post("/predict", json={"instances": rows or [ROW]})


def test_processes_answer_what_the_model_answers(server: Server, model: Any) -> None:
    ready = next(e for e in server.events() if e["event"] == "ready")
    assert (ready["workers"], ready["processes"]) == (2, True)
    assert len(workers(server)) == 2
    random = np.random.default_rng(1)
    rows = random.normal(size=(40, 4)).tolist()
    before = [sum(w.cpu_times()[:2]) for w in workers(server)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: ask(server, [row]).json()["predictions"][0], rows))
    assert answers == pytest.approx(model.predict(rows), rel=1e-9)
    large = random.normal(size=(20_000, 4)).tolist()
    assert ask(server, large).json()["predictions"] == pytest.approx(model.predict(large), rel=1e-9)
    after = [sum(w.cpu_times()[:2]) for w in workers(server)]
    assert all(now > then for now, then in zip(after, before, strict=True)), "both worked"
    assert ask(server, [[1.0, 2.0]]).status_code == 422


def test_a_worker_that_ends_is_replaced_and_its_request_is_told(server: Server) -> None:
    seen: list[Any] = []
    first, second = workers(server)
    first.suspend()
    second.suspend()
    asking = threading.Thread(target=lambda: seen.append(ask(server)))
    asking.start()
    until(lambda: "model_workers_busy 1.0" in server.client.get("/metrics").text)
    first.kill()
    second.kill()
    asking.join(WAIT_S)
    assert (seen[0].status_code, seen[0].json()["code"]) == (500, "worker_ended")
    ended = {first.pid, second.pid}
    until(lambda: len(workers(server)) == 2 and ended.isdisjoint(w.pid for w in workers(server)))
    until(lambda: ask(server).status_code == 200)
    until(lambda: [e["code"] for e in server.events() if e["event"] == "worker ended"] == [-9, -9])


def test_workers_that_hear_nothing_end_with_a_server_that_is_killed(server: Server) -> None:
    left = workers(server)
    for worker in left:
        worker.suspend()  # as in the middle of a call that does not end
    server.process.kill()
    assert psutil.wait_procs(left, timeout=10)[1] == []


def test_workers_that_do_not_stay_end_the_server(server: Server) -> None:
    for _ in range(DEATHS):
        until(lambda: len(workers(server)) == 2)
        workers(server)[0].kill()
        time.sleep(0.2)
        if server.process.poll() is not None:
            break
    assert server.process.wait(WAIT_S) == 1
    assert "processes with the model ended" in server.log.read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_server_and_hold_nothing_of_its(
    server: Server, how: signal.Signals
) -> None:
    assert ask(server).status_code == 200
    crew = workers(server)
    for worker in crew:
        # A line to the parent, and no connection, no listening port.
        assert not worker.net_connections("inet")
        links = [str(f.readlink()) for f in Path(f"/proc/{worker.pid}/fd").iterdir()]
        assert sum(link.startswith("socket:") for link in links) == 1
    server.process.send_signal(how)
    assert server.process.wait(WAIT_S) == (0 if how is signal.SIGTERM else -9)
    psutil.wait_procs(crew, WAIT_S)
    assert not any(worker.is_running() for worker in crew)


def test_processes_are_taken_by_themselves_where_threads_wait_for_each_other(
    bundle: Bundle, start_server: StartServer
) -> None:
    server = start_server(bundle.path, WORKERS="2")
    ready = next(e for e in server.events() if e["event"] == "ready")
    assert ready["processes"]
    assert len(workers(server)) == ready["workers"] == 2


def test_models_that_let_go_of_the_lock_have_a_thread_for_each_worker(
    slow_bundle: Bundle, start_server: StartServer
) -> None:
    server = start_server(slow_bundle.path, WORKERS="3")
    ready = next(e for e in server.events() if e["event"] == "ready")
    assert (ready["workers"], ready["workers_allowed"], ready["processes"]) == (3, 3, False)
    assert not workers(server)


def test_no_process_where_the_model_has_threads_of_its_own(
    bundle: Bundle, start_server: StartServer
) -> None:
    """A fork would lose them, and wait for them for ever."""
    server = start_server(bundle.path, WORKERS="2", MODEL_THREADS="2")
    ready = next(e for e in server.events() if e["event"] == "ready")
    assert (ready["workers"], ready["processes"], ready["copies"]) == (2, False, 0)
    assert ask(server).status_code == 200
    refused = start_server(
        bundle.path, wait=False, WORKERS="2", MODEL_THREADS="2", WORKER_KIND="processes"
    )
    assert refused.process.wait(WAIT_S) == 1
    assert "MODEL_THREADS at 1; leave it out" in refused.log.read_text()
