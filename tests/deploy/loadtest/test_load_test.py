"""A load test of real endpoints on this machine, at low rates."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from advisor.errors import DeployError, InputError
from deploy import runs
from deploy.cli import main
from deploy.loadtest import calibrate, roads
from deploy.loadtest import run as running
from deploy.loadtest.bodies import bodies
from deploy.loadtest.roads import Road, road_to
from deploy.loadtest.run import LoadTestStoppedError, known_test, load_test
from deploy.loadtest.sender import Sender
from deploy.loadtest.settings import settings
from deploy.machine_speed import usable_cores
from deploy.requests import PlanRequest
from deploy.targets import local_process
from deploy.targets.local import LocalTarget

HURRIED = settings().model_copy(
    update={"calibration": settings().calibration.model_copy(update={"seconds": 0.3})}
)


def never() -> bool:
    return False


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "settings", lambda: HURRIED)


@contextmanager
def endpoint(answer: Callable[[int], tuple[float, int]]) -> Iterator[str]:
    """A server that answers the n-th POST after so many seconds with such a status, all at once."""
    loop, asked = asyncio.new_event_loop(), iter(range(1_000_000))
    port: list[int] = []
    up = threading.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [ln for ln in head.lower().split(b"\r\n") if b"content-length" in ln]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                wait, status = answer(next(asked)) if head.startswith(b"POST") else (0.0, 200)
                await asyncio.sleep(wait)
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\n{}" % status)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def listen() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])
        up.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.create_task(listen())
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert up.wait(10)
    yield f"http://127.0.0.1:{port[0]}/predict"
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


def sent(url: str, offsets: list[float]) -> list[tuple[float, float, str]]:
    with Sender(Road(kind="http", shown="here", url=url), [("{}", "application/json")]) as sender:
        job = {"do": "open", "offsets": offsets, "drain_s": 5}
        found = sender.ask(job, limit_s=60, cancelled=never)
    return [tuple(s) for s in found["seen"]]


def test_requests_go_out_on_time_whatever_comes_back() -> None:
    # Every answer takes a second: a sender that waits for answers would send one a second.
    with endpoint(lambda _n: (1.0, 200)) as url:
        began = time.monotonic()
        seen = sent(url, [i / 50 for i in range(50)])
        took = time.monotonic() - began
    assert [status for *_, status in seen] == ["200"] * 50
    assert took < 30
    assert min(latency for _, latency, _ in seen) >= 1000
    # From when it was meant to be sent: the lateness is in it.
    assert all(latency >= 1000 + late for late, latency, _ in seen)


def test_what_goes_out_a_moment_early_gains_nothing_by_it() -> None:
    """The sender wakes up to 0.2 ms before the time: as long as this answer is on its way."""
    with endpoint(lambda _n: (0.0, 200)) as url:
        seen = sent(url, [i / 200 for i in range(200)])
    # There and back through two processes; counted from the time itself it may come to nothing.
    assert min(latency for _, latency, _ in seen) > 0.03


def test_a_rate_nobody_named_is_sent_until_there_are_as_many_as_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bounds = settings().bounds.model_copy(update={"most_requests": 60})
    few = settings().model_copy(update={"bounds": bounds})
    monkeypatch.setattr(running, "settings", lambda: few)
    with endpoint(lambda _n: (0.002, 200)) as url:
        road = Road(kind="http", shown="here", url=url)
        found = running.run(
            road, [("{}", "application/json")], calibrate.Server(workers=1),
            rates=None, utilisation=[0.3], seconds=5,
        )  # fmt: skip
        with pytest.raises(InputError, match="more than 60 requests"):
            running.run(
                road, [("{}", "application/json")], calibrate.Server(workers=1),
                rates=[40], utilisation=[], seconds=5,
            )  # fmt: skip
    (point,) = found.points
    assert 20 < point.answered + point.failed < 120
    assert any("and not 5: a test ends at 60 requests" in note for note in found.notes)


def test_statuses_are_told_apart() -> None:
    with endpoint(lambda n: (0.0, (200, 429, 503)[n % 3])) as url:
        seen = sent(url, [i / 100 for i in range(30)])
    assert sorted(status for *_, status in seen) == ["200"] * 10 + ["429"] * 10 + ["503"] * 10


def test_nothing_there_is_no_answer() -> None:
    url = f"http://127.0.0.1:{local_process.free_port()}/predict"
    assert {status for *_, status in sent(url, [0.0, 0.01])} == {"no connection"}


def test_a_deployment_is_loaded_and_the_result_kept_with_it(
    local_request: Callable[..., PlanRequest], onnx_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = LocalTarget()
    plan = target.plan(local_request(onnx_model))
    target.apply(plan, lambda _event: None)
    monkeypatch.setattr(
        runs, "deployment", lambda name: type("Found", (), {"plan": plan, "name": name})
    )
    told: list[str] = []
    found = load_test(
        "tiny", rates=[20, 40], seconds=1.5, progress=lambda what, _share: told.append(what)
    )
    assert [p.rate_per_s for p in found.points] == [20, 40]
    assert all(p.answered > 10 and not p.failed and not p.refused for p in found.points)
    cores = usable_cores()
    on = "copies of itself, as the server says" if cores > 1 else "it answers on its event loop"
    assert (found.calibration.workers, found.calibration.workers_from) == (cores, on)
    assert 0 < found.calibration.service_ms < 200
    assert all(p.predicted.utilisation > 0 for p in found.points)
    assert found.model_digest == plan.model_digest
    assert known_test("tiny") == found
    assert known_test("other") is None
    assert "20 requests a second" in told


def test_a_stopped_test_gives_what_there_is(tmp_path: Path, advisor_home: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text("[[1], [2]]")
    with endpoint(lambda _n: (0.005, 200)) as url:
        calls = 0

        def cancelled() -> bool:
            nonlocal calls
            calls += 1
            return bool(told) and told[-1].startswith("30 ")

        told: list[str] = []
        found = load_test(
            url, rates=[20, 30, 40], seconds=3, sample=rows, cancelled=cancelled,
            progress=lambda what, _share: told.append(what),
        )  # fmt: skip
    assert [p.stopped for p in found.points][:1] == [False]
    assert len(found.points) in (1, 2)
    with (
        endpoint(lambda _n: (0.005, 200)) as url,
        pytest.raises((LoadTestStoppedError, DeployError)),
    ):
        load_test(url, rates=[20], seconds=3, sample=rows, cancelled=lambda: True)


def test_an_endpoint_that_refuses_the_request_is_said(tmp_path: Path, advisor_home: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text("[[1]]")
    with endpoint(lambda _n: (0.0, 422)) as url, pytest.raises(InputError, match="refuses the req"):
        load_test(url, rates=[5], seconds=1, sample=rows)
    with endpoint(lambda _n: (0.0, 500)) as url, pytest.raises(DeployError, match="500"):
        load_test(url, rates=[5], seconds=1, sample=rows)
    assert not (advisor_home / "load-tests").exists()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("https://example.com/predict", "neither this machine nor a deployment of ours"),
        ("http://10.0.0.8:8080", "neither this machine nor a deployment of ours"),
        ("http://127.0.0.1.example.com/", "neither this machine nor a deployment of ours"),
        ("http://localhost@example.com/", "holds a user name"),
        ("ftp://127.0.0.1/", "ftp:// is not loaded"),
        ("http://[::1", "is no address"),
        ("http://127.0.0.1:99999999/", "is no address"),
    ],
)
def test_only_endpoints_of_ours_are_loaded(
    place: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "deployments", list)
    with pytest.raises(InputError, match=said):
        road_to(place)


def test_addresses_here_are_found() -> None:
    assert road_to("http://127.0.0.1:81").url == "http://127.0.0.1:81/invocations"
    assert road_to("http://localhost:81/score").url == "http://localhost:81/score"
    assert road_to("http://[::1]:81/").url == "http://[::1]:81/invocations"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rates", "5,x"], "--rates is '5,x'"),
        (["--rates", "-5"], "--rates"),
        (["--rates", ","], "--rates is ','"),
        (["--rates", "1e9"], "is not between 0 and 20,000"),
        (["--rates", "10000", "--seconds", "100"], "are more than 20,000 requests"),
        (["--utilisation", "70"], "0.7 is 70 %"),
        (["--seconds", "0.01"], "give 1 to 120"),
        (["--rates", ",".join("1" * 13)], "give at most 12"),
        (["--workers", "0"], "workers is 0"),
        (["--sample", "nowhere.json"], "cannot read the sample"),
    ],
)
def test_wrong_arguments_end_with_two_and_one_line(
    arguments: list[str], said: str, advisor_home: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    rows = tmp_path / "rows.json"
    rows.write_text("[[1]]")
    given = arguments if "--sample" in arguments else [*arguments, "--sample", str(rows)]
    with endpoint(lambda _n: (0.0, 200)) as url:
        assert main(["loadtest", url, *given]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "requests"),
    [
        ("a.json", '{"instances": [[1], [2]]}', ['{"instances": [[1]]}', '{"instances": [[2]]}']),
        ("a.json", "[[1], [2]]", ['{"instances": [[1]]}', '{"instances": [[2]]}']),
        ("a.json", '{"inputs": []}', ['{"inputs": []}']),
        ("a.csv", "x,y\n1,2\n3,4\n", ["x,y\n1,2\n", "x,y\n3,4\n"]),
        ("a.csv", "1,2\n3,4\n", ["1,2\n", "3,4\n"]),
        ("a.jsonl", '{"x": 1}\n\n{"x": 2}\n', ['{"x": 1}', '{"x": 2}']),
    ],
)
def test_a_row_of_the_sample_is_a_request(
    tmp_path: Path, name: str, content: str, requests: list[str]
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert [b for b, _ in bodies(Road(kind="http", shown="x", url="y"), path)] == requests


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{", "is no JSON"),
        ("a.json", "[]", "holds no row"),
        ("a.csv", "", "holds no row"),
        ("a.txt", "1", "is no .json"),
    ],
)
def test_a_wrong_sample_is_said(tmp_path: Path, name: str, content: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        bodies(Road(kind="http", shown="x", url="y"), path)


def test_without_a_known_request_a_sample_is_asked_for() -> None:
    with pytest.raises(InputError, match="--sample"):
        bodies(Road(kind="http", shown="x", url="y"), None)


@pytest.mark.slow
def test_the_road_of_another_target_is_its_own_predict(
    local_request: Callable[..., PlanRequest], onnx_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What signs its calls is asked through `predict`; here the local target stands for it."""
    target = LocalTarget()
    plan = target.plan(local_request(onnx_model))
    target.apply(plan, lambda _event: None)
    road = Road(kind="target", shown="tiny", plan=plan)
    with Sender(road, bodies(road, None)) as sender:
        found = sender.ask(
            {"do": "open", "offsets": [0, 0.1, 0.2], "drain_s": 10}, limit_s=60, cancelled=never
        )
        assert [status for *_, status in found["seen"]] == ["200"] * 3
    assert roads._TargetWay is not None
    assert running.server(Road(kind="http", shown="x", url="y")) == calibrate.Server()


@pytest.mark.slow
def test_ctrl_c_shows_what_was_measured(tmp_path: Path, advisor_home: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text("[[1]]")
    out = tmp_path / "out.json"
    with endpoint(lambda _n: (0.01, 200)) as url:
        child = subprocess.Popen(
            [sys.executable, "-m", "deploy", "loadtest", url, "--sample", str(rows),
             "--rates", "20,30", "--seconds", "20", "--out", str(out)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        time.sleep(18)
        os.killpg(child.pid, signal.SIGINT)
        said, error = child.communicate(timeout=60)
    assert child.returncode == 0, error
    assert "stopped" in said
    assert "this is what was measured until then" in error
    assert json.loads(out.read_text())["points"][0]["answered"] > 0
