"""Predicted against measured response times of the real server: a table of docs/method.md.

nice -n -15 python -m benchmarks.prediction --real-time --write    all of it, 15 to 25 minutes
python -m benchmarks.prediction --quick       one model with one worker, a minute
python -m benchmarks.prediction --batching    the server as it is deployed, batches and all

Three models behind the bundle's own server, one worker and two, at four utilisations. Each endpoint
is calibrated with nobody waiting (`deploy/loadtest/calibrate.py`), the sizing's formula says the
95th percentile from that, and open-loop Poisson arrivals measure it. Batching is off, because the
sizing counts on none. Each line is the one of three tests whose error is the middle one; the range is
of all three. A test that something else disturbed is made again, up to five in all for a line; what
counts as disturbed is told by processor times, the host and the sender, never by response times.

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
import timeit
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import joblib
import numpy as np
import onnxruntime
import psutil
from onnx import TensorProto, helper, numpy_helper, save

from deploy.artifact import Artifact, inspect
from deploy.bundle.pack import pack
from deploy.loadtest.calibrate import server_of
from deploy.loadtest.found import LoadTest, Point
from deploy.loadtest.roads import PREDICT, Road
from deploy.loadtest.run import run
from deploy.machine_speed import processor, usable_cores
from deploy.targets import local_process

REAL_TIME = "--real-time"
RT_RUNTIME = Path("/proc/sys/kernel/sched_rt_runtime_us")
MOST_URGENT = -20
UTILISATION = (0.3, 0.5, 0.7, 0.85)
WORKERS = (1, 2)
SECONDS = 5.0
REPEATS = 3
AGAIN_S = 1.5  # of calibration before each rate
# A test is made again when its conditions were not those of its calibration; so often for a line.
AGAIN = 2
MOST_STOLEN = 0.01  # of the server's processors, by the host
MOST_DRIFT = 0.07  # of a request's processor time, between calibration and test
MOST_UNSTEADY = 0.08  # of the same, within the test
CONVOLUTIONS, CHANNELS = 14, 80  # so many layers are timed first
IMAGE_MS = 20.0
WIDE = 10_000  # 2,000 x 10,000 weights of four bytes: 80 MB are read for one row
METHOD = Path(__file__).resolve().parents[1] / "docs" / "method.md"
BEGIN, END = "<!-- prediction: begin -->", "<!-- prediction: end -->"
HEAD = (
    "| model | workers | use | requests/s | measured p95, ms | predicted | error | interval "
    "| drift | error without drift | host | tries |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
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
    parser.add_argument(
        "--rest", type=float, default=0, metavar="SECONDS", help="after each test, for other work"
    )
    parser.add_argument("--workers", type=int, choices=WORKERS, help="only with so many")
    parser.add_argument("--use", type=float, nargs="+", default=UTILISATION, metavar="SHARE")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="tests a line (odd)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="at each rate")
    arguments = parser.parse_args()
    # Ended from outside, it still stops the server that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    began = time.monotonic()
    lines: list[str] = []
    rates: list[Rate] = []
    _as_urgent(os.getpid())
    with unhalted(), tempfile.TemporaryDirectory(prefix="prediction-") as folder:
        for name, make in list(MODELS.items())[: 1 if arguments.quick else None]:
            if arguments.only not in (None, name):
                continue
            artifact = inspect(make(Path(folder)))
            for workers in WORKERS[: 1 if arguments.quick else None]:
                if arguments.workers not in (None, workers):
                    continue
                for rate in measured(artifact, workers, Path(folder), arguments):
                    rates.append(rate)
                    lines.append(_row(name, workers, rate))
                    print(lines[-1], flush=True)
    said = summary(rates, time.monotonic() - began)
    print(f"\n{said}")
    if arguments.write:
        write("\n".join([HEAD, *lines, "", said]))
        print(f"Written into {METHOD.name}.")
    return 0


@dataclass(frozen=True)
class Rate:
    """One line of the table, and the conditions of its last try."""

    found: LoadTest
    tries: int
    stolen: float  # share of the server's processors that the host gave to other machines
    others: float  # share of all processors that other work here took
    errors: tuple[float, ...] = ()  # of all tests of this line, from the lowest
    drifts: tuple[float, ...] = ()  # of every try

    @property
    def point(self) -> Point:
        return self.found.points[0]

    @property
    def is_disturbed(self) -> bool:
        """Whether test and calibration were under other conditions. The response times that are
        compared have no part in it: only the host, the sender and the time a request took."""
        drift = self.point.drift
        return (
            not self.point.counts
            or self.stolen > MOST_STOLEN
            or (drift is not None and abs(drift - 1) > MOST_DRIFT)
            or (self.point.unsteady or 0.0) > MOST_UNSTEADY
        )


def measured(
    artifact: Artifact, workers: int, folder: Path, arguments: argparse.Namespace
) -> Iterator[Rate]:
    """Every utilisation in turn: tests until so many as asked for were not disturbed, at most
    `AGAIN` more."""
    settings = {"WORKERS": str(workers)} | ({} if arguments.batching else {"MAX_BATCH_ROWS": "1"})
    body = artifact.example_request()
    if body is None:
        raise SystemExit(f"{artifact.path.name} does not say what a row looks like")
    with served(artifact, folder / f"{artifact.path.stem}-{workers}", settings) as (pid, url, log):
        behind = server_of(pid, log)
        alone = not behind.copies and (behind.inline or behind.workers == 1)
        cores = list(range(usable_cores()))
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
        pinned = alone and len(cores) > 1 and hasattr(os, "sched_setaffinity")
        if pinned:
            each_thread(pid, lambda thread: os.sched_setaffinity(thread, cores[:1]))
        held = [0] if pinned else list(range(len(psutil.cpu_times(percpu=True))))

        def once(utilisation: float, tried: int, seed: int) -> Rate:
            before, ours = psutil.cpu_times(percpu=True), _ours(pid)
            found = run(
                Road(kind="http", shown=artifact.path.name, url=url + PREDICT),
                [(body.decode(), "application/json")],
                behind,
                rates=None,
                utilisation=[utilisation],
                seconds=arguments.seconds,
                processors=cores[1:] if pinned else None,
                again_s=AGAIN_S,
                started=lambda sender: _as_urgent(sender, first=True),
                seed=seed,
            )
            after = psutil.cpu_times(percpu=True)
            time.sleep(arguments.rest)
            return Rate(
                found, tried, _stolen(before, after, held),
                _others(before, after, _ours(pid) - ours),
            )  # fmt: skip

        _each_works(url + PREDICT, body, workers)
        _loop_first(pid)
        began = time.monotonic()
        for i, utilisation in enumerate(arguments.use):
            rates: list[Rate] = []
            for tried in range(1, arguments.repeats + AGAIN + 1):
                rates.append(once(utilisation, tried, 100 * i + tried))
                print(_test(rates[-1], began), file=sys.stderr, flush=True)
                if sum(not rate.is_disturbed for rate in rates) == arguments.repeats:
                    break
            yield _middle(rates, arguments.repeats)


def _middle(rates: list[Rate], wanted: int) -> Rate:
    """The one with the middle error of those that nothing disturbed, with the disturbed ones in the
    order in which they were made where these are too few."""
    counting = [r for r in rates if r.point.counts and r.point.error is not None]
    drifts = tuple(r.point.drift for r in rates if r.point.drift is not None)
    if not counting:
        return replace(rates[-1], tries=len(rates), drifts=drifts)
    chosen = sorted(counting, key=lambda r: r.is_disturbed)[:wanted]
    ranked = sorted(chosen, key=lambda r: r.point.error or 0.0)
    middle = ranked[len(ranked) // 2]
    errors = tuple(r.point.error or 0.0 for r in ranked)
    return replace(middle, tries=len(rates), errors=errors, drifts=drifts)


def _each_works(url: str, body: bytes, workers: int) -> None:
    """Have every worker answer once: threads begin with their first request."""
    asked = Request(url, body, {"Content-Type": "application/json"})
    with ThreadPoolExecutor(2 * workers) as pool:
        for answer in pool.map(lambda _: urlopen(asked, timeout=60), range(16 * workers)):
            answer.close()


def _stolen(before: list[Any], after: list[Any], held: list[int]) -> float:
    """The host's share of these processors; 0 where the system does not tell."""
    took = sum(getattr(after[k], "steal", 0) - getattr(before[k], "steal", 0) for k in held)
    return float(took / sum(sum(after[k][:8]) - sum(before[k][:8]) for k in held))


