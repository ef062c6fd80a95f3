"""How a server warms up after a pause: what each of the requests takes that come at once.

nice -n -15 python -m benchmarks.warmth --real-time     half a minute; Linux

One worker, a pause, then one request, or two, four or eight at once: the processor time of the
server for each burst says what the second, the next two and the last four took, and from that what
is left of the cold after each request: `cold_left` of `deploy/data/load_testing.yaml`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import prediction
from deploy.artifact import inspect
from deploy.loadtest.plain_http import PlainHttp
from deploy.loadtest.roads import PING, PREDICT

AT_ONCE = (1, 2, 4, 8)
PAUSE_S = 0.004  # on average
REST_S = 0.001  # for what the server does after the last answer
MODELS = ("tabular pipeline", "80 MB of weights")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(prediction.REAL_TIME, action="store_true", help="before all other work")
    parser.add_argument("--bursts", type=int, default=400, help="of each size")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        print("NOT RUN: Linux alone tells what a thread has used to the nanosecond.")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    print("| model | first, ms | second | third and fourth | fifth to eighth | cold_left |")
    print("|---|---|---|---|---|---|")
    for name in MODELS:
        with prediction.unhalted(), tempfile.TemporaryDirectory(prefix="warmth-") as folder:
            spent = bursts(prediction.MODELS[name](Path(folder)), Path(folder), arguments.bursts)
        each = np.diff(spent, prepend=0.0) / np.diff(AT_ONCE, prepend=0)
        cells = " | ".join(f"{ms:.2f}" for ms in each)
        print(f"| {name} | {cells} | {left(spent):.2f} |", flush=True)
    return 0


def bursts(model: Path, folder: Path, count: int) -> np.ndarray:
    """(len(AT_ONCE),): the server's processor milliseconds for a burst of each size, on average."""
    artifact = inspect(model)
    body = artifact.example_request()
    if body is None:
        raise SystemExit(f"{model.name} does not say what a row looks like")
    settings = {"WORKERS": "1", "MAX_BATCH_ROWS": "1"}
    with prediction.served(artifact, folder / "served", settings) as (pid, url, _):
        cores = sorted(os.sched_getaffinity(0))
        prediction.each_thread(pid, lambda thread: os.sched_setaffinity(thread, cores[:1]))
        return asyncio.run(_bursts(pid, url, body, count))


async def _bursts(pid: int, url: str, body: bytes, count: int) -> np.ndarray:
    lines = PlainHttp(url + PREDICT, PING, timeout_s=30)
    sizes = list(range(len(AT_ONCE))) * count
    random.shuffle(sizes)  # what changes meanwhile meets all of them alike
    spent = np.zeros(len(AT_ONCE))
    try:
        await lines.open(max(AT_ONCE))
        for _ in range(20):
            await _ask(lines, body)
        for size in sizes:
            await asyncio.sleep(random.expovariate(1 / PAUSE_S))
            before = _processor_ms(pid)
            await asyncio.gather(*(_ask(lines, body) for _ in range(AT_ONCE[size])))
            await asyncio.sleep(REST_S)
            spent[size] += _processor_ms(pid) - before
    finally:
        lines.close()
    return spent / count


async def _ask(lines: PlainHttp, body: bytes) -> None:
    status, said = await lines.post(body, "application/json")
    if status != 200:
        raise SystemExit(f"the server answers {status}: {said[:200]!r}")


def _processor_ms(pid: int) -> float:
    """To the nanosecond; `psutil` has it in steps of 10 ms."""
    spent = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e6


def left(spent_ms: np.ndarray) -> float:
    """The a for which n warm + cold (1 + a + ... + a^(n-1)) comes nearest to `spent_ms`, n of
    `AT_ONCE`, by least squares."""
    n = np.array(AT_ONCE, dtype=float)
    shares = np.linspace(0.0, 0.95, 96)

    def off(a: float) -> float:
        both = np.column_stack([n, (1 - a**n) / (1 - a)])
        _, rest, _, _ = np.linalg.lstsq(both, spent_ms)
        return float(rest[0])

    return float(min(shares, key=off))


if __name__ == "__main__":
    sys.exit(main())
