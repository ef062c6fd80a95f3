"""Closed-loop load: wrk where it is installed, else plain asyncio, and then it says so."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import wire
from benchmarks.peers.servers import Running

# wrk prints no percentiles for machines; this does, in microseconds.
SCRIPT = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = io.open("BODY", "rb"):read("*a")
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.timeout
    + summary.errors.read + summary.errors.write
  io.write(string.format('RESULT {"requests":%d,"duration_us":%d,"p50":%d,"p99":%d,"bad":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), bad))
end
"""


@dataclass(frozen=True)
class Load:
    """One cell. `bad`: answers that were no prediction."""

    per_s: float
    p50_ms: float
    p99_ms: float
    bad: int


def tool() -> str:
    return (
        "wrk"
        if shutil.which("wrk")
        else "asyncio client (wrk is not installed; its own work counts)"
    )


def run(target: Running, connections: int, seconds: float, folder: Path, rows: int = 1) -> Load:
    """Keep `connections` connections busy for `seconds`."""
    if not shutil.which("wrk"):
        return asyncio.run(_asyncio(target, connections, seconds, rows))
    name = f"{target.port}-{rows}"
    body, script = folder / f"{name}.json", folder / f"{name}.lua"
    body.write_bytes(target.server.body(rows))
    script.write_text(SCRIPT.replace("BODY", str(body)))
    found = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s",
         str(script), f"http://127.0.0.1:{target.port}{target.server.path}"],
        capture_output=True, text=True, check=True, timeout=seconds + 30,
    )  # fmt: skip
    line = next(v for v in found.stdout.splitlines() if v.startswith("RESULT "))
    said = json.loads(line[7:])
    per_s = (said["requests"] - said["bad"]) / said["duration_us"] * 1e6
    return Load(max(per_s, 0.0), said["p50"] / 1000, said["p99"] / 1000, said["bad"])


async def _asyncio(target: Running, connections: int, seconds: float, rows: int) -> Load:
    sent = wire.request(target.server, rows)
    times: list[float] = []
    bad = 0
    # Connected before the clock starts: on a busy machine connecting can take the whole second.
    lines = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(connections)]
    until = time.perf_counter() + seconds

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal bad
        while time.perf_counter() < until:
            started = time.perf_counter()
            head = await wire.exchange(reader, writer, sent, 10)
            if head.startswith(b"http/1.1 200"):
                times.append((time.perf_counter() - started) * 1000)
            else:
                bad += 1
        writer.close()

    await asyncio.gather(*(one(*line) for line in lines))
    times.sort()

    def at(share: float) -> float:
        if not times:  # all answers were bad, which is told beside
            return math.inf
        return times[min(int(share * len(times)), len(times) - 1)]

    return Load(len(times) / seconds, at(0.5), at(0.99), bad)
