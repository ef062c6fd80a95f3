"""This server beside others on the same models, in one run: the tables that docs/serving.md quotes.

python -m benchmarks.serving                 everything, about ten minutes after the installs
python -m benchmarks.serving --part load     load | batching | start | overload
python -m benchmarks.serving --only-ours     without the other servers (no installs)

One worker each. Cells are two seconds each and go round the servers, so that whatever else the
machine does hits all of them alike; the lean app is the yardstick of each round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers import load, models, overload, servers, venvs
from benchmarks.peers.servers import Server

CONNECTIONS = (1, 4, 32)
CELL_S = 2
ROUNDS = 3
BATCH_ROWS = 64
IMPORTS = {"gb-onnx": "import onnxruntime", "gb-sklearn": "import joblib, sklearn.ensemble"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["load", "batching", "start", "overload"])
    parser.add_argument("--only-ours", action="store_true", help="without the other servers")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    names = [] if asked.only_ours else _installed()
    print(f"load from {load.tool()}; "
          + ("; ".join(venvs.versions(n) for n in names) or "no other servers"))  # fmt: skip
    parts: dict[str, Callable[[Path, list[str], int], None]] = {
        "start": start, "load": side_by_side, "batching": batching, "overload": overloaded,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="serving-") as made:
        folder = Path(made)
        models.make(folder)
        for name, part in parts.items():
            if asked.part in (None, name):
                part(folder, names, asked.rounds)


def start(folder: Path, names: list[str], rounds: int) -> None:
    """Spawn to first prediction, alone, bytecode compiled; memory after a hundred predictions.

    Each round imports the model library in a bare Python first and then starts every server.
    """
    print("\nStart to the first prediction (median), the same beyond importing the model library, "
          "and memory (PSS)\n")  # fmt: skip
    print("| model | server | start s | beyond the import s | memory MB |\n|---|---|---|---|---|")
    for model, code in IMPORTS.items():
        every = _all(model, folder, names)
        took: dict[str, list[float]] = {s.name: [] for s in every}
        beyond: dict[str, list[float]] = {s.name: [] for s in every}
        memory: dict[str, float] = {}
        _import_s(code)  # the first one reads from the disk
        for _ in range(rounds):
            library = _import_s(code)
            for server in every:
                with _running(server, folder) as one:
                    took[server.name].append(one.start_s)
                    beyond[server.name].append(one.start_s - library)
                    for _ in range(100):
                        servers.ask(server, one.port)
                    memory[server.name] = one.pss_mb()
        for name, times in took.items():
            print(f"| {model} | {name} | {statistics.median(times):.2f} | "
                  f"{statistics.median(beyond[name]):.2f} | {memory[name]:.0f} |",
                  flush=True)  # fmt: skip


def side_by_side(folder: Path, names: list[str], rounds: int) -> None:
    """Requests a second and latency, one row a request, at 1, 4 and 32 connections."""
    for model in ("gb-onnx", "gb-sklearn"):
        bare_ms = _bare_ms(model, folder)
        print(f"\n{model}: one row a request; the bare call of the model takes {bare_ms:.3f} ms\n")
        print("| connections | server | requests/s | to the lean app | p50 ms | p99 ms | bad |\n"
              "|---|---|---|---|---|---|---|")  # fmt: skip
        with contextlib.ExitStack() as stack:
            started = [stack.enter_context(_running(s, folder)) for s in _all(model, folder, names)]
            for one in started:
                load.run(one, 4, 1, folder)
            for connections in CONNECTIONS:
                cells: dict[str, list[load.Load]] = {one.server.name: [] for one in started}
                for _ in range(rounds):
                    for one in started:
                        cells[one.server.name].append(load.run(one, connections, CELL_S, folder))
                yard = [cell.per_s for cell in cells["lean Starlette app"]]
                for name, found in cells.items():
                    ratio = statistics.median(c.per_s / y for c, y in zip(found, yard, strict=True))
                    print(f"| {connections} | {name} | {_mid(found, 'per_s'):.0f} | {ratio:.2f} | "
                          f"{_mid(found, 'p50_ms'):.2f} | {_mid(found, 'p99_ms'):.1f} | "
                          f"{sum(c.bad for c in found)} |", flush=True)  # fmt: skip


def batching(folder: Path, names: list[str], rounds: int) -> None:
    """A forest of 200 trees at 32 connections, each server with and without its batching."""
    model = "forest-sklearn"
    print("\nforest-sklearn, 32 connections: what batching gains\n\n"
          "| server | requests/s alone | batched | gain | p50 ms | p99 ms |\n"
          "|---|---|---|---|---|---|")  # fmt: skip
    pairs: list[tuple[Server, Server]] = [
        (servers.ours(model, folder, MAX_BATCH_ROWS="1"), servers.ours(model, folder)),
        *((servers.peer(n, model, folder), servers.peer(n, model, folder, BATCH_ROWS))
          for n in names if n != "mlflow"),
    ]  # fmt: skip
    for alone, batched in pairs:
        found = []
        for server in (alone, batched):
            with _running(server, folder) as one:
                load.run(one, 32, 2, folder)
                found.append([load.run(one, 32, 2 * CELL_S, folder) for _ in range(rounds)])
        plain, shared = (_mid(cells, "per_s") for cells in found)
        print(f"| {batched.name} | {plain:.0f} | {shared:.0f} | {shared / plain:.1f} | "
              f"{_mid(found[1], 'p50_ms'):.0f} | {_mid(found[1], 'p99_ms'):.0f} |",
              flush=True)  # fmt: skip


def overloaded(folder: Path, names: list[str], rounds: int) -> None:
    """More connections than the queue holds: who is served, how fast, and who is told to wait."""
    print("\nforest-sklearn without batching, 200 connections, queue of 32\n\n"
          "| server | served/s | p50 ms | p99 ms | refused (429) with Retry-After |\n"
          "|---|---|---|---|---|")  # fmt: skip
    model = "forest-sklearn"
    for server in (servers.ours(model, folder, MAX_BATCH_ROWS="1", QUEUE_SIZE="32"),
                   servers.lean(model, folder)):  # fmt: skip
        with _running(server, folder) as one:
            found = asyncio.run(overload.run(one, 200, 8.0))
        print(f"| {server.name} | {found.served_per_s:.0f} | {found.p50_ms:.0f} | "
              f"{found.p99_ms:.0f} | {found.refused} ({found.told} told when) |",
              flush=True)  # fmt: skip


def _installed() -> list[str]:
    found = []
    for name in venvs.PEERS:
        why = venvs.make(name)
        if why is None:
            found.append(name)
        else:
            print(f"{name} is left out: it cannot be installed here ({why})")
    return found


def _all(model: str, folder: Path, names: list[str]) -> list[Server]:
    others = [servers.peer(n, model, folder) for n in names]
    return [servers.ours(model, folder), servers.lean(model, folder), *others]


def _running(server: Server, folder: Path) -> contextlib.AbstractContextManager[servers.Running]:
    return servers.running(server, folder / f"{server.name.replace(' ', '-')}.log")


def _import_s(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def _bare_ms(model: str, folder: Path) -> float:
    import numpy as np

    predict, row = models.load(model, folder), np.zeros((1, models.FEATURES), dtype=np.float32)
    times = []
    for _ in range(300):
        started = time.perf_counter()
        predict(row)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _mid(cells: list[load.Load], what: str) -> float:
    return statistics.median(getattr(cell, what) for cell in cells)


if __name__ == "__main__":
    main()
