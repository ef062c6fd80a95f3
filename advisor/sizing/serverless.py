"""Serverless: instances that serve one request each, start on demand and stay warm for a while.

Arrivals are Poisson at lambda a second, a request takes S seconds, an idle instance lives for a
keep-alive time T. Nothing waits: concurrency is Little's lambda S, and what a request may meet is a
cold start.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import interpolate, optimize

from advisor.errors import InputError
from advisor.sizing.service_time import ServiceTime

Floats = NDArray[np.float64]

# Above this load the ladder of instances is not climbed but extrapolated, see cold_start_share.
LADDER_LOAD = 48.0
NO_OVERFLOW = 1e-15
LEAST_LOAD = 1e-7
LONGEST_GAP = 1e8


def concurrency(rate_per_s: ArrayLike, service_s: ArrayLike) -> Floats:
    """Mean number of requests in service: L = lambda S (Little 1961)."""
    return np.asarray(rate_per_s, dtype=np.float64) * np.asarray(service_s, dtype=np.float64)


def cold_start_share(
    rate_per_s: ArrayLike, service_s: float, keep_alive_s: float, shared: bool = False
) -> Floats:
    """Share of the requests that start an instance, for each rate; shape of `rate_per_s`.

    `shared`: one instance takes any number of requests at once. A request is cold when none
    arrived in the last S + T before it: e^(-lambda (S + T)), exact for Poisson arrivals (empty
    M/G/infinity system whose customers stay S + T, seen by an arrival: PASTA).

    Otherwise an instance serves one request at a time and the busiest instances are preferred
    (newest or most recently used first, which is what lets a platform scale in). Instance n then
    sees what overflows the n - 1 before it, and is cold after a gap of S + T between overflows.
    Gaps longer than t come at the rate -d/dt P(no overflow in t) = r(n) e^(-r(n) t), with r(n) the
    smallest eigenvalue of the birth-death chain on 0..n-1 busy instances that an overflow kills:
    the share is the sum over n of r(n) / lambda e^(-r(n) (S + T)). Own derivation for T of at least
    a few S, in the spirit of Mahmoudi and Khazaei's model of serverless platforms (2020). Above a
    load of 48 erlang the share falls with 1 / sqrt(load): the number of busy instances fluctuates
    by sqrt(load), and only the instances on that fringe cool down. A platform that spreads
    requests over all instances keeps them warmer at the price of more of them.

    A rate of 0 gives 1: whoever comes first is cold. Raises InputError for negative arguments.
    """
    rate = np.asarray(rate_per_s, dtype=np.float64)
    if rate.size and rate.min() < 0:
        raise InputError(f"a rate is {rate.min():g} requests/s; give 0 or more")
    if service_s <= 0 or keep_alive_s < 0:
        raise InputError(
            f"service_s is {service_s:g} and keep_alive_s is {keep_alive_s:g}; "
            "give a time above 0 and one of 0 or more"
        )
    if shared:
        return np.asarray(np.exp(-rate * (service_s + keep_alive_s)))
    distinct, where = np.unique(rate, return_inverse=True)  # a week repeats its rates
    load, gap = distinct * service_s, 1 + keep_alive_s / service_s
    if gap > LONGEST_GAP:
        raise InputError(
            f"keep_alive_s is {gap:.2g} times service_s; give a service time of at least a "
            "hundred-millionth of the keep-alive time"
        )
    share = _share(np.clip(load, LEAST_LOAD, LADDER_LOAD), gap)
    share = np.where(load < LEAST_LOAD, np.exp(-load * gap), share)
    share = share * np.sqrt(LADDER_LOAD / np.maximum(load, LADDER_LOAD))
    return np.asarray(share[where].reshape(rate.shape))


def cold_starts_billed_per_s(
    rate_per_s: ArrayLike, service_s: float, keep_alive_s: float
) -> Floats:
    """Starts a second that a bill reckons with: the most that this rate or any lower one has.

    Around one request in a keep-alive time a busier function has fewer starts than a quieter one.
    A bill that fell with more traffic would be right and of no use: the difference is cents, and a
    month is never exactly as busy as planned. So the highest number of starts on the way is billed.
    Arguments as for `cold_start_share`.
    """
    rate = np.asarray(rate_per_s, dtype=np.float64)
    load, gap = rate * service_s, 1 + keep_alive_s / service_s
    at = np.clip(load, LEAST_LOAD, LADDER_LOAD)
    log_gap = np.full(at.shape, math.log(min(gap, LONGEST_GAP)))
    starts = np.exp(_most_starts()(np.stack([np.log(at), log_gap], axis=-1)))
    few = np.minimum(load, 1 / gap)
    starts = np.where(load < LEAST_LOAD, few * np.exp(-few * gap), starts)
    return np.asarray(starts * np.sqrt(np.maximum(load / LADDER_LOAD, 1)) / service_s)


def cold_share_and_starts(
    rates: Floats, service_s: float, keep_alive_s: float
) -> tuple[float, float]:
    """(share of a week's requests that start an instance, starts a second that are billed on
    average). Remembered: functions from one vCPU on have the same service time at every size."""
    return _cold_week(rates.tobytes(), service_s, keep_alive_s)


@lru_cache(maxsize=1024)
def _cold_week(week: bytes, service_s: float, keep_alive_s: float) -> tuple[float, float]:
    rates = np.frombuffer(week, dtype=np.float64)
    shares = cold_start_share(rates, service_s, keep_alive_s)
    distinct, where = np.unique(rates, return_inverse=True)
    starts = cold_starts_billed_per_s(distinct, service_s, keep_alive_s)[where]
    return float((shares * rates).sum() / rates.sum()), float(starts.mean())


@lru_cache(maxsize=4096)
def mixture_percentile_ms(
    percentile: float, cold_share: float, service_ms: float, init_ms: float, cv: float
) -> float:
    """The response time that `percentile` % of all requests keep, warm and cold ones together.

    P(T > t) = (1 - p) P(S > t) + p P(S > t - init): a cold start shows in the percentile exactly
    when it is frequent enough.
    """
    if not 0 < percentile < 100:
        raise InputError(f"percentile is {percentile!r}; give a number between 0 and 100")
    if not 0 <= cold_share <= 1 or service_ms <= 0 or init_ms < 0:
        raise InputError(
            f"cold_share is {cold_share:g}, service_ms {service_ms:g}, init_ms {init_ms:g}; "
            "give a share of 0 to 1, a time above 0, and one of 0 or more"
        )
    allowed = 1 - percentile / 100
    service = ServiceTime(cv)
    if service.constant:
        return service_ms + (init_ms if cold_share > allowed else 0.0)
    init = init_ms / service_ms
    warm = service.upper_quantile(allowed)
    if init == 0 or cold_share == 0:
        return warm * service_ms

    def excess(t: float) -> float:
        warm_tail, cold_tail = service.tail(np.array([t, t - init]))
        cold_tail = 1.0 if t <= init else cold_tail
        return math.log(((1 - cold_share) * warm_tail + cold_share * cold_tail) / allowed)

    root = optimize.brentq(excess, warm * (1 - 1e-9), warm + init + 1e-9, rtol=1e-6)
    return float(root) * service_ms


def _share(load: Floats, gap: float) -> Floats:
    """`_ladder` from a table of it, made once: cubic splines in the logarithms.

    Within 2 % for shares above one in 100,000, and within 20 % for any.
    """
    height = _surface().ev(np.log(load), np.full(load.shape, math.log(gap)))
    return np.asarray(np.clip(np.exp(height), 0.0, 1.0))


@cache
def _table() -> tuple[Floats, Floats, Floats]:
    """(loads, S + T in service times, share of cold requests)."""
    loads = np.geomspace(LEAST_LOAD, LADDER_LOAD, 160)
    gaps = np.geomspace(1, LONGEST_GAP, 120)
    return loads, gaps, np.maximum(_ladder(loads, gaps), 1e-300)


@cache
def _surface() -> Any:
    loads, gaps, share = _table()
    return interpolate.RectBivariateSpline(np.log(loads), np.log(gaps), np.log(share))


@cache
def _most_starts() -> Any:
    """Starts in a service time, the most up to a load; linear in the logarithms, so never falling."""
    loads, gaps, share = _table()
    starts = np.maximum.accumulate(loads[:, None] * share, axis=0)
    return interpolate.RegularGridInterpolator((np.log(loads), np.log(gaps)), np.log(starts))


def _ladder(loads: Floats, gaps: Floats) -> Floats:
    """Cold share for every load and S + T in units of the service time: (loads, gaps).

    Loads are above 0 and rising.
    """
    a = loads[::-1]
    rungs = int(a[0] + 9 * math.sqrt(a[0]) + 24)
    share = np.zeros((a.size, gaps.size))
    # Unnormalised over k = 0..n-1 busy: pi(k), its sum, and the expected time H(k) from 0 to k.
    pi, mass = np.ones_like(a), np.ones_like(a)
    hop = 1 / a
    reached = hop
    first, second = np.zeros_like(a), np.zeros_like(a)  # sums of pi(k) H(k) and pi(k) H(k)^2
    blocked = np.ones_like(a)
    for n in range(1, rungs + 1):
        # Rayleigh quotient of the expected times to overflow, H(n) - H(k): an upper bound of the
        # smallest eigenvalue that is nearly exact where T is many service times.
        mean = reached * mass - first
        square = reached * (mean - first) + second
        slowest = (mean / square)[:, None]
        share[: a.size] += slowest / a[:, None] * np.exp(-slowest * gaps)
        carried = a * blocked
        passed_on = carried / (n + carried)
        left = int((passed_on > NO_OVERFLOW).sum())  # a leading slice: loads are falling
        if left == 0:
            break
        if left < a.size:
            a, pi, mass, hop = a[:left], pi[:left], mass[:left], hop[:left]
            reached, first, second = reached[:left], first[:left], second[:left]
        blocked = passed_on[:left]
        pi = pi * a / n
        weighted = pi * reached
        first, second = first + weighted, second + weighted * reached
        mass = mass + pi
        hop = (1 + n * hop) / a
        reached = reached + hop
    return share[::-1]
