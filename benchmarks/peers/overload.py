"""Closed-loop load that tells refusals from answers, for servers asked for more than they can."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from benchmarks.peers import wire
from benchmarks.peers.servers import Running

BACK_OFF_S = 0.05  # a refused client that came back at once would measure refusals alone


@dataclass(frozen=True)
class Overload:
    """Latencies are those of served requests. `told`: refusals that said when to come back."""

    served_per_s: float
    p50_ms: float
    p99_ms: float
    refused: int
    told: int


async def run(target: Running, connections: int, seconds: float) -> Overload:
    """Keep `connections` connections asking for `seconds`."""
    sent = wire.request(target.server)
    times: list[float] = []
    refused = told = 0
    until = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal refused, told
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        while time.perf_counter() < until:
            started = time.perf_counter()
            head = await wire.exchange(reader, writer, sent, 60)
            if head.startswith(b"http/1.1 200"):
                times.append((time.perf_counter() - started) * 1000)
            elif head.startswith(b"http/1.1 429"):
                refused += 1
                told += b"retry-after:" in head
                await asyncio.sleep(BACK_OFF_S)
            else:
                raise RuntimeError(f"unexpected answer: {head[:60]!r}")
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    times.sort()
    took = time.perf_counter() - began
    return Overload(
        len(times) / took, times[len(times) // 2], times[int(len(times) * 0.99)], refused, told
    )
