"""How far the share of cold starts is from simulation: the table that docs/method.md quotes.

python -m benchmarks.cold_starts            the whole grid, about ten minutes
python -m benchmarks.cold_starts --quick    a corner of it, seconds
"""

from __future__ import annotations

import argparse
import time

from advisor.sizing.serverless import cold_start_share
from benchmarks.simulation import cold_share_per_request

LOADS = (0.003, 0.03, 0.3, 1.0, 3.0, 10.0, 30.0, 80.0)  # requests in service at once
KEPT = (5.0, 20.0, 100.0, 1000.0)  # keep-alive time in service times
KINDS = {"exp": "exponential", "gamma:0.3": "cv 0.3", "logn4": "cv 2"}
RARE = 3e-4  # shares below it move no percentile and no bill, and take hours to simulate


def points() -> tuple[tuple[float, float], ...]:
    """(load, keep-alive in service times) of the grid, without those where a start is rare."""
    every = [(load, kept) for load in LOADS for kept in KEPT]
    return tuple(p for p in every if float(cold_start_share(p[0], 1.0, p[1])) >= RARE)


def arrivals(share: float) -> int:
    """Enough to see some four thousand starts, or as many as a machine simulates in ten seconds."""
    return int(min(max(5000 / share, 200_000), 3_000_000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a corner of the grid")
    quick = parser.parse_args().quick
    start = time.perf_counter()
    print(f"| load | keep-alive / S | formula | {' | '.join(KINDS.values())} |")
    print("|---|---|---|---|---|---|")
    worst = dict.fromkeys(KINDS, 0.0)
    for load, kept in points()[:6] if quick else points():
        share = float(cold_start_share(load, 1.0, kept))
        cells = []
        for kind in KINDS:
            seen = cold_share_per_request(load, 1.0, kept, arrivals(share), seed=3, kind=kind)
            off = (share / seen - 1) * 100
            worst[kind] = max(worst[kind], off, key=abs)
            cells.append(f"{off:+.1f} %")
        print(f"| {load:g} | {kept:g} | {share:.3g} | {' | '.join(cells)} |", flush=True)
    print("\nworst: " + ", ".join(f"{KINDS[k]} {v:+.1f} %" for k, v in worst.items()))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
