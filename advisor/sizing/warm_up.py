"""Warm-up calls: calls of one's own that keep a function's instances warm.

A small function may keep its target only while few requests start cold, that is above some volume.
Below it one may call it as often as if that volume were there. Then less traffic never costs more.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from advisor.sizing.service_time import ServiceTime
from advisor.sizing.warm_pool import share
from advisor.traffic import Rates, rates_of
from advisor.workload import Workload

STEP = 1.08  # of the volume, between places that are looked at


def most_cold(
    percentile: float, target_ms: float, service_ms: float, init_ms: float, cv: float
) -> float:
    """The largest share of cold requests with which `percentile` % keep the target; below 0 where
    warm ones alone do not.

    (1 - p) P(S > t) + p P(S > t - init) <= 1 - percentile / 100, solved for p.
    """
    allowed = 1 - percentile / 100
    service = ServiceTime(cv)
    warm = service.tail_at(target_ms / service_ms)
    cold = service.tail_at((target_ms - init_ms) / service_ms)
    if cold <= warm:
        return 1.0 if warm <= allowed else -1.0
    return (allowed - warm) / (cold - warm)


def rates_at(work: Workload, volume: float) -> Rates:
    """The week's rates were the volume that many times as large; a peak that was given stays."""
    traffic = work.need.traffic
    if volume == 1.0:
        return work.rates
    return rates_of(traffic, traffic.requests_per_month * volume)


def least_volume(
    work: Workload, service_s: float, keep_alive_s: float, most: float, upto: float
) -> float | None:
    """The smallest factor on the volume, 1 to `upto`, at which no more than the share `most` of the
    requests starts cold; None where there is none.

    The share may rise for a while where a second instance comes into use, so it is looked at in many
    places on the way.
    """
    cv = work.need.model.service_time_cv
    # A week repeats its rates, and so it does at any volume.
    _rates, each, hours = np.unique(work.rates, return_index=True, return_counts=True)

    def over(log_volume: ArrayLike) -> NDArray[np.float64]:
        volumes = np.exp(np.atleast_1d(log_volume)).tolist()
        rates = np.array([rates_at(work, volume)[each] for volume in volumes])
        shares = share(rates * service_s, keep_alive_s / service_s, cv)
        return np.asarray((shares * rates) @ hours / (rates @ hours) - most)

    if upto < 1 or not math.isfinite(upto) or most <= 0:
        return None
    steps = np.append(np.arange(0.0, math.log(upto), math.log(STEP)), math.log(upto))
    enough = np.flatnonzero(over(steps) <= 0)
    if not enough.size:
        return None
    first = int(enough[0])
    if first == 0:
        return 1.0
    root = float(
        optimize.brentq(
            lambda log_volume: float(over(log_volume)[0]), steps[first - 1], steps[first],
            xtol=1e-13, rtol=4 * np.finfo(float).eps,
        )
    )  # fmt: skip
    while over(root)[0] > 0:  # a whisker short of the crossing
        root += 1e-12
    return math.exp(root)
