"""How far the sizing formulas are from simulation: the tables that docs/method.md quotes.

python -m benchmarks.queueing_accuracy            full grid, five to fifteen minutes
python -m benchmarks.queueing_accuracy --quick    a corner of it, seconds
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np

from advisor.sizing.queueing import erlang_c, response_percentile_ms
from benchmarks.simulation import enough, responses

KINDS = {"det": 0.0, "erl4": 0.5, "exp": 1.0, "h2": 2.0, "logn4": 2.0}
SERVERS = (1, 2, 4, 8, 16, 32)
LOADS = (0.3, 0.5, 0.7, 0.85, 0.95)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a corner of the grid")
    quick = parser.parse_args().quick
    start = time.perf_counter()
    percentiles(SERVERS[:3] if quick else SERVERS, LOADS[:3] if quick else LOADS)
    print(f"\n{time.perf_counter() - start:.0f} s")


def percentiles(servers: tuple[int, ...], loads: tuple[float, ...]) -> None:
    """p95 and p99 of M/G/c: this product's formula and plain M/M/c against simulation."""
    errors: dict[str, list[tuple[float, float, float]]] = {}
    places: dict[str, list[tuple[float, float, str]]] = {}
    print("Error of p95 in %, plain M/M/c / this product\n")
    print("| service | c | " + " | ".join(f"rho {rho}" for rho in loads) + " |")
    print("|---|---|" + "---|" * len(loads))
    for kind, cv in KINDS.items():
        for c in servers:
            cells = []
            for rho in loads:
                seen = responses(kind, c, rho, seed=c, **enough(rho, cv * cv))
                p95, p99 = np.quantile(seen, [0.95, 0.99])
                noise = _standard_error(seen) / p95 * 100
                ours = _error(response_percentile_ms(95, c * rho, 1000, cv, c) / 1000, p95)
                ours99 = _error(response_percentile_ms(99, c * rho, 1000, cv, c) / 1000, p99)
                plain = _error(_exponential_p95(c, rho), p95)
                errors.setdefault(kind, []).append((ours, plain, ours99))
                places.setdefault(kind, []).append((ours, noise, f"c = {c}, rho = {rho}"))
                cells.append(f"{plain:+.0f} / {ours:+.1f}")
            print(f"| {kind} | {c} | " + " | ".join(cells) + " |", flush=True)
    print("\n| service times | p95: median, largest | p95 by M/M/c | p99: median, largest |")
    print("|---|---|---|---|")
    groups = {
        "SCV 0, 0.25, 1": ("det", "erl4", "exp"),
        "SCV 4 hyperexponential": ("h2",),
        "SCV 4 lognormal": ("logn4",),
    }
    for label, kinds in groups.items():
        table = np.abs(np.array([e for kind in kinds for e in errors[kind]]))
        middle, largest = np.median(table, axis=0), table.max(axis=0)
        print(
            f"| {label} | {middle[0]:.1f}, {largest[0]:.1f} % | {middle[1]:.0f}, "
            f"{largest[1]:.0f} % | {middle[2]:.1f}, {largest[2]:.1f} % |"
        )
    print("\nThe worst p95 of each, with the standard error of the simulation and its place:\n")
    for kind, found in places.items():
        off, noise, place = max(found, key=lambda cell: abs(cell[0]))
        print(f"- {kind}: {off:+.1f} ± {noise:.1f} % at {place}")
    every = sorted(noise for found in places.values() for _off, noise, _place in found)
    print(
        f"\nStandard error of the simulated p95: median {every[len(every) // 2]:.2f} %, "
        f"largest {every[-1]:.2f} %"
    )


def _standard_error(seen: np.ndarray, groups: int = 20) -> float:
    """Of p95: the queues are independent, so are groups of them. `seen`: (customers, queues)."""
    each = [np.quantile(part, 0.95) for part in np.array_split(seen, groups, axis=1)]
    return float(np.std(each, ddof=1) / math.sqrt(groups))


def _error(predicted: float, seen: float) -> float:
    return (float(predicted) / seen - 1) * 100


def _exponential_p95(c: int, rho: float) -> float:
    """p95 of M/M/c in units of the service time, exact, by bisection of the closed form."""
    waits, drain = float(erlang_c(c, rho)), c * (1 - rho)

    def tail(t: float) -> float:
        if abs(drain - 1) < 1e-9:
            return math.exp(-t) * (1 + waits * t)
        mixed = (math.exp(-t) - math.exp(-drain * t)) / (drain - 1)
        return math.exp(-t) * (1 - waits) + waits * (math.exp(-drain * t) + drain * mixed)

    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > 0.05 else (low, middle)
    return high


if __name__ == "__main__":
    main()
