"""Serverless: instances that serve one request each, start on demand and stay warm for a while.

Arrivals are Poisson at lambda a second, a request takes S seconds, an idle instance lives for a
keep-alive time T. Nothing waits: concurrency is Little's lambda S, and what a request may meet is a
cold start.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from advisor.errors import InputError
from advisor.sizing.service_time import ServiceTime
from advisor.sizing.warm_pool import LONGEST_KEPT, most_starts, share

Floats = NDArray[np.float64]


def concurrency(rate_per_s: ArrayLike, service_s: ArrayLike) -> Floats:
    """Mean number of requests in service: L = lambda S (Little 1961)."""
    return np.asarray(rate_per_s, dtype=np.float64) * np.asarray(service_s, dtype=np.float64)


def cold_start_share(
    rate_per_s: ArrayLike,
    service_s: float,
    keep_alive_s: float,
    shared: bool = False,
    cv: float = 1.0,
) -> Floats:
    """Share of the requests that start an instance, for each rate; shape of `rate_per_s`.

    `shared`: one instance takes any number of requests at once. A request is cold when none
    arrived in the last S + T before it: e^(-lambda (S + T)), exact for Poisson arrivals (empty
    M/G/infinity system whose customers stay S + T, seen by an arrival: PASTA).

    Otherwise an instance serves one request at a time, and the one that became idle last is taken
    (what lets a platform scale in): see `warm_pool.ladder`, where `cv`, standard deviation over
    mean of the service time, counts too. A platform that spreads requests over all instances keeps
    them warmer at the price of more of them.

    A rate of 0 gives 1: whoever comes first is cold. Raises InputError for negative arguments.
    """
    rate = np.asarray(rate_per_s, dtype=np.float64)
    if rate.size and rate.min() < 0:
        raise InputError(f"a rate is {rate.min():g} requests/s; give 0 or more")
    if service_s <= 0 or keep_alive_s < 0 or not 0 <= cv < math.inf:
        raise InputError(
            f"service_s is {service_s:g}, keep_alive_s is {keep_alive_s:g} and cv is {cv:g}; "
            "give a time above 0, one of 0 or more and a variability of 0 or more"
        )
    if shared:
        return np.asarray(np.exp(-rate * (service_s + keep_alive_s)))
    kept = keep_alive_s / service_s
    if kept > LONGEST_KEPT:
        raise InputError(
            f"keep_alive_s is {kept:.2g} times service_s; give a service time of at least a "
            "hundred-millionth of the keep-alive time"
        )
    distinct, where = np.unique(rate, return_inverse=True)  # a week repeats its rates
    return np.asarray(share(distinct * service_s, kept, cv)[where].reshape(rate.shape))


def cold_starts_billed_per_s(
    rate_per_s: ArrayLike, service_s: float, keep_alive_s: float, cv: float = 1.0
) -> Floats:
    """Starts a second that a bill reckons with: the most that this rate or any lower one has.

    Around one request in a keep-alive time a busier function has fewer starts than a quieter one.
    A bill that fell with more traffic would be right and of no use: the difference is cents, and a
    month is never exactly as busy as planned. So the highest number of starts on the way is billed.
    Arguments as for `cold_start_share`.
    """
    load = np.asarray(rate_per_s, dtype=np.float64) * service_s
    return np.asarray(most_starts(load, keep_alive_s / service_s, cv) / service_s)


def cold_share_and_starts(
    rates: Floats, service_s: float, keep_alive_s: float, cv: float
) -> tuple[float, float]:
    """(share of a week's requests that start an instance, starts a second that are billed on
    average). Remembered: functions from one vCPU on have the same service time at every size."""
    return _cold_week(rates.tobytes(), service_s, keep_alive_s, cv)


@lru_cache(maxsize=1024)
def _cold_week(
    week: bytes, service_s: float, keep_alive_s: float, cv: float
) -> tuple[float, float]:
    distinct, where = np.unique(np.frombuffer(week, dtype=np.float64), return_inverse=True)
    share_, starts = cold_weeks(distinct[None, :], where, service_s, keep_alive_s, cv)
    return float(share_[0]), float(starts[0])


def cold_weeks(
    distinct: Floats, where: NDArray[np.int64], service_s: float, keep_alive_s: float, cv: float
) -> tuple[Floats, Floats]:
    """`cold_share_and_starts` of many weeks, shapes (weeks,): their hours have the rates
    `distinct`, shape (weeks, rates), and hour h has number `where[h]` of them in every week."""
    rates = distinct.take(where, axis=1)
    flat = distinct.ravel()
    shares = cold_start_share(flat, service_s, keep_alive_s, cv=cv).reshape(distinct.shape)
    starts = cold_starts_billed_per_s(flat, service_s, keep_alive_s, cv).reshape(distinct.shape)
    cold = (shares.take(where, axis=1) * rates).sum(axis=1) / rates.sum(axis=1)
    return cold, starts.take(where, axis=1).mean(axis=1)


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
        warm_tail, cold_tail = service.tail_at(t), service.tail_at(t - init)
        return math.log(((1 - cold_share) * warm_tail + cold_share * cold_tail) / allowed)

    root = optimize.brentq(excess, warm * (1 - 1e-9), warm + init + 1e-9, rtol=1e-6)
    return float(root) * service_ms
