"""Predicted against measured response times of the real server: a table of docs/method.md.

nice -n -15 python -m benchmarks.prediction --write    all of it, under five minutes
python -m benchmarks.prediction --quick                one model, half a minute
python -m benchmarks.prediction --batching             the server as it is deployed, batches and all

Three models behind the bundle's own server, one worker and two, at four utilisations. Each endpoint
is calibrated with nobody waiting (`deploy/loadtest/calibrate.py`), the sizing's formula says the
95th percentile from that, and open-loop Poisson arrivals measure it. Batching is off, because the
sizing counts on none.

With one worker the server has the first processor to itself and the sender the second; with two the
server has both, and the sender takes what it needs from them, before it. A negative nice value is
also given to the sessions of server and sender where the system groups processes by session, for
there it would be of no effect otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numpy as np
import psutil

from deploy.artifact import Artifact, inspect
from deploy.bundle.pack import pack
from deploy.loadtest.calibrate import server_of
from deploy.loadtest.found import LoadTest, Point
from deploy.loadtest.roads import PREDICT, Road
from deploy.loadtest.run import run
from deploy.machine_speed import processor, usable_cores
from deploy.targets import local_process

REAL_TIME = "--real-time"
MOST_URGENT = -20
UTILISATION = (0.3, 0.5, 0.7, 0.85)
WORKERS = (1, 2)
SECONDS = 6.0
AGAIN_S = 1.0  # of calibration before each rate
WIDE = 10_000  # 2,000 x 10,000 weights of four bytes: 80 MB are read for one row
METHOD = Path(__file__).resolve().parents[1] / "docs" / "method.md"
BEGIN, END = "<!-- prediction: begin -->", "<!-- prediction: end -->"
HEAD = (
    "| model | workers | use | requests/s | measured p95, ms | predicted | error | interval "
    "| drift | error without drift |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="one model with one worker")
    parser.add_argument("--only", choices=MODELS, help="one model", metavar="MODEL")
    parser.add_argument("--batching", action="store_true", help="let the server batch")
    parser.add_argument("--write", action="store_true", help=f"put the table into {METHOD.name}")
    parser.add_argument(
        REAL_TIME, action="store_true", help="before all other work, which is held up meanwhile"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="at each rate")
    arguments = parser.parse_args()
    # Ended from outside, it still stops the server that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    began = time.monotonic()
    lines, points, others = [], [], []
    _as_urgent(os.getpid())
    with tempfile.TemporaryDirectory(prefix="prediction-") as folder:
        for name, make in list(MODELS.items())[: 1 if arguments.quick else None]:
            if arguments.only not in (None, name):
                continue
            artifact = inspect(make(Path(folder)))
            for workers in WORKERS[: 1 if arguments.quick else None]:
                found, share = measured(
                    artifact, workers, Path(folder), arguments.seconds, arguments.batching
                )
                others.append(share)
                points += found.points
                for point in found.points:
                    lines.append(_row(name, workers, found, point))
                    print(lines[-1], flush=True)
    said = summary(points, max(others), time.monotonic() - began)
    print(f"\n{said}")
    if arguments.write:
        write("\n".join([HEAD, *lines, "", said]))
        print(f"Written into {METHOD.name}.")
    return 0


def measured(
    artifact: Artifact, workers: int, folder: Path, seconds: float, batching: bool
) -> tuple[LoadTest, float]:
    """(the load test, the largest share of the processors that others took meanwhile)."""
    settings = {"WORKERS": str(workers)} | ({} if batching else {"MAX_BATCH_ROWS": "1"})
    body = artifact.example_request()
    if body is None:
        raise SystemExit(f"{artifact.path.name} does not say what a row looks like")
    with served(artifact, folder / f"{artifact.path.stem}-{workers}", settings) as (pid, url, log):
        behind = server_of(pid, log)
        alone = behind.inline or workers == 1
        if alone and usable_cores() > 1 and hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            _each_thread(pid, lambda thread: os.sched_setaffinity(thread, cores[:1]))
        else:
            cores = None
        before, ours = psutil.cpu_times(), _ours(pid)
        found = run(
            Road(kind="http", shown=artifact.path.name, url=url + PREDICT),
            [(body.decode(), "application/json")],
            behind,
            rates=None,
            utilisation=UTILISATION,
            seconds=seconds,
            processors=cores[1:] if cores else None,
            again_s=AGAIN_S,
            started=lambda sender: _as_urgent(sender, first=True),
        )
        after = psutil.cpu_times()
        idle = after.idle + after.iowait - before.idle - before.iowait
        total = sum(after[:8]) - sum(before[:8])
        own = _ours(pid) - ours
    return found, max(0.0, 1 - (idle + own) / total)


@contextmanager
def served(
    artifact: Artifact, folder: Path, settings: dict[str, str]
) -> Iterator[tuple[int, str, Path]]:
    """(process id, address, log) of the bundle's server; stopped at the end."""
    folder.mkdir()
    bundle = pack(artifact, folder / "bundle", variant="http")
    log, port = folder / "server.log", local_process.free_port()
    child = local_process.start(bundle.path, port, log, folder, settings=settings)
    try:
        _as_urgent(child.pid)
        server = local_process.Server(
            pid=child.pid, identity=local_process.identity(child.pid) or "", port=port,
            bundle=bundle.path.name, bundle_hash=bundle.hash, model_digest=artifact.digest,
            started_at=datetime.now(UTC).isoformat(),
        )  # fmt: skip
        local_process.wait_ready(server, limit_s=120, log=log, tell=lambda _s: None)
        yield child.pid, server.endpoint, log
    finally:
        child.terminate()
        child.wait(30)


