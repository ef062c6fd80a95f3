"""Runs one function in a process of its own that can read a model and do nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from advisor.errors import ArtifactError

HERE = Path(__file__).resolve().parent
ENTRY = HERE / "confined" / "model_check" / "__main__.py"
RUNTIME = HERE.parent / "bundle" / "runtime"
MAX_ANSWER = 4_000_000
STDERR_KEPT = 4_000


@dataclass(frozen=True)
class Limits:
    """What the confined process may use; the wall clock is kept by the parent."""

    wall_s: float = 90
    cpu_s: int = 60
    memory_mb: int = 4_000
    threads: int = 1


@dataclass(frozen=True)
class Answer:
    """What the function returned, and the layers that held the process."""

    result: Any
    layers: list[str] = field(default_factory=list)


class ConfinedError(ArtifactError):
    """The confined work failed. `kind`: the exception's class name, or "timeout", "memory",
    "cpu", "crash", "killed", "answer", "cancelled"."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


def confined(
    module: str,
    payload: dict[str, Any],
    *,
    function: str = "run",
    readable: list[Path],
    sys_path: list[Path] | None = None,
    limits: Limits | None = None,
    what: str = "loading the model",
    cancelled: Callable[[], bool] | None = None,
    max_answer: int = MAX_ANSWER,
) -> Answer:
    """`module.function(payload)` in a confined process; blocks until it is done or stopped.

    The process has an empty environment, an empty folder of its own, no network, may start
    nothing, write nothing, and read only the installed libraries and `readable`; on Linux it ends
    with the thread that called this. The bundle's runtime (`model_server`) is importable there.
    `payload` and the result travel as JSON.
    `cancelled` is asked about once a second; when it says so, the process is stopped. `max_answer`:
    bytes that it may answer.
    Raises ConfinedError with a sentence that starts with `what`.
    """
    limits = limits or Limits()
    paths = [str(HERE / "confined"), str(RUNTIME), *(str(p) for p in sys_path or [])]
    job = {
        "module": module,
        "function": function,
        "payload": payload,
        "sys_path": paths,
        "readable": [*paths, *(str(Path(p).resolve()) for p in readable)],
        "limits": {"cpu_s": limits.cpu_s, "memory_mb": limits.memory_mb},
        "parent": os.getpid(),
    }
    with tempfile.TemporaryDirectory(prefix="model-check-") as own:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(ENTRY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=own,
            env=_environment(own, limits.threads),
            start_new_session=True,
        )
        try:
            out, err = _talk(
                process, json.dumps(job).encode(), limits.wall_s, what, cancelled, max_answer
            )
        finally:
            _stop(process)
    return _read(process.returncode, out, err, limits, what)


def _environment(own: str, threads: int) -> dict[str, str]:
    """Nothing of ours: a secret that is not there cannot leak."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    env = {"LANG": "C.UTF-8", "HOME": own, "TMPDIR": own, **{n: str(threads) for n in names}}
    env["TORCHINDUCTOR_CACHE_DIR"] = own  # torch makes the folder unless it is there
    if sys.platform == "win32":
        env["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    return env


def _talk(
    process: subprocess.Popen[bytes],
    job: bytes,
    wall_s: float,
    what: str,
    cancelled: Callable[[], bool] | None,
    max_answer: int,
) -> tuple[bytes, bytes]:
    """Everything it says, within the time and the size allowed."""
    to_child, stdout, stderr = process.stdin, process.stdout, process.stderr
    if to_child is None or stdout is None or stderr is None:
        raise ConfinedError("crash", f"{what} could not be started")
    with contextlib.suppress(BrokenPipeError):  # it died at once; what it said follows
        to_child.write(job)
        to_child.close()
    deadline = time.monotonic() + wall_s
    said: dict[IO[bytes], bytearray] = {stdout: bytearray(), stderr: bytearray()}
    with selectors.DefaultSelector() as ready:
        for pipe in said:
            ready.register(pipe, selectors.EVENT_READ)
        while ready.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise ConfinedError(
                    "timeout", f"{what} took longer than {wall_s:.0f} s and was stopped"
                )
            if cancelled is not None and cancelled():
                raise ConfinedError("cancelled", f"{what} was stopped")
            for key, _ in ready.select(min(left, 1.0)):
                pipe = key.fileobj  # type: ignore[assignment]
                part = os.read(pipe.fileno(), 1 << 16)
                if not part:
                    ready.unregister(pipe)
                elif pipe is stdout:
                    said[pipe] += part
                    if len(said[pipe]) > max_answer:
                        raise ConfinedError("answer", f"{what} answered more than is sensible")
                else:
                    said[pipe] = (said[pipe] + part)[-STDERR_KEPT:]
    process.wait(max(deadline - time.monotonic(), 1))
    return bytes(said[stdout]), bytes(said[stderr])


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        try:
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # gone in between
            pass
        process.wait(10)
    for pipe in (process.stdout, process.stderr, process.stdin):
        if pipe:
            pipe.close()


def _read(code: int, out: bytes, err: bytes, limits: Limits, what: str) -> Answer:
    if code == -getattr(signal, "SIGXCPU", 24):
        raise ConfinedError(
            "cpu", f"{what} used more than {limits.cpu_s} s of processor time and was stopped"
        )
    if code == -9 and not out:
        raise ConfinedError(
            "killed", f"{what} was ended from outside: the machine had too little memory, or "
            "somebody ended the process; try again"
        )  # fmt: skip
    try:
        said = json.loads(out)
    except ValueError as broken:
        tail = err.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        if "memory" in tail[0].lower() or "bad_alloc" in tail[0]:
            raise ConfinedError("memory", _memory(limits, what)) from broken
        raise ConfinedError(
            "crash", f"{what} crashed the process (exit {code}) {tail[0][:200]}".strip()
        ) from broken
    if not said.get("ok"):
        if said.get("kind") == "memory":
            raise ConfinedError("memory", _memory(limits, what))
        raise ConfinedError(str(said.get("kind")), str(said.get("message")))
    return Answer(said.get("result"), [str(layer) for layer in said.get("layers", [])])


def _memory(limits: Limits, what: str) -> str:
    return f"{what} needs more than the {limits.memory_mb} MB of memory that it may have"
