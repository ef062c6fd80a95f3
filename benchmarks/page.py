"""The page under load: what a changed answer costs the server, and how many sessions it holds.

Starts the app as a user does and speaks Streamlit's own protocol over its websocket, so that no
browser's time is in the figures. The client shares the machine with the server, which makes them
conservative. Nothing is asked twice: each change is a volume that nobody had before.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

ROOT = Path(__file__).resolve().parents[1]
FIELD = "traffic.requests_per_month"
CHANGES = 30
WHOLE = 5
PATIENCE_S = 0.7  # a viewer who changes the next answer as soon as the verdict is read
WARM_S = 6.0  # what a person takes to open the address
EVERY_S = 10.0  # one change a session
HOLD_S = 30.0
LIMIT_MS = 250.0
STEPS = (10, 25, 50, 75, 100)
_volumes = itertools.count(1)


@dataclass
class Session:
    """One viewer: what the server sent, and the widget whose value is changed."""

    socket: websockets.ClientConnection
    widget: str = ""
    verdict_ms: list[float] = field(default_factory=list)  # to the card with its figures
    whole_ms: list[float] = field(default_factory=list)  # to the end of the run, what-ifs included

    async def run(self, volume: float | None, patience_s: float = 120.0) -> tuple[float, float]:
        """One run of the page; milliseconds to the verdict and to the end.

        After `patience_s` the viewer goes on: the what-ifs that are still on their way are left to
        be given up by the next run, as in a browser.
        """
        message = BackMsg()
        message.rerun_script.query_string = ""
        if volume is not None:
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.double_value = self.widget, volume
        started = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        verdict, begun = 0.0, False
        while True:
            left = 120.0 if not verdict else patience_s - (time.perf_counter() - started)
            try:
                data = await asyncio.wait_for(self.socket.recv(), max(left, 0.01))
            except TimeoutError:
                if not verdict:
                    raise
                return verdict, (time.perf_counter() - started) * 1000
            got = ForwardMsg()
            got.ParseFromString(data if isinstance(data, bytes) else data.encode())
            kind = got.WhichOneof("type")
            if kind == "new_session":
                begun = True  # what came before belongs to the run before
            elif kind == "delta" and begun:
                element = got.delta.new_element
                if FIELD in element.number_input.id:
                    self.widget = element.number_input.id
                # The buttons of the card come after all its figures.
                if "try_here" in element.button.id:
                    verdict = (time.perf_counter() - started) * 1000
            elif kind == "script_finished" and begun:
                return verdict, (time.perf_counter() - started) * 1000

    async def change(self, patience_s: float = 120.0) -> None:
        verdict, whole = await self.run(2e7 + 1000.0 * next(_volumes), patience_s)
        self.verdict_ms.append(verdict)
        self.whole_ms.append(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=100, help="sessions at once, at most")
    arguments = parser.parse_args()
    for warm in (False, True):
        _measured(arguments.most, warm)


def _measured(most: int, warm: bool) -> None:
    with tempfile.TemporaryDirectory() as home:
        port = _free_port()
        process = _start(Path(home), port)
        try:
            asyncio.run(_measure(port, process, most, warm))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _measure(port: int, process: subprocess.Popen[bytes], most: int, warm: bool) -> None:
    _await_up(port, process)
    print(f"{'server up, nobody there':<44} {_rss_mb(process)}")
    if warm:
        await asyncio.sleep(WARM_S)
        print(f"{f'the same, {WARM_S:g} s later':<44} {_rss_mb(process)}")
    async with _session(port) as first:
        verdict, whole = await first.run(None)
        row = f"{verdict:8.0f} ms to the verdict, {whole:.0f} to its end"
        when = (
            f"first page load, {WARM_S:g} s after the start" if warm else "first page load, at once"
        )
        print(f"{when:<44} {row}")
        if not warm:
            return
        before = _cpu_s(process)
        for _ in range(CHANGES):
            await first.change(PATIENCE_S)
        cpu_ms = (_cpu_s(process) - before) / CHANGES * 1000
        print(_row("one changed answer, to the verdict", first.verdict_ms))
        print(f"{'the same, processor time of the server':<44} {cpu_ms:8.0f} ms mean")
        first.whole_ms.clear()
        for _ in range(WHOLE):
            await first.change()
        print(_row("one changed answer, to the last what-if", first.whole_ms))
    async with _session(port) as second:
        verdict, whole = await second.run(None)
        row = f"{verdict:8.0f} ms to the verdict, {whole:.0f} to its end"
        print(f"{'page load of a warm server':<44} {row}")
    print(f"{'after that':<44} {_rss_mb(process)}")
    held = 0
    for count in (n for n in STEPS if n <= most):
        times, asked = await _hold(port, count)
        slow = _percentile(times, 95)
        print(
            f"{count:>4} sessions, one change each {EVERY_S:g} s: {asked:>4} changes, "
            f"p50 {statistics.median(times):7.0f} ms, p95 {slow:7.0f} ms to the verdict   "
            f"{_rss_mb(process)}"
        )
        if slow > LIMIT_MS:
            break
        held = count
    if most >= STEPS[0]:
        print(f"sessions held with p95 under {LIMIT_MS:g} ms: {held}")


async def _hold(port: int, count: int) -> tuple[list[float], int]:
    """`count` sessions for a while, each changing an answer every EVERY_S, at times of its own."""
    chance = random.Random(7)
    async with _many(port, count) as sessions:
        for session in sessions:
            await session.run(None)
            session.verdict_ms.clear()

        async def use(session: Session, wait: float) -> None:
            end = time.monotonic() + HOLD_S
            await asyncio.sleep(wait)
            while time.monotonic() < end:
                began = time.monotonic()
                await session.change(EVERY_S)
                await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))

        await asyncio.gather(*(use(s, chance.uniform(0, EVERY_S)) for s in sessions))
        times = [t for s in sessions for t in s.verdict_ms]
    return times, len(times)


@asynccontextmanager
async def _many(port: int, count: int) -> AsyncIterator[list[Session]]:
    sockets = [await _connect(port) for _ in range(count)]
    try:
        yield [Session(s) for s in sockets]
    finally:
        for s in sockets:
            await s.close()


@asynccontextmanager
async def _session(port: int) -> AsyncIterator[Session]:
    async with _many(port, 1) as sessions:
        yield sessions[0]


async def _connect(port: int) -> websockets.ClientConnection:
    return await websockets.connect(
        f"ws://127.0.0.1:{port}/_stcore/stream",
        subprotocols=[websockets.Subprotocol("streamlit")],
        origin=websockets.Origin(f"http://127.0.0.1:{port}"),
        max_size=None,
        proxy=None,
        ping_interval=None,
    )


def _start(home: Path, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            str(Path(sys.executable).parent / "streamlit"), "run", "streamlit_app.py",
            "--server.port", str(port), "--logger.level", "error",
        ],
        cwd=ROOT,
        env=os.environ | {"ADVISOR_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _await_up(port: int, process: subprocess.Popen[bytes]) -> None:
    opener = build_opener(ProxyHandler({}))
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if opener.open(f"http://127.0.0.1:{port}/healthz", timeout=2).status == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the app did not start within a minute")


def _rss_mb(process: subprocess.Popen[bytes]) -> str:
    """Memory of the server and, apart, of its workers."""
    server = psutil.Process(process.pid)
    workers = [p.memory_info().rss / 1e6 for p in server.children(recursive=True) if p.is_running()]
    busy = [mb for mb in workers if mb > 30]
    return f"{server.memory_info().rss / 1e6:6.0f} MB server" + (
        f" + {sum(busy):.0f} MB in {len(busy)} workers" if busy else ""
    )


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Processor time of the server itself, without its workers: it does not grow on a busy machine
    as the clock does."""
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def _row(name: str, times: list[float]) -> str:
    return (
        f"{name:<44} {statistics.median(times):8.0f} ms p50 {_percentile(times, 95):8.0f} ms p95 "
        f"of {len(times)}"
    )


def _percentile(times: list[float], percent: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
