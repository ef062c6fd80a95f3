"""This server beside others on the same models, in one run: the tables that docs/bundle.md quotes.

python -m benchmarks.serving                 everything, about six minutes after the installs
python -m benchmarks.serving --write         and put the tables into docs/bundle.md
python -m benchmarks.serving --part load     load | batching | start | overload
python -m benchmarks.serving --only-ours     without the other servers (no installs)

One worker each. Cells are a second each and go round the servers, so that whatever else the
machine does hits all of them alike; the lean app is the yardstick of each round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import load, models, overload, servers, venvs
from benchmarks.peers.servers import Server

CONNECTIONS = (1, 4, 32)
CELL_S = 1
FOREST_S = 2  # asked by the library, 32 requests take half a second
OVERLOAD_S = 4.0
# Under load a percentile of one second is a matter of luck: the median of five, for all alike.
ROUNDS = {"start": 2, "load": 5, "batching": 2, "overload": 1}
OURS, LEAN = "this bundle", "lean Starlette app"
DOCS = Path(__file__).resolve().parents[1] / "docs" / "bundle.md"
BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"
BATCH_ROWS = 64
IMPORTS = {"gb-onnx": "import onnxruntime", "gb-sklearn": "import joblib, sklearn.ensemble"}


@dataclass
class Report:
    """What is printed, kept for the docs, and which of the aims were met."""

    lines: list[str] = field(default_factory=list)
    aims: list[tuple[str, str, bool]] = field(default_factory=list)

    def say(self, text: str = "") -> None:
        print(text, flush=True)
        self.lines.append(text)

    def aim(self, what: str, found: str, met: bool) -> None:
        self.aims.append((what, found, met))

    def table(self, *columns: str) -> None:
        self.say()
        self.row(*columns)
        self.row(*["---"] * len(columns))

    def row(self, *cells: str) -> None:
        self.say(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["load", "batching", "start", "overload"])
    parser.add_argument("--only-ours", action="store_true", help="without the other servers")
    parser.add_argument("--rounds", type=int, help="of every part alike")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/bundle.md")
    asked = parser.parse_args()
    if asked.write and (asked.part or asked.only_ours):
        parser.error("--write needs the whole run: leave out --part and --only-ours")
    names = [] if asked.only_ours else _installed()
    report = Report()
    report.say(f"Load from {load.tool()}; "
               + ("; ".join(venvs.versions(n) for n in names) or "no other servers")
               + f". {os.cpu_count()} processors, load average at the start "
               f"{os.getloadavg()[0]:.1f}.")  # fmt: skip
    parts: dict[str, Callable[[Report, Path, list[str], int], None]] = {
        "start": start, "load": side_by_side, "batching": batching, "overload": overloaded,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="serving-") as made:
        folder = Path(made)
        models.make(folder)
        for name, part in parts.items():
            if asked.part in (None, name):
                part(report, folder, names, asked.rounds or ROUNDS[name])
    report.table("aim", "found in this run", "")
    for what, found, met in report.aims:
        report.row(what, found, "met" if met else "**missed**")
    if asked.write:
        _write(report.lines)


def start(report: Report, folder: Path, names: list[str], rounds: int) -> None:
    """Spawn to first prediction, alone, bytecode compiled; memory after a hundred predictions.

    Each round imports the model library in a bare Python first. The others, which take seconds,
    are timed when they start for `side_by_side`.
    """
    report.say("\nStart to the first prediction, the same beyond importing the model library "
               "(medians), and memory (PSS):")  # fmt: skip
    report.table("model", "server", "start s", "beyond the import s", "memory MB")
    for model, code in IMPORTS.items():
        every = _all(model, folder, [])
        took: dict[str, list[float]] = {s.name: [] for s in every}
        beyond: dict[str, list[float]] = {s.name: [] for s in every}
        memory: dict[str, float] = {}
        _import_s(code)  # the first one reads from the disk
        for _ in range(rounds + 1):
            library = _import_s(code)
            for server in every:
                with _running(server, folder) as one:
                    took[server.name].append(one.start_s)
                    beyond[server.name].append(one.start_s - library)
                    memory[server.name] = _memory_mb(one)
        for name, times in took.items():
            report.row(model, name, f"{statistics.median(times):.2f}",
                       f"{statistics.median(beyond[name]):.2f}", f"{memory[name]:.0f}")  # fmt: skip
        more = statistics.median(beyond[OURS])
        report.aim(f"{model}: ready within 0.5 s of the import", f"{more:.2f} s", more <= 0.5)
        if model == "gb-onnx":
            ready = statistics.median(took[OURS])
            report.aim("gb-onnx: ready in 1 s and 100 MB", f"{ready:.2f} s, {memory[OURS]:.0f} MB",
                       ready <= 1 and memory[OURS] <= 100)  # fmt: skip


def side_by_side(report: Report, folder: Path, names: list[str], rounds: int) -> None:
    """Requests a second and latency, one row a request, at 1, 4 and 32 connections."""
    for model in ("gb-onnx", "gb-sklearn"):
        bare_ms = _bare_ms(model, folder)
        report.say(f"\n{model}, one row a request; the bare call of the model takes "
                   f"{bare_ms:.3f} ms. Requests/s as ratios to the lean app, then p50 / p99 in "
                   "ms:")  # fmt: skip
        found: dict[str, dict[int, list[load.Load]]] = {}
        memory: dict[str, float] = {}
        with contextlib.ExitStack() as stack:
            started = [stack.enter_context(_running(s, folder)) for s in _all(model, folder, names)]
            for one in started:
                memory[one.server.name] = _memory_mb(one)
                load.run(one, 4, 1, folder)
                found[one.server.name] = {c: [] for c in CONNECTIONS}
            for connections in CONNECTIONS:
                for _ in range(rounds):
                    for one in started:
                        cell = load.run(one, connections, CELL_S, folder)
                        found[one.server.name][connections].append(cell)
        report.table("server", *(f"{c} connection{'s' * (c > 1)}" for c in CONNECTIONS))
        for name, by in found.items():
            report.row(name, *(_cell(by[c], found[LEAN][c]) for c in CONNECTIONS))
        others = [one for one in started if one.server.name not in (OURS, LEAN)]
        if others:
            report.say("\nStart to the first prediction, and memory: " + "; ".join(
                f"{one.server.name} {one.start_s:.1f} s, {memory[one.server.name]:.0f} MB"
                for one in others) + ".")  # fmt: skip
        _load_aims(report, model, found, bare_ms)


def _memory_mb(one: servers.Running) -> float:
    """After a hundred predictions."""
    for _ in range(100):
        servers.ask(one.server, one.port)
    return one.pss_mb()


def _cell(cells: list[load.Load], lean: list[load.Load]) -> str:
    bad = sum(c.bad for c in cells)
    return (f"{_ratio(cells, lean):.2f}: {_mid(cells, 'p50_ms'):.2f} / "
            f"{_mid(cells, 'p99_ms'):.1f}" + (f" ({bad} bad)" if bad else ""))  # fmt: skip


def _ratio(cells: list[load.Load], others: list[load.Load]) -> float:
    pairs = zip(cells, others, strict=True)
    return statistics.median(c.per_s / max(o.per_s, 1e-9) for c, o in pairs)


def _load_aims(report: Report, model: str, found: dict[str, dict[int, list[load.Load]]],
               bare_ms: float) -> None:  # fmt: skip
    ours = found[OURS]
    added = _mid(ours[1], "p50_ms") - bare_ms
    report.aim(f"{model}: at most 0.25 ms added at p50, 1 connection", f"{added:.2f} ms",
               added <= 0.25)  # fmt: skip
    least = {c: _ratio(ours[c], found[LEAN][c]) for c in CONNECTIONS}
    worst = min(least, key=lambda c: least[c])
    report.aim(f"{model}: at least 0.85 of the lean app", f"{least[worst]:.2f} at {worst}",
               least[worst] >= 0.85)  # fmt: skip
    others = [name for name in found if name not in (OURS, LEAN)]
    slower = [f"{n} at {c}: {what}" for n in others for c in CONNECTIONS
              for what, behind in (
                  ("requests/s", _ratio(ours[c], found[n][c]) < 1),
                  ("p50", _mid(ours[c], "p50_ms") > _mid(found[n][c], "p50_ms")),
                  ("p99", _mid(ours[c], "p99_ms") > _mid(found[n][c], "p99_ms")),
              ) if behind]  # fmt: skip
    if others:
        report.aim(f"{model}: ahead of each server", "; ".join(slower) or "everywhere", not slower)


def batching(report: Report, folder: Path, names: list[str], rounds: int) -> None:
    """A forest of 200 trees at 32 connections: this server with and without batching, the others
    with theirs.

    The lean app has none: it asks the library for each request. This server asks forests without
    the library's checks, so that what its batching gains is told against both.
    """
    model = "forest-sklearn"
    report.say("\nA forest of 200 trees, 32 connections:")
    report.table("server", "batching", "requests/s", "p50 ms", "p99 ms")
    plain: dict[str, float] = {}
    shared: dict[str, float] = {}
    for server, rates, how in (
        (servers.ours(model, folder, MAX_BATCH_ROWS="1"), plain, "off"),
        (servers.lean(model, folder), plain, "none"),
        (servers.ours(model, folder), shared, "on"),
        *((servers.peer(n, model, folder, BATCH_ROWS), shared, "on")
          for n in names if n != "mlflow"),
    ):  # fmt: skip
        with _running(server, folder) as one:
            load.run(one, 32, 1, folder)
            cells = [load.run(one, 32, FOREST_S, folder) for _ in range(rounds)]
        rates[server.name] = _mid(cells, "per_s")
        report.row(server.name, how, f"{rates[server.name]:.0f}",
                   f"{_mid(cells, 'p50_ms'):.0f}", f"{_mid(cells, 'p99_ms'):.0f}")  # fmt: skip
    ours = shared.pop(OURS)
    for what, rate in (
        ("8 times this server row by row", plain[OURS]),
        ("8 times the library row by row", plain[LEAN]),
    ):
        times = ours / max(rate, 1e-9)
        report.aim(f"forest, batched: {what}", f"{times:.1f}", times >= 8)
    if shared:
        best = max(shared, key=lambda n: shared[n])
        times = ours / max(shared[best], 1e-9)
        report.aim("forest: 1.5 times the best other's batched rate", f"{times:.1f} ({best})",
                   times >= 1.5)  # fmt: skip


def overloaded(report: Report, folder: Path, names: list[str], rounds: int) -> None:
    """More connections than the queue holds: who is served, how fast, and who is told to wait."""
    report.say("\nThe same forest, 200 connections, queue of 32:")
    report.table("server", "served/s", "p50 ms", "p99 ms", "refused (429) with Retry-After")
    model = "forest-sklearn"
    served = {}
    for name, server in {
        "this bundle, batching off": servers.ours(
            model, folder, MAX_BATCH_ROWS="1", QUEUE_SIZE="32"
        ),
        OURS: servers.ours(model, folder, QUEUE_SIZE="32"),
        LEAN: servers.lean(model, folder),
    }.items():
        with _running(server, folder) as one:
            found = asyncio.run(overload.run(one, 200, OVERLOAD_S))
        served[name] = found.served_per_s
        report.row(name, f"{found.served_per_s:.0f}", f"{found.p50_ms:.0f}", f"{found.p99_ms:.0f}",
                   f"{found.refused} ({found.told} told when)")  # fmt: skip
    report.aim("overload: serves no less than the lean app", f"{served[OURS] / served[LEAN]:.1f}",
               served[OURS] >= served[LEAN])  # fmt: skip


def _write(lines: list[str]) -> None:
    text = DOCS.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{DOCS} has lost its marks {BEGIN} and {END}")
    body = "\n".join(lines).strip()
    DOCS.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", "utf-8")


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
