"""What a hostile model would try, run inside the confined process."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def attempts(payload: dict[str, Any]) -> dict[str, str]:
    """Each attempt by name, and what came of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    secret, canary = str(payload["secret"]), str(payload["canary"])
    tries: dict[str, Callable[[], Any]] = {
        "own environment": lambda: os.environ.get("MODEL_TEST_SECRET", "absent"),
        "parent's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
        "secret file": lambda: Path(secret).read_text(),
        "socket": lambda: socket.socket().fileno(),
        "native socket": lambda: _number(libc.socket(2, 1, 0)),
        "system": lambda: os.system(f"touch {canary}"),
        "native system": lambda: _number(libc.system(f"touch {canary}".encode()) or -1),
        "fork": os.fork,
        "native fork": lambda: _number(libc.fork()),
        "write": lambda: Path(canary).write_text("x"),
        "native write": lambda: _number(libc.open(canary.encode(), 0o101, 0o644)),
        "native read": lambda: _number(libc.open(secret.encode(), 0)),
        "signal the parent": lambda: os.kill(os.getppid(), 0),
        "native signal": lambda: _number(libc.kill(os.getppid(), 0)),
        "thread": lambda: _thread(),
    }
    found = {}
    for name, attempt in tries.items():
        try:
            found[name] = f"done: {attempt()!r}"
        except OSError as stopped:
            found[name] = f"stopped: {stopped}"
    return found


def hang(payload: dict[str, Any]) -> None:
    time.sleep(3600)


def spin(payload: dict[str, Any]) -> None:
    while True:
        pass


def eat_memory(payload: dict[str, Any]) -> int:
    held = []
    while True:
        held.append(bytearray(50_000_000))


def shout(payload: dict[str, Any]) -> str:
    return "x" * 20_000_000


def crash(payload: dict[str, Any]) -> None:
    ctypes.string_at(8)


def load_count(payload: dict[str, Any]) -> dict[str, Any]:
    from model_server import safe_pickle

    return {"type": type(safe_pickle.load(Path(payload["path"]))).__name__}


def _number(result: int) -> int:
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _thread() -> str:
    ran: list[int] = []
    thread = threading.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join()
    return "ran" if ran else "did not run"
