"""Sends the requests of a load test, in a process of its own: `python -m deploy.loadtest.generator`.

Reads one job a line from stdin and answers each with one line on stdout; the first line says how to
reach the endpoint. Jobs: {"do": "ping"}, {"do": "closed"} and {"do": "open"}. SIGTERM ends the job
under way, which is answered with what there is. A request's latency counts from when it was meant
to be sent, so that a late sender or a blocked connection hides nothing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from deploy.loadtest.roads import Road, Way, way

START_DELAY_S = 0.3
SLEEP_MARGIN_S = 0.0002
SWITCH_S = (
    0.0002  # the clock's thread waits so long at most for the loop's, not Python's usual 5 ms
)
NOT_SENT = "not sent"


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the parent's business
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=_quick_loop()) as runner:
        runner.run(_serve())


def _quick_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, with which a request costs two thirds, where it exists (not for Windows)."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    first = json.loads(await _line(loop) or "{}")
    if first.get("processors") and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, first["processors"])
    road = Road.model_validate(first["road"])
    bodies = [(b.encode(), kind) for b, kind in first["bodies"]]
    async with way(road, first["timeout_s"], first["most_in_flight"]) as reach:
        generator = _Generator(reach, bodies, int(first["most_in_flight"]), stop)
        while line := await _line(loop):
            job = json.loads(line)
            gc.collect()
            gc.disable()  # a collection in mid-test would be a pause of ours
            answer = await generator.do(job)
            gc.enable()
            print(json.dumps(answer), flush=True)


async def _line(loop: asyncio.AbstractEventLoop) -> str:
    return await loop.run_in_executor(None, sys.stdin.readline)


class _Generator:
    def __init__(
        self, reach: Way, bodies: list[tuple[bytes, str]], most: int, stop: asyncio.Event
    ) -> None:
        self._reach, self._bodies, self._most, self._stop = reach, bodies, most, stop

    async def do(self, job: dict[str, Any]) -> dict[str, Any]:
        if job["do"] == "ping":
            return {"times_ms": await self._pings(int(job["calls"]))}
        if job["do"] == "closed":
            return await self._closed(job)
        return await self._open(job)

    async def _pings(self, calls: int) -> list[float]:
        times = []
        for _ in range(calls):
            began = time.perf_counter()
            if not await self._reach.ping():
                return []
            times.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.002)
        return times

    async def _closed(self, job: dict[str, Any]) -> dict[str, Any]:
        """`lanes` requests at once, each lane one after the other; with one lane, after a random
        pause of `pause_s` on average (as long as a request takes, if that is not said), so that a
        request finds the server idle as it would. Several lanes are told to go on by the thread that
        tells the time in `_open`: what a request costs the sender is missing to a server on the
        same processors, and has to be the same in both."""
        until = time.perf_counter() + float(job["seconds"])
        least, most, lanes = int(job["least"]), int(job["most"]), int(job["lanes"])
        pause_s = job.get("pause_s")
        times: list[float] = []
        said: Counter[str] = Counter()
        words = ""

        async def lane(first: int) -> None:
            nonlocal words
            i = first
            while not self._stop.is_set() and len(times) + sum(said.values()) < most:
                now = time.perf_counter()
                if now > until and (len(times) >= least or now > until + 5 * float(job["seconds"])):
                    return
                status, told = await self._reach.send(*self._bodies[i % len(self._bodies)])
                took = time.perf_counter() - now
                if status == "200":
                    times.append(took * 1000)
                else:
                    said[status] += 1
                    words = told or words
                    if sum(said.values()) > least:
                        return
                i += lanes
                if lanes == 1:
                    await asyncio.sleep(random.expovariate(1 / max(pause_s or took, 1e-4)))
                else:
                    await pacemaker.told()

        began = time.perf_counter()
        with _Pacemaker(asyncio.get_running_loop()) as pacemaker:
            await asyncio.gather(*(lane(k) for k in range(lanes)))
        return {
            "times_ms": times, "failed": dict(said), "words": words,
            "took_s": time.perf_counter() - began,
        }  # fmt: skip

    async def _open(self, job: dict[str, Any]) -> dict[str, Any]:
        """Send at the scheduled times (seconds from the start) whatever comes back when."""
        loop = asyncio.get_running_loop()
        offsets: list[float] = job["offsets"]
        n = len(offsets)
        # Not sent, unless something is written over it: (milliseconds late, latency, status)
        seen: list[tuple[float, float, str] | None] = [None] * n
        tasks: set[asyncio.Task[None]] = set()
        words: list[str] = []
        sent_all = asyncio.Event()
        start = time.perf_counter() + START_DELAY_S

        async def one(i: int, meant: float) -> None:
            sent = time.perf_counter()
            status, told = await self._reach.send(*self._bodies[i % len(self._bodies)])
            # What was sent a moment early was on its way for longer than from when it was meant to.
            took = time.perf_counter() - min(sent, meant)
            seen[i] = ((sent - meant) * 1000, took * 1000, status)
            if told and len(words) < 3:
                words.append(told)

        def fire(i: int) -> None:
            if self._stop.is_set():
                return
            if len(tasks) >= self._most:
                seen[i] = (0.0, 0.0, NOT_SENT)
                return
            task = loop.create_task(one(i, start + offsets[i]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        def clock() -> None:
            # A thread's sleep is exact to a tenth of a millisecond; an event loop's timer is not.
            for i, offset in enumerate(offsets):
                left = start + offset - time.perf_counter() - SLEEP_MARGIN_S
                while left > 0 and not self._stop.is_set():
                    time.sleep(min(left, 0.2))
                    left = start + offset - time.perf_counter() - SLEEP_MARGIN_S
                if self._stop.is_set():
                    break
                loop.call_soon_threadsafe(fire, i)
            loop.call_soon_threadsafe(sent_all.set)

        ticker = threading.Thread(target=clock, name="clock", daemon=True)
        ticker.start()
        await sent_all.wait()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=float(job["drain_s"]))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        return {
            "seen": [
                s if s is not None else (0.0, 0.0, "stopped" if self._stop.is_set() else "late")
                for s in seen
            ],
            "words": words[:1],
            "stopped": self._stop.is_set(),
            "start": start,
        }


class _Pacemaker:
    """A thread that says to whoever asks that it is time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked: SimpleQueue[asyncio.Future[None] | None] = SimpleQueue()

    def __enter__(self) -> _Pacemaker:
        threading.Thread(target=self._tell, name="clock", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.put(None)

    def told(self) -> asyncio.Future[None]:
        time_to_go = self._loop.create_future()
        self._asked.put(time_to_go)
        return time_to_go

    def _tell(self) -> None:
        while (time_to_go := self._asked.get()) is not None:
            self._loop.call_soon_threadsafe(time_to_go.set_result, None)


if __name__ == "__main__":
    main()
