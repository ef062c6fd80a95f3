"""How far the share of cold starts is from simulation: the table that docs/method.md quotes.

python -m benchmarks.cold_starts            the whole grid, about ten minutes
python -m benchmarks.cold_starts --quick    a corner of it, seconds
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from advisor.sizing.serverless import cold_start_share
from benchmarks.simulation import cold_shares

LOADS = (0.003, 0.03, 0.3, 1.0, 3.0, 10.0, 30.0, 80.0)  # requests in service at once
KEPT = (2.0, 5.0, 20.0, 100.0, 1000.0)  # keep-alive time in service times
KINDS = {"det": 0.0, "gamma:0.3": 0.3, "exp": 1.0, "logn4": 2.0, "h2": 2.0, "logn:3": 3.0}
RARE = 3e-4  # shares below it move no percentile and no bill, and take hours to simulate
ARRIVALS = 1_000_000
RUNS = 10


def seen(load: float, kind: str, runs: int = RUNS) -> tuple[list[float], list[float]]:
    """(share of cold requests for each keep-alive time, its standard error over the runs)."""
    found = np.array([cold_shares(load, KEPT, ARRIVALS, seed, kind) for seed in range(runs)])
    error = found.std(axis=0, ddof=1) / np.sqrt(runs)
    return found.mean(axis=0).tolist(), error.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a corner of the grid")
    quick = parser.parse_args().quick
    start = time.perf_counter()
    print(f"| load | keep-alive / S | {' | '.join(f'{k}, cv {cv:g}' for k, cv in KINDS.items())} |")
    print("|---|---|" + "---|" * len(KINDS))
    worst: dict[str, tuple[float, float, str]] = dict.fromkeys(KINDS, (0.0, 0.0, ""))
    for load in LOADS[2:4] if quick else LOADS:
        table = {kind: seen(load, kind, 2 if quick else RUNS) for kind in KINDS}
        for at, kept in enumerate(KEPT):
            cells = []
            for kind, cv in KINDS.items():
                share, error = table[kind][0][at], table[kind][1][at]
                if share < RARE:
                    cells.append("rare")
                    continue
                off = (float(cold_start_share(load, 1.0, kept, cv=cv)) / share - 1) * 100
                noise = error / share * 100
                worst[kind] = max(worst[kind], (off, noise, f"load {load:g}, {kept:g} S"),
                                  key=lambda found: abs(found[0]))  # fmt: skip
                cells.append(f"{off:+.1f} ± {noise:.1f} %")
            print(f"| {load:g} | {kept:g} | {' | '.join(cells)} |", flush=True)
    print("\nThe worst of each, with the standard error of the simulation and its place:\n")
    for kind, (off, noise, place) in worst.items():
        print(f"- {kind}, cv {KINDS[kind]:g}: {off:+.1f} ± {noise:.1f} % at {place}")
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
