"""How many requests find no warm instance, where an instance serves one request at a time.

The platform takes the instance that became idle last. Then the n-th busiest instance is taken
exactly when the number in service, N, climbs from n - 1 to n, and it has been idle since N last fell
below n: that request is cold when N stayed below n for longer than the keep-alive time T. Nothing
waits, so N is that of M/G/infinity, whatever the instances do.

Rates are in requests per service time (the load a), times in service times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate

Floats = NDArray[np.float64]

# Above this load the ladder of instances is not climbed but extrapolated.
LADDER_LOAD = 200.0
LEAST_LOAD = 1e-7
LONGEST_KEPT = 1e8
LEAST_KEPT = 0.1
NO_OVERFLOW = 1e-15
# How far clusters of climbs depend on the variability of the service, see `variability`: the one
# constant that is fitted to simulation (constant service to cv 2, loads of 0.03 to 200).
CLUSTERING = 0.8


def variability(cv: float) -> float:
    """The part of the distribution of service times: 0 for exponential ones, below it above cv 1.

    (1 - cv^2) / (1 + cv^2), because N forgets its past within (1 + cv^2) / 2 service times (the
    integral of its correlation), which is 1 for exponential service.
    """
    return CLUSTERING * (1 - cv * cv) / (1 + cv * cv)


def share(load: Floats, kept: float, cv: float) -> Floats:
    """Share of cold requests: cubic splines in the logarithms of `ladder`'s table, made once a cv.

    Within 2 % of it for shares above one in 100,000. Above a load of `LADDER_LOAD` it goes on as
    it falls there, about with 1 / sqrt(load): only instances on the fringe of N cool down.
    """
    at = np.clip(load, LEAST_LOAD, LADDER_LOAD)
    gap = np.full(at.shape, math.log(max(kept, LEAST_KEPT)))
    surface = _surface(cv)
    height = surface.ev(np.log(at), gap)
    beyond = load > LADDER_LOAD
    if beyond.any():
        steep = surface.ev(np.log(at[beyond]), gap[beyond], dx=1)
        # The fall tends to 1 / sqrt(load) as the load grows: half of the way is assumed.
        height[beyond] += (steep - 0.5) / 2 * np.log(load[beyond] / LADDER_LOAD)
    few = np.exp(-load * (1 + kept))
    return np.where(load < LEAST_LOAD, few, np.clip(np.exp(height), 0.0, 1.0))


def most_starts(load: Floats, kept: float, cv: float) -> Floats:
    """Starts in a service time, the most that this load or any lower one has; never falling."""
    at = np.clip(load, LEAST_LOAD, LADDER_LOAD)
    log_kept = np.full(at.shape, math.log(min(max(kept, LEAST_KEPT), LONGEST_KEPT)))
    starts = np.exp(_most_starts(cv)(np.stack([np.log(at), log_kept], axis=-1)))
    few = np.minimum(load, 1 / (1 + kept))
    starts = np.where(load < LEAST_LOAD, few * np.exp(-few * (1 + kept)), starts)
    return np.asarray(starts * np.sqrt(np.maximum(load / LADDER_LOAD, 1)))


def ladder(loads: Floats, kept: Floats, cv: float = 1.0) -> Floats:
    """Cold share for every load and keep-alive time: (loads, kept). Loads are above 0 and rising.

    N climbs to n at the rate a pi(n - 1), pi the Poisson distribution of mean a (PASTA; for any
    service). For exponential service it stayed below n for longer than T with the probability
    c e^(-r T) once T is a few service times: r is the smallest eigenvalue of the birth-death chain
    on 0..n-1 that a climb to n kills, v its vector, and c = v(n-1) <pi, v> / <pi, v^2>. Both are
    taken from two steps of inverse iteration, which is nearly exact. Own derivation, in the spirit
    of Mahmoudi and Khazaei's model of serverless platforms (2020).

    Other service times leave the rate of climbs and the mean time between them as they are, and
    change how many climbs come close together. 1 - c is the share of climbs that follow another
    one closely; r and c are multiplied by e^(variability (1 - c) / (1 + r)), which keeps the mean.
    Where a climb follows within a service time anyway (r of one and more), little is left to change.
    """
    factor = variability(cv)
    a = loads[::-1]
    out = np.zeros((a.size, kept.size))
    for n, r, climbs, long in _rungs(a):
        grown = np.exp(factor * (1 - long) / (1 + r))
        out[:n] += (climbs * long * grown)[:, None] * np.exp(-(r * grown)[:, None] * kept)
    return np.minimum(out[::-1], 1.0)


def _rungs(a: Floats) -> Iterator[tuple[int, Floats, Floats, Floats]]:
    """For n = 1, 2, ...: (how many of the falling loads go on, r, pi(n - 1), c).

    With H(k) the expected time from 0 to k, one step of inverse iteration from a constant gives
    u(k) = H(n) - H(k), the next v(k) = H(n) u(k) - (G(n) - G(k)), G summing what H sums with
    pi H in place of pi.
    """
    # pi(k), k = n - 1; H(n), G(n), and their sums over pi(0..n-1).
    pi, h, g = np.exp(-a), 1 / a, np.zeros_like(a)
    one, of_h, of_g = pi.copy(), np.zeros_like(a), np.zeros_like(a)
    of_hh, of_gg, of_hg = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a)
    blocked = np.ones_like(a)
    for n in range(1, int(a[0] + 9 * math.sqrt(a[0]) + 24) + 1):
        start = h * h - g  # v(0)
        mean = start * one - h * of_h + of_g
        square = start * mean - h * (start * of_h - h * of_hh + of_hg)
        square += start * of_g - h * of_hg + of_gg
        mixed = h * mean - start * of_h + h * of_hh - of_hg
        last = (h * one - of_h) / (a * pi)  # v(n - 1)
        yield a.size, mixed / square, pi, np.minimum(last * mean / square, 1.0)
        carried = a * blocked
        passed_on = carried / (n + carried)
        left = int((passed_on > NO_OVERFLOW).sum())  # a leading slice: loads are falling
        if left == 0:
            return
        if left < a.size:
            a, pi, h, g = a[:left], pi[:left], h[:left], g[:left]
            one, of_h, of_g = one[:left], of_h[:left], of_g[:left]
            of_hh, of_gg, of_hg = of_hh[:left], of_gg[:left], of_hg[:left]
        blocked = passed_on[:left]
        pi = pi * a / n
        ph, pg = pi * h, pi * g
        one, of_h, of_g = one + pi, of_h + ph, of_g + pg
        of_hh, of_gg, of_hg = of_hh + ph * h, of_gg + pg * g, of_hg + ph * g
        h, g = h + one / (a * pi), g + of_h / (a * pi)


@lru_cache(maxsize=64)
def _table(cv: float) -> tuple[Floats, Floats, Floats]:
    """(loads, keep-alive times, share of cold requests)."""
    loads = np.geomspace(LEAST_LOAD, LADDER_LOAD, 170)
    kept = np.geomspace(LEAST_KEPT, LONGEST_KEPT, 120)
    return loads, kept, np.maximum(ladder(loads, kept, cv), 1e-300)


@lru_cache(maxsize=64)
def _surface(cv: float) -> Any:
    loads, kept, found = _table(cv)
    return interpolate.RectBivariateSpline(np.log(loads), np.log(kept), np.log(found))


@lru_cache(maxsize=64)
def _most_starts(cv: float) -> Any:
    """Linear in the logarithms, so never falling."""
    loads, kept, found = _table(cv)
    starts = np.maximum.accumulate(loads[:, None] * found, axis=0)
    return interpolate.RegularGridInterpolator((np.log(loads), np.log(kept)), np.log(starts))