def _others(before: list[Any], after: list[Any], own: float) -> float:
    idle = sum(a.idle + a.iowait - b.idle - b.iowait for a, b in zip(after, before, strict=True))
    total = sum(sum(a[:8]) - sum(b[:8]) for a, b in zip(after, before, strict=True))
    return max(0.0, 1 - float((idle + own) / total))


@contextmanager
def served(
    artifact: Artifact, folder: Path, settings: dict[str, str]
) -> Iterator[tuple[int, str, Path]]:
    """(process id, address, log) of the bundle's server; stopped at the end."""
    folder.mkdir()
    bundle = pack(artifact, folder / "bundle", variant="http")
    log, port = folder / "server.log", local_process.free_port()
    settings = settings | {"END_WITH_PID": str(os.getpid())}
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


def summary(rates: list[Rate], took_s: float) -> str:
    """What the table says, in words, with what disturbed it."""
    clean = [r.point for r in rates if not r.is_disturbed]
    spoiled = [r.point for r in rates if r.is_disturbed and r.point.counts]
    parts = [f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {usable_cores()} processors."]
    parts += _held("Up to 70 % use", [p.error for p in clean if p.steady])
    above = [p for p in clean if not p.steady]
    if above:
        inside = sum(1 for p in above if p.inside)
        parts.append(f"Above, {inside} of {len(above)} measurements lie inside the interval.")
    parts += _held(
        "Of the disturbed ones (*) up to 70 % use", [p.error for p in spoiled if p.steady]
    )
    parts += _held(
        "With the processor time that requests took in the test itself",
        [p.error_with_drift for p in [*clean, *spoiled] if p.steady],
    )
    void = sum(1 for r in rates if not r.point.counts)
    if void:
        parts.append(f"{void} rates do not count: the sender was late, or answers too few.")
    drifts = [d for r in rates for d in r.drifts]
    if drifts:
        low, high = np.percentile(drifts, [2.5, 97.5])
        parts.append(
            "Between calibration and test the processor time of a request moved by "
            f"{low - 1:+.0%} to {high - 1:+.0%} in 95 % of the tests."
        )
    parts.append(
        f"Other work took up to {max(r.others for r in rates):.0%} of the processors, the host up "
        f"to {max(r.stolen for r in rates):.1%} of the server's; "
        f"{sum(r.tries for r in rates)} tests for {len(rates)} lines, {took_s:.0f} s in all."
    )
    return " ".join(parts)


def _held(which: str, errors: list[float | None]) -> list[str]:
    sizes = [abs(e) for e in errors if e is not None]
    if not sizes:
        return []
    within = sum(1 for e in sizes if e <= 0.2)
    return [
        f"{which} {within} of {len(sizes)} predictions are within 20 % (median "
        f"{np.median(sizes):.0%}, largest {max(sizes):.0%})."
    ]


def write(table: str) -> None:
    text = METHOD.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not rest or not tail:
        raise SystemExit(f"{METHOD.name} has no {BEGIN} and {END}")
    METHOD.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")


def _row(name: str, workers: int, rate: Rate) -> str:
    point, c = rate.point, rate.found.calibration
    at = point.predicted
    held = f"{workers}" if c.workers == workers else f"{workers} ({c.workers} worth it)"
    mark = "" if not rate.is_disturbed else "*" if point.counts else " (does not count)"
    return (
        f"| {name}, {c.service_ms:.3g} ms, cv {c.service_cv:.2f} | {held} | {at.utilisation:.0%} | "
        f"{point.rate_per_s:.3g} | {_ms(point.p95_ms)}{mark} | {_ms(at.p95_ms)} | "
        f"{'–' if point.error is None else f'{point.error:+.0%}'}{_range(rate.errors)} | "
        f"{_ms(at.low_ms)} to {_ms(at.high_ms)} | {_ms(point.drift)}"
        f"{'' if point.unsteady is None else f' ±{point.unsteady:.0%}'} | "
        f"{'–' if point.error_with_drift is None else f'{point.error_with_drift:+.0%}'} | "
        f"{rate.stolen:.1%} | {rate.tries} |"
    )


def _test(rate: Rate, began: float) -> str:
    """One test in a line, for who waits."""
    point = rate.point
    return (
        f"{time.monotonic() - began:5.0f} s: {point.predicted.utilisation:.0%} use, p95 "
        f"{_ms(point.p95_ms)} ms, predicted {_ms(point.predicted.p95_ms)} ms, drift "
        f"{_ms(point.drift)} ±{point.unsteady or 0:.0%}, host {rate.stolen:.1%}, others "
        f"{rate.others:.0%}{', disturbed' if rate.is_disturbed else ''}"
    )


def _range(errors: tuple[float, ...]) -> str:
    return f" ({errors[0]:+.0%} to {errors[-1]:+.0%})" if len(errors) > 1 else ""


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _tabular(folder: Path) -> Path:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, labels = _data()
    forest = RandomForestClassifier(n_estimators=400, max_depth=10, random_state=0)
    model = make_pipeline(SimpleImputer(), StandardScaler(), forest).fit(rows, labels)
    return _saved(model, folder / "tabular.joblib")


def _image(folder: Path) -> Path:
    """A small convolutional network on pictures of 32 x 32, much work on few weights, with as many
    layers as take about `IMAGE_MS` here."""
    took_ms = _one_ms(_convolutions(folder, CONVOLUTIONS))
    return _convolutions(folder, max(1, round(CONVOLUTIONS * IMAGE_MS / took_ms)))


def _one_ms(model: Path) -> float:
    """What a picture takes on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    picture = {"x": np.zeros((1, 3, 32, 32), dtype=np.float32)}
    times = timeit.repeat(lambda: session.run(None, picture), number=1, repeat=30)
    return float(np.median(times)) * 1000


def _convolutions(folder: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    weights, nodes, channels, last = [], [], 3, "x"
    for i in range(count):
        kernel = random.normal(0, (2 / (9 * channels)) ** 0.5, (CHANNELS, channels, 3, 3))
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{i}"))
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        channels, last = CHANNELS, f"r{i}"
    nodes.append(helper.make_node("ReduceMean", [last], ["y"], axes=[1, 2, 3], keepdims=0))
    return _graph(folder / "image.onnx", nodes, weights, [3, 32, 32], [])


def _wide(folder: Path) -> Path:
    """Two matrix products of one row: every weight is read from memory and used once."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
        for name, shape in (("a", (30, 2000)), ("b", (2000, WIDE)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("MatMul", ["h", "b"], ["g"]),
        helper.make_node("ReduceMax", ["g"], ["y"], axes=[1], keepdims=1),
    ]
    return _graph(folder / "wide.onnx", nodes, weights, [30], [1])


def _graph(
    path: Path, nodes: list[Any], weights: list[Any], row: list[int], answer: list[int]
) -> Path:
    """An ONNX model from `x` to `y`, both of any number of rows."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, *shape])
        for name, shape in (("x", row), ("y", answer))
    ]
    graph = helper.make_graph(nodes, path.stem, ends[:1], ends[1:], weights)
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
        each_thread(
            pid,
            # Threads that it starts later are as urgent.
            lambda thread: os.sched_setscheduler(
                thread, os.SCHED_RR, os.sched_param(3 if first else 1)
            ),
        )


@contextmanager
def unhalted() -> Iterator[None]:
    """Real-time work without the kernel's halts of 50 ms in each second that it fills: in those a
    queue forms that no test of the same server without real-time priority would see. As before at
    the end; after a kill, `sysctl kernel.sched_rt_runtime_us=950000` is what Linux starts with."""
    if REAL_TIME not in sys.argv or not RT_RUNTIME.exists():
        yield
        return
    before = RT_RUNTIME.read_text()
    try:
        RT_RUNTIME.write_text("-1")
    except OSError as refused:
        print(f"The kernel's halts of real-time work stay: {refused}", file=sys.stderr)
        yield
        return
    try:
        yield
    finally:
        RT_RUNTIME.write_text(before)


def _loop_first(pid: int) -> None:
    """The server's loop before the threads and processes that predict for it: among equals in real
    time nobody is interrupted, and it would wait for a whole call of theirs to hand over the next.
    An ordinary scheduler lets who mostly sleeps go first."""
    if REAL_TIME in sys.argv:
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(pid, policy, os.sched_param(2))


def each_thread(pid: int, do: Callable[[int], None]) -> None:
    for thread in psutil.Process(pid).threads():
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            do(thread.id)


def _ours(server: int) -> float:
    """Processor seconds of the server with its workers, of this process and of its ended children
    (the sender)."""
    process, own = psutil.Process(server), os.times()
    times = [one.cpu_times() for one in (process, *process.children())]
    return float(sum(t.user + t.system for t in times) + sum(own[:4]))


MODELS = {"tabular pipeline": _tabular, "convolutions": _image, "80 MB of weights": _wide}


if __name__ == "__main__":
    sys.exit(main())
