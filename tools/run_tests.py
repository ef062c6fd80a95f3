"""Run the tests that this machine can run, and say plainly which it cannot.

`make test` calls this. A browser that is missing means NOT RUN with how to get one; with
ADVISOR_STRICT=1 (as in CI) it means failure. Exit code 0 only when everything that ran passed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from find_browser import HOW_TO_GET_ONE, find_browser

ROOT = Path(__file__).resolve().parents[1]
WORKERS = {"browser": 0, "emulator": 2}
# All tests with these markers lie here: nothing else has to be imported to find them.
PLACES = {"browser": "tests/e2e", "emulator": "tests/deploy/aws"}
SLOWEST = ("--durations=15", "--durations-min=5")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="the slower proofs as well")
    arguments = parser.parse_args()
    strict = os.environ.get("ADVISOR_STRICT") == "1"
    environment = dict(os.environ)
    not_run: list[str] = []

    browser = find_browser(install=True)
    if browser:
        environment["ADVISOR_CHROMIUM"] = browser
    else:
        not_run.append(f"browser tests: no Chromium was found. {HOW_TO_GET_ONE}")
    emulator = subprocess.run([sys.executable, "tools/emulator_venv.py"], cwd=ROOT, check=False)
    if emulator.returncode != 0:
        not_run.append(
            "AWS emulator tests: its virtual environment could not be made. Check that "
            "pip can reach a package index, then run: python tools/emulator_venv.py"
        )

    if arguments.all:
        scanner = subprocess.run([sys.executable, "tools/scanner_venv.py"], cwd=ROOT, check=False)
        if scanner.returncode != 0:
            not_run.append(
                "the security scanner of the templates: its virtual environment could not be made. "
                "Check that pip can reach a package index, then run: python tools/scanner_venv.py"
            )

    if importlib.util.find_spec("torch") is None:
        not_run.append(
            "PyTorch's tests: it is an extra. Install it: .venv/bin/python -m pip install torch"
        )

    skipped = ["hours"] if browser else ["hours", "browser"]
    if importlib.util.find_spec("torch") is None:
        skipped.append("torch")
    if emulator.returncode != 0:
        skipped.append("emulator")
    if not arguments.all:
        skipped.append("slow")
    # Unit tests share the cores. Browser journeys, one at a time, and emulator journeys, a file at a
    # time in two accounts, follow beside each other: both spend most of their time waiting.
    alone = [name for name in ("browser", "emulator") if name not in skipped]
    rest = " and not hours" if arguments.all else " and not hours and not slow"
    codes = [
        _pytest(" and ".join(f"not {n}" for n in {*skipped, "browser", "emulator"}), 3, environment)
    ]
    with ThreadPoolExecutor(max_workers=2) as beside:
        codes += beside.map(
            lambda name: _pytest(
                name + rest, WORKERS[name], environment, whole=True, place=PLACES[name]
            ),
            alone,
        )
    for line in not_run:
        print(f"NOT RUN  {line}", file=sys.stderr)
    if not_run and strict:
        print("ADVISOR_STRICT=1: nothing may be left out, so this run failed.", file=sys.stderr)
        return 1
    return max(codes)


def _pytest(
    markers: str,
    workers: int,
    environment: dict[str, str],
    *,
    whole: bool = False,
    place: str = "tests",
) -> int:
    """`whole`: print at the end, so that two that run beside each other do not mix."""
    command = [sys.executable, "-m", "pytest", "-q", *SLOWEST, "-m", markers, place]
    if workers:
        command += ["-n", str(workers), "--dist", "loadscope"]
    line = " ".join(command[1:])
    if not whole:
        print("$", line, flush=True)
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    print(f"$ {line}\n{done.stdout}", end="", flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
