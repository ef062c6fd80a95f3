"""Timing for the benchmarks: medians in milliseconds, and as ratios to a fixed piece of work."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from advisor.requirements import Requirements
from advisor.whatif import at_volume

ROUNDS = 5
YARDSTICK = 300_000


class Fresh:
    """The requirements at a volume that was not asked for before, a little more each time."""

    def __init__(self, need: Requirements) -> None:
        self._need, self._times = need, 0

    def __call__(self) -> Requirements:
        self._times += 1
        volume = self._need.traffic.requests_per_month * 1.0013**self._times
        return at_volume(self._need, volume)


def yardstick_s() -> float:
    """Seconds for 300,000 squares added up in a plain loop."""

    def squares() -> None:
        total = 0
        for i in range(YARDSTICK):
            total += i * i

    seconds = _cpu_s(squares, ROUNDS * 3)
    print(f"yardstick: {YARDSTICK:,} squares in {seconds * 1000:.1f} ms of CPU")
    return seconds


def report(
    name: str,
    run: Callable[[], object],
    unit_s: float,
    rounds: int = ROUNDS,
    aim_ms: float | None = None,
) -> float:
    """One line: the median CPU time, how many yardsticks that is, and its ratio to the aim.

    Gives the median in ms."""
    ms = _cpu_s(run, rounds) * 1000
    line(name, ms, unit_s, aim_ms)
    return ms


def line(name: str, ms: float, unit_s: float, aim_ms: float | None = None) -> None:
    """What `report` prints of a time."""
    aim = f"   {ms / aim_ms:5.2f} x the aim of {aim_ms:g} ms" if aim_ms else ""
    print(f"{name:<44} {ms:9.1f} ms   {ms / 1000 / unit_s:7.2f} x the yardstick{aim}")


def _cpu_s(run: Callable[[], object], rounds: int) -> float:
    run()
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        run()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    yardstick_s()
