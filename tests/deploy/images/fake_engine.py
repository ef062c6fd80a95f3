"""A program that stands for docker, podman or buildah: it writes down how it was called.

What it answers is in `answers.json` beside it: {"build": {"lines": [...], "code": 1}, ...}, by the
first argument that is a verb. It is installed under each name by `install`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

VERBS = (
    "info",
    "buildx",
    "context",
    "build",
    "login",
    "push",
    "inspect",
    "image",
    "rmi",
    "--version",
)
DIGEST = "sha256:" + "5e" * 32


def install(folder: Path, *names: str, **answers: dict[str, Any]) -> Path:
    """Put the program under these names into a folder, with what it answers by verb."""
    folder.mkdir(exist_ok=True)
    (folder / "answers.json").write_text(json.dumps(answers))
    for name in names:
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{__file__}" "$0" "$@"\n')
        program.chmod(0o755)
    return folder


def calls(folder: Path) -> list[dict[str, Any]]:
    """Every call so far: `arguments`, `input`, and the environment's own variables."""
    log = folder / "calls.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def main(program: Path, arguments: list[str]) -> int:
    verb = next(a for a in arguments if a in VERBS)
    answer = json.loads((program.parent / "answers.json").read_text()).get(verb, {})
    given = sys.stdin.read() if "--password-stdin" in arguments else ""
    kept = {k: v for k, v in os.environ.items() if k.startswith(("DOCKER", "BUILD"))}
    call = {"program": program.name, "arguments": arguments, "input": given, "environment": kept}
    with (program.parent / "calls.jsonl").open("a") as log:
        log.write(json.dumps(call) + "\n")
    if "child" in answer:  # something of its own that outlives a careless ending
        child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "120")
        Path(answer["child"]).write_text(f"{os.getpid()} {child}")
    for line in answer.get("lines", _usual(program.name, verb, arguments)):
        print(line, flush=True)
    for line in answer.get("errors", []):
        print(line, file=sys.stderr, flush=True)
    if "--digestfile" in arguments:
        Path(arguments[arguments.index("--digestfile") + 1]).write_text(DIGEST)
    time.sleep(answer.get("sleeps_s", 0))
    return int(answer.get("code", 0))


def _usual(name: str, verb: str, arguments: list[str]) -> list[str]:
    if verb == "info" and name == "docker":
        return ['{"OSType": "linux", "Architecture": "x86_64", "ServerVersion": "28.2.2"}']
    if verb == "info":
        return ['{"host": {"arch": "amd64"}}']
    if verb == "buildx":
        return ["Platforms: linux/amd64, linux/amd64/v2, linux/386"]
    if verb == "--version":
        return [f"{name} version 4.3.1"]
    if verb == "context":
        return ["unix:///var/run/docker.sock"]
    if "Architecture" in " ".join(arguments):
        return ["amd64"]
    if verb == "inspect":
        return [f"registry/mda@{DIGEST}"]
    return []


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
