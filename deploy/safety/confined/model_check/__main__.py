"""The confined process: reads a job from stdin, locks itself in, does it, answers on stdout.

Job: {"module", "function", "payload", "sys_path", "readable", "limits", "parent"}; answer:
{"ok": true, "result", "layers"} or {"ok": false, "kind", "message", "layers"}.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path


def main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library or a model prints is no answer
    sys.path[:0] = [str(Path(__file__).resolve().parents[1]), *job["sys_path"]]
    sys.dont_write_bytecode = True
    tempfile.tempdir = str(Path.cwd())  # libraries ask for its name; finding one out means writing

    from model_check.lockdown import lock_down

    layers = lock_down(job["limits"], job["readable"], int(job["parent"]))
    reply = _do(job)
    reply["layers"] = layers
    answer.write(json.dumps(reply).encode())
    answer.flush()
    os._exit(0)  # no exit handlers: the model may have left some


def _do(job: dict[str, object]) -> dict[str, object]:
    import importlib

    try:
        work = getattr(importlib.import_module(str(job["module"])), str(job["function"]))
        return {"ok": True, "result": work(job["payload"])}
    except MemoryError:
        return {"ok": False, "kind": "memory", "message": "it needs more memory than is allowed"}
    except Exception as error:  # noqa: BLE001 - whatever a model raises is the answer
        return {"ok": False, "kind": type(error).__name__, "message": str(error)[:2000]}


main()
