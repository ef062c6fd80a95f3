"""How long a verdict takes, as ratios to the verdict over all options in one region."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from advisor import whatif
from advisor.presets import presets
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse

ROUNDS = 9


def main() -> None:
    need = presets()["fraud-detection"].requirements
    everywhere = _with(need, clouds=["aws", "gcp", "azure"], regions=["us-east-1", "eu-west-1"])
    answer = recommend(need)
    rows: dict[str, Callable[[], object]] = {
        "verdict, one region": lambda: recommend(need, doubt=False),
        "verdict with 2,000 redraws": lambda: recommend(need),
        "verdict, three clouds, two AWS regions": lambda: recommend(everywhere, doubt=False),
        "flips of the verdict": lambda: whatif.flips(need, answer),
    }
    times = {name: _median_s(run) for name, run in rows.items()}
    base = times["verdict, one region"]
    for name, seconds in times.items():
        print(f"{name:<42} {seconds * 1000:9.1f} ms   {seconds / base:7.1f} x the verdict")


def _median_s(run: Callable[[], object]) -> float:
    run()
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _with(need: Requirements, **placement: object) -> Requirements:
    data = need.model_dump(mode="json")
    data["placement"] |= placement
    return parse(data)


if __name__ == "__main__":
    main()
