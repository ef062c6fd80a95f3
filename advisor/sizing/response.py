"""Response times of M/G/c without a unit: everything over the mean service time.

The wait of those who wait is a gamma distribution with the first two moments of the queue; the
response is its convolution with the service time. All arrays are flat and of one length, and
utilisations are below 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.sizing.service_time import ServiceTime, gamma_tail, gamma_upper_quantile

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

WAIT_NODES = 16  # of the convolution; 16 are good to 0.03 % of the probability
# Below this share of the allowed misses, waiting cannot move the percentile noticeably.
NEGLIGIBLE = 5e-3
STEPS = 30
TOLERANCE = 1e-3  # of the logarithm of the probability of a miss


def wait_moments(cv: float, utilisation: ArrayLike, servers: ArrayLike) -> tuple[Floats, Floats]:
    """The gamma distribution of a wait that happens: (shape, mean over S), rho < 1.

    One server of speed c: E[W] = lambda E[s^2] / (2 (1 - rho)) and
    E[W^2] = 2 E[W]^2 + lambda E[s^3] / (3 (1 - rho)) (Takacs 1962; Pollaczek-Khinchine), both over
    the probability rho of waiting. Several servers: the mean is mixed from M/M/c and M/D/c,
    cv^2 and 1 - cv^2, with Cosmetatos' (1976) M/D/c, half of M/M/c times 1 + g,
    g = (1 - rho)(c - 1)(sqrt(4 + 5 c) - 2) / (16 rho c), at most (1 - rho) / (4 rho) (Kimura 1994).
    """
    rho, c = np.broadcast_arrays(
        np.asarray(utilisation, dtype=np.float64), np.asarray(servers, dtype=np.float64)
    )
    scv = cv * cv
    skew = ServiceTime(cv).third_moment
    shape = 1 / (2 * rho - 1 + 4 * skew * (1 - rho) / (3 * (1 + scv) ** 2))
    safe = np.maximum(rho, 1e-12)
    g = (1 - rho) * (c - 1) * (np.sqrt(4 + 5 * c) - 2) / (16 * safe * c)
    g = np.minimum(np.minimum(g, (1 - rho) / (4 * safe)), 1.0)
    mixed = scv + (1 - scv) * (1 + g) / 2
    return shape, mixed / (c * (1 - rho))


def miss_probability(
    ratio: Floats, service: ServiceTime, rho: Floats, servers: Counts, waits: Floats
) -> Floats:
    """P(T > ratio x S), flat arrays, rho < 1: P(S > t) + integral of P(W > t - s) over s < t."""
    shape, mean = wait_moments(service.cv, rho, servers)
    ratio = np.maximum(ratio, 0.0)
    if service.constant:
        late = np.maximum(ratio - 1, 0.0)
        return np.where(ratio < 1, 1.0, waits * gamma_tail(shape, late * shape / mean))
    at, weight = service.quadrature(ratio, WAIT_NODES)
    slack = np.maximum(ratio[:, None] - at, 0.0)
    tail = gamma_tail(shape[:, None], slack * (shape / mean)[:, None])
    missed = service.tail(ratio) + waits * (weight * tail).sum(axis=1)
    return np.asarray(np.clip(missed, 0.0, 1.0))


def percentile(
    allowed: float, service: ServiceTime, rho: Floats, servers: Counts, waits: Floats
) -> Floats:
    """T / S that a share `allowed` of the requests exceeds; flat arrays, rho < 1."""
    idle = service.upper_quantile(allowed)
    out = np.full(rho.shape, idle)
    active = waits > allowed * NEGLIGIBLE
    if service.constant:
        active = waits > allowed
    if not active.any():
        return out
    rho, servers, waits = rho[active], servers[active], waits[active]
    shape, mean = wait_moments(service.cv, rho, servers)
    if service.constant:
        wait = gamma_upper_quantile(shape, allowed / waits) * mean / shape
        out[active] = 1 + wait
        return out
    low = np.full(rho.shape, idle)
    # P(S + W > a + b) <= P(S > a) + P(W > b): half of the misses each bounds the answer above.
    half = np.minimum(allowed / 2 / waits, 1.0)
    high = service.upper_quantile(allowed / 2) + gamma_upper_quantile(shape, half) * mean / shape

    def excess(at: Floats, rows: NDArray[Any]) -> Floats:
        missed = miss_probability(at, service, rho[rows], servers[rows], waits[rows])
        return np.log(np.maximum(missed, 1e-300) / allowed)

    out[active] = _solve(excess, low, high)
    return out


def _solve(excess: Callable[[Floats, NDArray[Any]], Floats], low: Floats, high: Floats) -> Floats:
    """Roots of falling functions, >= 0 at low and <= 0 at high: Illinois steps on all at once.

    `excess(at, rows)` evaluates the functions of those rows.
    """
    rows = np.arange(low.size)
    f_low, f_high = excess(low, rows), excess(high, rows)
    out = high.copy()
    for _ in range(STEPS):
        gap = f_low - f_high
        at = np.where(gap > 0, low + (high - low) * f_low / np.where(gap > 0, gap, 1.0), high)
        f_at = excess(at, rows)
        out[rows] = at
        above = f_at > 0
        # Halving the value at the end that stays put is what keeps the other end moving.
        f_high = np.where(above, f_high / 2, f_at)
        f_low = np.where(above, f_at, f_low / 2)
        low, high = np.where(above, at, low), np.where(above, high, at)
        left = np.abs(f_at) > TOLERANCE
        if not left.any():
            break
        rows, low, high = rows[left], low[left], high[left]
        f_low, f_high = f_low[left], f_high[left]
    return out
