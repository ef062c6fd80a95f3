"""The local target with real processes: each test starts, asks, breaks and removes servers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from advisor.errors import DeployError, InputError, PreflightError, StalePlanError
from deploy.artifact import inspect
from deploy.bundle.pack import pack
from deploy.files import sha256_of
from deploy.requests import PlanRequest
from deploy.target import Event, Plan, Status
from deploy.targets import local_process, local_record
from deploy.targets.local import LocalTarget

Request = Callable[..., PlanRequest]
BODY = b'{"instances": [[1, 1, 1, 1]]}'
JSON = "application/json"
LOCAL = LocalTarget()


def pid_of(status: Status) -> int:
    return int(status.outputs["pid"])


def port_of(status: Status) -> int:
    return int(status.outputs["port"])


def is_gone(pid: int) -> bool:
    return local_process.identity(pid) is None


def nothing_left(home: Path) -> bool:
    left = [p for p in (home / "deployments").glob("*") if p.is_dir()]
    return not left and not local_process.strays(home.resolve())


def test_a_joblib_model_from_plan_to_nothing(
    local_request: Request, joblib_model: Path, advisor_home: Path, heard: list[Event]
) -> None:
    plan = LOCAL.plan(local_request(joblib_model, name="positive-sum"))
    assert nothing_left(advisor_home)  # planning keeps nothing
    plan = Plan.model_validate_json(plan.model_dump_json())  # a plan survives its file
    status = LOCAL.apply(plan, heard.append)
    assert status.state == "running"
    assert LOCAL.status(plan) == status

    answer = LOCAL.predict(plan, b'{"instances": [[9, 9, 9, 9], [-9, -9, -9, -9]]}', JSON)
    assert [row["label"] for row in answer.body["predictions"]] == [1, 0]
    assert answer.latency_ms > 0

    curl = subprocess.run(
        status.snippets["curl"], shell=True, capture_output=True, check=True, text=True
    )
    assert "predictions" in json.loads(curl.stdout)
    python = subprocess.run(
        ["python3", "-c", status.snippets["python"]], capture_output=True, check=True, text=True
    )
    assert "predictions" in python.stdout

    report = LOCAL.destroy(plan, heard.append)
    assert report.left_behind == []
    assert f"process {pid_of(status)}" in report.removed
    assert is_gone(pid_of(status))
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{status.endpoint}/ready", trust_env=False)
    assert nothing_left(advisor_home)
    assert LOCAL.status(plan).state == "destroyed"
    assert LOCAL.destroy(plan, heard.append).removed == []  # twice is fine
    with pytest.raises(DeployError, match="does not run"):
        LOCAL.predict(plan, BODY, JSON)


@pytest.fixture
def plan(local_request: Request, onnx_model: Path) -> Plan:
    return LOCAL.plan(local_request(onnx_model))


@pytest.fixture
def running(plan: Plan, heard: list[Event]) -> Status:
    return LOCAL.apply(plan, heard.append)


def test_a_server_is_found_again_alone_on_the_loopback_and_knows_nothing_of_ours(
    plan: Plan, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for the child")
    running = LOCAL.apply(plan, heard.append)
    assert LOCAL.predict(plan, BODY, JSON).body["predictions"] == [10.0]
    assert LOCAL.apply(plan, heard.append) == running
    with pytest.raises(DeployError, match="answered 4"):
        LOCAL.predict(plan, b'{"instances": [["no number"]]}', JSON)

    process = psutil.Process(pid_of(running))
    assert "not for the child" not in process.environ().values()
    assert process.environ()["HOME"] != os.environ.get("HOME")
    assert os.getsid(process.pid) == process.pid  # a session of its own: outlives this one
    listening = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.ip for c in listening] == ["127.0.0.1"]


def test_a_killed_server_is_failed_and_applying_again_brings_it_back(
    plan: Plan, running: Status, heard: list[Event]
) -> None:
    os.kill(pid_of(running), signal.SIGKILL)
    psutil.Process(pid_of(running)).wait(timeout=10)
    status = LOCAL.status(plan)
    assert status.state == "failed"
    assert "gone" in status.message
    again = LOCAL.apply(plan, heard.append)
    assert pid_of(again) != pid_of(running)
    assert LOCAL.predict(plan, BODY, JSON).status_code == 200


def test_a_pid_that_belongs_to_another_process_now_is_left_alone(
    plan: Plan, running: Status, heard: list[Event]
) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        server = local_record.recorded(plan.name)
        assert server is not None
        local_record.record(plan.name, server.model_copy(update={"pid": stranger.pid}))
        assert LOCAL.status(plan).state == "failed"
        assert LOCAL.destroy(plan, heard.append).left_behind == []
        assert stranger.poll() is None
        assert is_gone(server.pid)  # found by its directory
    finally:
        stranger.kill()
        stranger.wait()


def test_what_a_crash_left_behind_is_stopped_before_a_new_server_starts(
    plan: Plan, heard: list[Event], advisor_home: Path
) -> None:
    class Crash(BaseException):
        pass

    def crash_once_started(event: Event) -> None:
        if event.message.startswith("Started process"):
            raise Crash

    with pytest.raises(Crash):
        LOCAL.apply(plan, crash_once_started)
    end = time.monotonic() + 5
    # For a moment after its start the system shows no command line of a process.
    while not (stray := local_process.strays(advisor_home.resolve())):
        assert time.monotonic() < end
    assert len(stray) == 1
    assert LOCAL.status(plan).state == "applying"
    status = LOCAL.apply(plan, heard.append)
    assert is_gone(stray[0].pid)
    assert [p.pid for p in local_process.strays(advisor_home.resolve())] == [pid_of(status)]


def test_two_people_at_once_get_one_server(plan: Plan, advisor_home: Path) -> None:
    found: list[Status] = []
    people = [
        threading.Thread(target=lambda: found.append(LOCAL.apply(plan, lambda _: None)))
        for _ in range(2)
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert found[0] == found[1]
    assert len(local_process.strays(advisor_home.resolve())) == 1


def test_a_busy_port_is_named_with_its_holder(local_request: Request, onnx_model: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PreflightError, match=rf"port {port} is taken by .*{os.getpid()}"):
            LOCAL.plan(local_request(onnx_model, port=port))


def test_a_port_taken_after_the_plan_leaves_nothing(
    local_request: Request, onnx_model: Path, heard: list[Event], advisor_home: Path
) -> None:
    port = local_process.free_port()
    plan = LOCAL.plan(local_request(onnx_model, port=port))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        with pytest.raises(PreflightError, match=f"port {port} is taken"):
            LOCAL.apply(plan, heard.append)
    assert nothing_left(advisor_home)
    assert port_of(LOCAL.apply(plan, heard.append)) == port


def test_this_machine_is_never_public(local_request: Request, onnx_model: Path) -> None:
    with pytest.raises(InputError, match=r"127\.0\.0\.1 only"):
        LOCAL.plan(replace(local_request(onnx_model), public=True))


def test_a_wrong_port_is_refused(local_request: Request, onnx_model: Path) -> None:
    for port in (80, 70_000, "8080", True):
        with pytest.raises(InputError, match="1024 to 65535"):
            LOCAL.plan(local_request(onnx_model, port=port))


def test_a_model_that_does_not_load_leaves_nothing_and_says_why(
    local_request: Request, onnx_model: Path, heard: list[Event], advisor_home: Path
) -> None:
    plan = LOCAL.plan(local_request(onnx_model))
    damage_bundle(plan)
    with pytest.raises(DeployError, match=r"ended while it was loading the model: ."):
        LOCAL.apply(plan, heard.append)
    assert nothing_left(advisor_home)
    assert LOCAL.apply(plan, heard.append).state == "running"


def test_an_update_that_fails_leaves_the_old_server_serving(
    local_request: Request,
    onnx_model: Path,
    running: Status,
    plan: Plan,
    tmp_path: Path,
    heard: list[Event],
) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(with_other_weights(onnx_model))
    update = LOCAL.plan(local_request(other))
    damage_bundle(update)
    with pytest.raises(DeployError):
        LOCAL.apply(update, heard.append)
    assert LOCAL.status(plan) == running
    assert LOCAL.predict(plan, BODY, JSON).body["predictions"] == [10.0]


def test_an_update_on_a_fixed_port_replaces_and_a_failed_one_restores(
    local_request: Request, onnx_model: Path, tmp_path: Path, heard: list[Event]
) -> None:
    port = local_process.free_port()
    first = LOCAL.apply(LOCAL.plan(local_request(onnx_model, port=port)), heard.append)

    other = tmp_path / "other.onnx"
    other.write_bytes(with_other_weights(onnx_model))
    update = LOCAL.plan(local_request(other, port=port))
    second = LOCAL.apply(update, heard.append)
    assert port_of(second) == port
    assert is_gone(pid_of(first))
    assert LOCAL.predict(update, BODY, JSON).body["predictions"] == [20.0]
    assert Path(first.outputs["bundle"]).exists(), "kept for the way back"

    back = LOCAL.plan(local_request(onnx_model, port=port))
    damage_bundle(back)
    with pytest.raises(DeployError):
        LOCAL.apply(back, heard.append)
    assert LOCAL.predict(update, BODY, JSON).body["predictions"] == [20.0]
    assert port_of(LOCAL.status(update)) == port


def test_a_changed_model_file_makes_the_plan_stale(
    local_request: Request, onnx_model: Path, tmp_path: Path, heard: list[Event]
) -> None:
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(onnx_model.read_bytes())
    plan = LOCAL.plan(local_request(mine))
    mine.write_bytes(with_other_weights(onnx_model))
    with pytest.raises(StalePlanError, match=r"mine\.onnx changed"):
        LOCAL.apply(plan, heard.append)


def test_too_little_memory_blocks_the_plan(local_request: Request, onnx_model: Path) -> None:
    request = local_request(onnx_model)
    model = request.need.model.model_copy(update={"memory_mb": 3_900_000.0})
    huge = request.need.model_copy(update={"model": model})
    with pytest.raises(PreflightError, match="3,900,000 MB of memory"):
        LOCAL.plan(replace(request, need=huge))


def damage_bundle(plan: Plan) -> None:
    """Put the plan's bundle in place with a model file that cannot be loaded."""
    own = local_record.directory(plan.name)
    own.mkdir(parents=True, exist_ok=True)
    model = Path(plan.model_path)
    packed = pack(inspect(model), own / "packing", variant=local_record.BUNDLE_VARIANT)
    assert packed.hash == plan.bundle_hash
    place = own / local_record.bundle_name(plan.bundle_hash)
    shutil.rmtree(place, ignore_errors=True)  # of the version before, kept for the way back
    bundle = packed.path.rename(place)
    copies = [p for p in bundle.rglob("*") if p.is_file() and sha256_of(p) == plan.model_digest]
    assert copies
    for copy in copies:
        copy.unlink()
        copy.write_bytes(b"broken")


def with_other_weights(path: Path) -> bytes:
    """The ONNX model with its weights doubled."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    weights = model.graph.initializer[0]
    doubled = numpy_helper.from_array(2 * numpy_helper.to_array(weights), weights.name)
    weights.CopyFrom(doubled)
    return bytes(model.SerializeToString())