def summary(points: list[Point], others: float, took_s: float) -> str:
    """What the table says, in words, with what disturbed it."""
    errors = [abs(p.error) for p in points if p.counts and p.steady and p.error is not None]
    left = [
        abs(p.error_with_drift)
        for p in points
        if p.counts and p.steady and p.error_with_drift is not None
    ]
    above = [p for p in points if p.counts and not p.steady]
    inside = sum(1 for p in above if p.inside)
    void = sum(1 for p in points if not p.counts)
    parts = [f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {usable_cores()} processors."]
    if errors:
        within = sum(1 for e in errors if e <= 0.2)
        parts.append(
            f"Up to 70 % use {within} of {len(errors)} predictions are within 20 % (median "
            f"{np.median(errors):.0%}, largest {max(errors):.0%})."
        )
    if left:
        parts.append(
            f"With the processor time that requests took in the test itself, "
            f"{sum(1 for e in left if e <= 0.2)} of {len(left)} (median {np.median(left):.0%}, "
            f"largest {max(left):.0%})."
        )
    if above:
        parts.append(f"Above, {inside} of {len(above)} measurements lie inside the interval.")
    if void:
        parts.append(f"{void} rates do not count: the sender was late, or answers too few.")
    parts.append(f"Other work took up to {others:.0%} of the processors; {took_s:.0f} s in all.")
    return " ".join(parts)


def write(table: str) -> None:
    text = METHOD.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not rest or not tail:
        raise SystemExit(f"{METHOD.name} has no {BEGIN} and {END}")
    METHOD.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")


def _row(name: str, workers: int, found: LoadTest, point: Point) -> str:
    at = point.predicted
    c = found.calibration
    held = f"{workers}" if c.workers == workers else f"{workers} (one event loop)"
    mark = "" if point.counts else " (does not count)"
    return (
        f"| {name}, {c.service_ms:.3g} ms, cv {c.service_cv:.2f} | {held} | {at.utilisation:.0%} | "
        f"{point.rate_per_s:.3g} | {_ms(point.p95_ms)}{mark} | {_ms(at.p95_ms)} | "
        f"{'–' if point.error is None else f'{point.error:+.0%}'} | "
        f"{_ms(at.low_ms)} to {_ms(at.high_ms)} | {_ms(point.drift)} | "
        f"{'–' if point.error_with_drift is None else f'{point.error_with_drift:+.0%}'} |"
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _fast(folder: Path) -> Path:
    from sklearn.ensemble import GradientBoostingClassifier

    rows, labels = _data()
    model = GradientBoostingClassifier(n_estimators=100, random_state=0).fit(rows, labels)
    return _saved(model, folder / "boosting.joblib")


def _forest(folder: Path) -> Path:
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = _data()
    model = RandomForestClassifier(n_estimators=150, max_depth=10, random_state=0)
    return _saved(model.fit(rows, labels), folder / "forest.joblib")


def _wide(folder: Path) -> Path:
    """Two matrix products of one row: every weight is read from memory and used once."""
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(0)
    weights = {
        "a": random.normal(size=(30, 2000)).astype(np.float32),
        "b": random.normal(size=(2000, WIDE)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("MatMul", ["h", "b"], ["g"]),
        helper.make_node("ReduceMax", ["g"], ["y"], axes=[1], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes, "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 30])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(w, n) for n, w in weights.items()],
    )  # fmt: skip
    path = folder / "wide.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def _data() -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(0).normal(size=(2000, 30)).astype(np.float32)
    return rows, (rows[:, :5].sum(axis=1) > 0).astype(int)


def _saved(model: object, path: Path) -> Path:
    joblib.dump(model, path)
    return path


def _as_urgent(pid: int, *, first: bool = False) -> None:
    """The session of this process as urgent as this program; of no effect without the right.

    `first`: before the others, because a sender that waits for them measures itself.
    """
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    if nice < 0 and sys.platform == "linux":
        with contextlib.suppress(OSError):  # no groups by session here: nice alone does it
            Path(f"/proc/{pid}/autogroup").write_text(str(MOST_URGENT if first else nice))
            if first:
                os.setpriority(os.PRIO_PROCESS, pid, MOST_URGENT)
    if REAL_TIME in sys.argv and pid != os.getpid():
        _each_thread(
            pid,
            # Threads that it starts later are as urgent.
            lambda thread: os.sched_setscheduler(
                thread, os.SCHED_RR, os.sched_param(2 if first else 1)
            ),
        )


def _each_thread(pid: int, do: Callable[[int], None]) -> None:
    for thread in psutil.Process(pid).threads():
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            do(thread.id)


def _ours(server: int) -> float:
    """Processor seconds of the server, of this process and of its ended children (the sender)."""
    times = psutil.Process(server).cpu_times()
    own = os.times()
    return float(times.user + times.system + sum(own[:4]))


MODELS = {"gradient boosting": _fast, "random forest": _forest, "80 MB of weights": _wide}


if __name__ == "__main__":
    sys.exit(main())
