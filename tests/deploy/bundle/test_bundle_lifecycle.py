"""Starting, refusing, draining and stopping: the server as a platform sees it."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from conftest import StartServer
from model_server.app import App
from model_server.service import Service
from model_server.settings import Settings
from serving import stop, wait_ready

from deploy.bundle.pack import Bundle

ROW = {"instances": [[1.0]]}
PREDICT = "/predict"


def test_platform_settings_move_ports_routes_and_names(
    bundles: dict[str, Bundle], start_server: StartServer, tmp_path: Path
) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    shutil.copy(bundles["onnx"].path / "model" / "model.onnx", mounted / "model.onnx")
    server = start_server(
        bundles["onnx"].path, port_name="AIP_HTTP_PORT", AIP_HEALTH_ROUTE="/v1/health-of-1",
        AIP_PREDICT_ROUTE="/v1/predict-of-1", MODEL_NAME="tumours", MODEL_DIR=str(mounted),
        MODEL_SERVER_TOKEN="s3cret",
    )  # fmt: skip
    client = server.client
    assert client.get("/v1/health-of-1").status_code == 200  # health needs no token
    body = {"instances": [[0.0] * 30]}
    refused = client.post("/v1/predict-of-1", json=body)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer other", "Basic s3cret", "s3cret"):
        headers = {"authorization": wrong}
        assert client.post("/predict", json=body, headers=headers).status_code == 401
    assert client.get("/metrics").status_code == 401
    headers = {"authorization": "Bearer s3cret"}
    for path in ("/v1/predict-of-1", "/v1/models/tumours:predict"):
        assert client.post(path, json=body, headers=headers).status_code == 200
    assert client.get("/docs", headers=headers).status_code == 200
    assert "s3cret" not in server.log.read_text()


def test_a_full_queue_answers_429_and_says_when_to_come_back(
    slow_bundle: Bundle, start_server: StartServer
) -> None:
    server = start_server(slow_bundle.path, WORKERS="1", QUEUE_SIZE="2", MAX_BATCH_ROWS="1")
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: server.client.post(PREDICT, json=ROW), range(12)))
    served = [a for a in found if a.status_code == 200]
    refused = [a for a in found if a.status_code == 429]
    assert len(served) + len(refused) == 12
    assert len(served) >= 3
    assert refused
    assert all(int(a.headers["retry-after"]) >= 1 for a in refused)
    assert refused[0].json()["code"] == "busy"
    assert all(a.json()["predictions"] == [1.0] for a in served)


def test_requests_that_queued_are_answered_together(
    slow_bundle: Bundle, start_server: StartServer
) -> None:
    """The slow model costs the same for many rows as for one: the server finds that out."""
    server = start_server(slow_bundle.path, WORKERS="1")
    ready = next(e for e in server.events() if e["event"] == "ready")
    assert ready["batching"]
    assert ready["batch_gain"] > 10
    with ThreadPoolExecutor(20) as pool:
        rows = [{"instances": [[float(i + 1)]]} for i in range(20)]
        found = list(pool.map(lambda r: server.client.post(PREDICT, json=r).json(), rows))
    assert [f["predictions"] for f in found] == [[float(i + 1)] for i in range(20)]
    calls = next(
        float(line.split()[-1])
        for line in server.client.get("/metrics").text.splitlines()
        if line.startswith('model_batch_rows_bucket{le="2.0"}')
    )
    in_all = server.client.get("/metrics").text.split("model_batch_rows_count ")[1].split()[0]
    assert float(in_all) - calls >= 1  # some call took more than two requests


def test_sigterm_lets_what_runs_finish_and_ends_with_0(
    slow_bundle: Bundle, start_server: StartServer
) -> None:
    server = start_server(slow_bundle.path, WORKERS="1", MAX_BATCH_ROWS="1")
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(server.client.post, PREDICT, json=ROW) for _ in range(5)]
        _wait_for(server.client, "model_workers_busy", 1)
        server.process.send_signal(signal.SIGTERM)
        assert [a.result().status_code for a in asked] == [200] * 5
    assert server.process.wait(25) == 0
    assert server.events()[-1]["event"] == "stopped"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_loses_no_request_that_was_sent_before(
    workers: str, bundles: dict[str, Bundle], start_server: StartServer
) -> None:
    """Clients that ask again at once: their next request is on its way when the server stops."""
    server = start_server(bundles["onnx"].path, WORKERS=workers)
    body = json.dumps([[0.0] * 30]).encode()
    request = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    answered: list[int] = []
    lost: list[float] = []  # when they were sent

    def ask_until_told(number: int) -> None:
        answered.append(0)
        with socket.create_connection(("127.0.0.1", server.port), 20) as line:
            while True:
                sent = time.monotonic()
                try:
                    line.sendall(request)
                    reply = line.recv(65536)
                except ConnectionError:
                    reply = b""
                if not reply.startswith(b"HTTP/1.1 200"):
                    lost.append(sent)
                    return
                answered[number] += 1
                if b"connection: close" in reply:
                    return

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask_until_told, number) for number in range(8)]
        end = time.monotonic() + 20
        while (len(answered) < 8 or min(answered) < 20) and time.monotonic() < end:
            time.sleep(0.01)
        stopped = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for one in asking:
            one.result(25)
    assert server.process.wait(25) == 0
    assert min(answered) >= 20
    assert not [sent for sent in lost if sent < stopped]


def test_a_server_that_stops_is_not_ready() -> None:
    service = Service(Settings())
    service.stopping = True
    status, told = App(service)._ready()
    assert (status, told["because"]) == (503, "the server is stopping")


def test_a_client_that_leaves_is_dropped_from_the_queue(
    slow_bundle: Bundle, start_server: StartServer
) -> None:
    server = start_server(slow_bundle.path, WORKERS="1", MAX_BATCH_ROWS="1")
    body = json.dumps(ROW).encode()
    head = (
        f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode()
    leavers = []
    for _ in range(6):
        leaver = socket.create_connection(("127.0.0.1", server.port))
        leaver.sendall(head + body)
        leavers.append(leaver)
    _wait_for(server.client, "model_queue_requests", 2)
    for leaver in leavers:
        leaver.close()
    assert server.client.post(PREDICT, json=ROW).status_code == 200
    _wait_for(server.client, "model_client_gone_total", 2)
    text = server.client.get("/metrics").text
    calls = float(text.split("model_predict_seconds_count ")[1].split()[0])
    assert calls < 7  # those that left while waiting were never predicted


def test_the_body_limit_holds_with_and_without_a_length(
    bundles: dict[str, Bundle], start_server: StartServer
) -> None:
    server = start_server(bundles["onnx"].path, MAX_BODY_MB="1")
    big = b"[" + b" " * 1_500_000 + b"]"
    headers = {"content-type": "application/json"}
    for content in (big, iter([big[:700_000], big[700_000:]])):
        answer = server.client.post("/predict", content=content, headers=headers)
        assert answer.status_code == 413
        assert "1 MB" in answer.json()["error"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest("POST", "/predict")
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", "900000000")
    connection.endheaders()  # refused by what it announces, before it is sent
    assert connection.getresponse().status == 413
    connection.close()


def test_another_model_than_the_checked_one_is_not_served(
    bundles: dict[str, Bundle], start_server: StartServer, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(bundles["onnx"].path, changed)
    with (changed / "model" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    server = start_server(changed, wait=False)
    assert server.process.wait(60) == 1
    assert "is not the model that was checked" in server.log.read_text()


def test_a_missing_model_is_told_and_ends_the_process(
    bundles: dict[str, Bundle], start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    server = start_server(bundles["onnx"].path, wait=False, MODEL_DIR=str(tmp_path / "empty"))
    assert server.process.wait(60) == 1
    assert "model.onnx is in none of" in server.log.read_text()


def test_a_wrong_setting_ends_with_2(bundles: dict[str, Bundle]) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "model_server", "serve"], cwd=bundles["onnx"].path,
        env={"PORT": "eighty"}, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stderr.strip() == "PORT is 'eighty'; it is a whole number from 0 to 65535"


def test_before_the_model_is_loaded_health_says_so(
    bundles: dict[str, Bundle], start_server: StartServer
) -> None:
    """The port answers first; predictions and readiness follow when the model is warm."""
    server = start_server(bundles["joblib"].path, wait=False)
    seen: set[int] = set()
    until = time.monotonic() + 60
    while 200 not in seen and time.monotonic() < until:
        try:
            seen.add(server.client.get("/ping").status_code)
            if 200 not in seen:
                assert server.client.get("/live").status_code == 200
        except httpx.ConnectError:
            pass
        time.sleep(0.02)
    assert seen == {503, 200}
    assert stop(server) == 0


def test_sigterm_while_loading_ends_at_once(
    bundles: dict[str, Bundle], start_server: StartServer
) -> None:
    server = start_server(bundles["joblib"].path, wait=False)
    until = time.monotonic() + 30
    while "listening" not in server.log.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0


def test_a_server_ends_with_the_process_that_must_not_leave_it_behind(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    script = (
        "import os, subprocess, sys\n"
        "env = {'PORT': '0', 'HOST': '127.0.0.1', 'END_WITH_PID': str(os.getpid())}\n"
        "command = [sys.executable, '-m', 'model_server', 'serve']\n"
        "child = subprocess.Popen(command, env=env, start_new_session=True,\n"
        "    stdout=open(sys.argv[1], 'w'), stderr=subprocess.STDOUT)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    log = tmp_path / "server.log"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(log)], cwd=bundles["onnx"].path,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    until = time.monotonic() + 30
    while '"ready"' not in log.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert server.is_running()
    parent.kill()
    parent.wait(10)
    until = time.monotonic() + 30
    while _runs(server) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _runs(server)


def test_the_health_command_asks_the_running_server(
    bundles: dict[str, Bundle], start_server: StartServer
) -> None:
    server = start_server(bundles["onnx"].path, wait=False)
    wait_ready(server)

    def health(port: int) -> int:
        return subprocess.run(
            [sys.executable, "-m", "model_server", "health"], cwd=bundles["onnx"].path,
            env={"PORT": str(port)},
        ).returncode  # fmt: skip

    assert health(server.port) == 0
    stop(server)
    assert health(server.port) == 1


@pytest.mark.parametrize("command", ["fly", "batch"])
def test_unknown_commands_and_missing_options_end_with_2(
    command: str, bundles: dict[str, Bundle]
) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "model_server", command], cwd=bundles["onnx"].path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 2
    assert "Traceback" not in found.stderr


def _runs(process: psutil.Process) -> bool:
    """A zombie does not: whoever adopted it has not asked for its exit code."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for(client: object, metric: str, least: float) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        text = client.get("/metrics").text  # type: ignore[attr-defined]
        value = text.split(f"\n{metric} ")[1].split()[0]
        if float(value) >= least:
            return
        time.sleep(0.01)
    raise AssertionError(f"{metric} stayed below {least}")
