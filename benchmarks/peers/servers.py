"""Starts each server on one model, asks it until it answers, weighs it and ends it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers import models, venvs
from deploy.artifact import inspect
from deploy.bundle.pack import pack

HERE = Path(__file__).resolve().parent
START_S = 90
POLL_S = 0.02  # answering a poll while it loads costs a server time
MB = 1e6


@dataclass
class Server:
    """How to start one server. `{port}` in commands and settings becomes the port."""

    name: str
    command: list[str]
    path: str = "/predict"
    key: str = "instances"  # the body's field; "v2" for V2 tensors
    cwd: Path = HERE
    env: dict[str, str] = field(default_factory=dict)

    def body(self, rows: int = 1) -> bytes:
        row = [round(0.1 * i - 1.5, 3) for i in range(models.FEATURES)]
        if self.key != "v2":
            return json.dumps({self.key: [row] * rows}).encode()
        tensor = {"name": "x", "shape": [rows, models.FEATURES], "datatype": "FP64",
                  "data": row * rows}  # fmt: skip
        return json.dumps({"inputs": [tensor]}).encode()


@dataclass
class Running:
    """A started server: `start_s` from spawn to the first answered prediction."""

    server: Server
    process: subprocess.Popen[bytes]
    port: int
    start_s: float

    def pss_mb(self) -> float:
        """Proportional set size of all its processes, in MB (Linux; else resident size)."""
        own = psutil.Process(self.process.pid)
        total = 0
        for one in [own, *own.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                full = one.memory_full_info()
                total += getattr(full, "pss", full.rss)
        return total / MB


def ours(model: str, folder: Path, **env: str) -> Server:
    """The bundle as it ships, with bytecode compiled as its Dockerfile does. One worker."""
    bundle = folder / f"bundle-{model}"
    if not bundle.exists():
        pack(inspect(folder / models.FILES[model]), bundle)
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(bundle)], check=True)
    settings = {"HOST": "127.0.0.1", "PORT": "{port}", "WORKERS": "1", **env}
    return Server("this bundle", [sys.executable, "-m", "model_server", "serve"],
                  cwd=bundle, env=settings)  # fmt: skip


def lean(model: str, folder: Path) -> Server:
    app = [sys.executable, str(HERE / "app_lean.py"), model, str(folder), "{port}"]
    return Server("lean Starlette app", app)


def peer(name: str, model: str, folder: Path, batch_rows: int = 1) -> Server:
    """One of `venvs.PEERS`. `batch_rows` above 1 switches its batching on."""
    python = str(venvs.python(name))
    env = {"MODEL": model, "FOLDER": str(folder), "BATCH_ROWS": str(batch_rows),
           "PYTHONPATH": str(HERE)}  # fmt: skip
    if name == "litserve":
        app = [python, str(HERE / "app_litserve.py"), model, str(folder), "{port}", str(batch_rows)]
        return Server("LitServe", app, env=env)
    if name == "bentoml":
        app = [python, "-m", "bentoml", "serve", "app_bentoml:Service", "--host", "127.0.0.1",
               "--port", "{port}"]  # fmt: skip
        home = str(folder / "bentoml")
        return Server("BentoML", app, env={**env, "BENTOML_DO_NOT_TRACK": "true",
                                           "BENTOML_HOME": home})  # fmt: skip
    if name == "mlserver":
        return _mlserver(python, model, folder, batch_rows, env)
    if name == "mlflow":
        saved = folder / f"mlflow-{model}"
        if not saved.exists():
            app = [python, str(HERE / "app_mlflow.py"), model, str(folder), str(saved)]
            subprocess.run(app, check=True, capture_output=True, timeout=120)
        app = [python, "-m", "mlflow", "models", "serve", "-m", str(saved), "--env-manager",
               "local", "-h", "127.0.0.1", "-p", "{port}", "-w", "1"]  # fmt: skip
        return Server("MLflow", app, "/invocations", "inputs", env=env)
    raise ValueError(f"{name!r} is no server known here; use one of {', '.join(venvs.PEERS)}")


@contextlib.contextmanager
def running(server: Server, log: Path) -> Iterator[Running]:
    """Start it, wait for its first prediction, and end its processes after."""
    port = _free_port()
    env = {"PATH": f"{Path(server.command[0]).parent}:{os.environ['PATH']}",
           "HOME": str(log.parent), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
           **server.env}  # fmt: skip
    env = {k: v.replace("{port}", str(port)) for k, v in env.items()}
    command = [part.replace("{port}", str(port)) for part in server.command]
    started = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=server.cwd, env=env, stdout=out,
                                   stderr=subprocess.STDOUT, process_group=0)  # fmt: skip
    try:
        _wait(server, process, port, started, log)
        yield Running(server, process, port, time.perf_counter() - started)
    finally:
        _end(process)


def ask(server: Server, port: int, rows: int = 1) -> tuple[int, bytes]:
    """(status, body) of one prediction."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST", server.path, server.body(rows), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _wait(server: Server, process: subprocess.Popen[bytes], port: int, started: float,
          log: Path) -> None:  # fmt: skip
    said: Any = ""
    levelled = 0.0
    while time.perf_counter() - started < START_S:
        if process.poll() is not None:
            break
        if time.perf_counter() - levelled > 0.1:
            _level(process.pid)
            levelled = time.perf_counter()
        try:
            status, said = ask(server, port)
            if status == 200:
                _level(process.pid)
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(POLL_S)
    tail = log.read_text("utf-8", "replace").strip()[-400:]
    raise RuntimeError(f"{server.name} did not answer: {said!r} {tail}")


def _level(pid: int) -> None:
    """Give processes in sessions of their own the scheduling priority of this one's session.

    Linux weighs sessions against each other; on a busy machine a server that starts its workers in
    new sessions would compete with everything else, and the others not.
    """
    with contextlib.suppress(OSError, psutil.NoSuchProcess, IndexError):
        nice = Path("/proc/self/autogroup").read_text().split()[-1]
        mine = os.getsid(0)
        for child in psutil.Process(pid).children(recursive=True):
            if os.getsid(child.pid) != mine:
                Path(f"/proc/{child.pid}/autogroup").write_text(nice)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs([psutil.Process(process.pid), *family], timeout=5)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)


def _mlserver(python: str, model: str, folder: Path, rows: int, env: dict[str, str]) -> Server:
    """Without its pool of workers, which is slower here and needs more memory."""
    home = folder / f"mlserver-{model}-{rows}"
    home.mkdir(exist_ok=True)
    for name in ("app_mlserver.py", "models.py"):
        shutil.copy(HERE / name, home / name)
    batching = {"max_batch_size": rows, "max_batch_time": 0.005} if rows > 1 else {}
    settings = {"name": "model", "implementation": "app_mlserver.Runtime", **batching}
    (home / "model-settings.json").write_text(json.dumps(settings))
    env = {**env, "MLSERVER_HTTP_PORT": "{port}", "MLSERVER_HOST": "127.0.0.1",
           "MLSERVER_GRPC_PORT": str(_free_port()), "MLSERVER_METRICS_PORT": str(_free_port()),
           "MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_DEBUG": "false"}  # fmt: skip
    # not by its command, whose first line names the folder that the environment was made in
    app = [python, "-c", "from mlserver.cli import main; main()", "start", str(home)]
    return Server("MLServer", app, "/v2/models/model/infer", "v2", home, env)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
