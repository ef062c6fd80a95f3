"""Requirements to 168 hourly arrival rates."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Pattern, Traffic

Rates = NDArray[np.float64]


def weekly_rates(traffic: Traffic) -> Rates:
    """Arrivals a second for each hour of the week, Monday 00:00 UTC first; shape (168,).

    The week is scaled so that 730 hours carry `requests_per_month`; with
    `peak_requests_per_second` the busiest hour has that rate and the others share the rest.
    """
    return rates_of(traffic, traffic.requests_per_month)


def rates_of(traffic: Traffic, requests_per_month: float) -> Rates:
    """`weekly_rates` at another volume; a peak that was given stays."""
    mean = requests_per_month / (HOURS_IN_MONTH * 3600)
    rates: Rates = _around_one(traffic.pattern) * mean
    peak = traffic.peak_requests_per_second
    if peak is not None and peak > rates.max():
        rates = _raise_peak(rates, peak)
    return rates


@lru_cache(maxsize=64)
def _around_one(pattern: Pattern | tuple[float, ...]) -> Rates:
    """The shape with a mean of 1."""
    shape = pattern_shape(pattern)
    scaled: Rates = shape / shape.mean()
    scaled.flags.writeable = False
    return scaled


def pattern_shape(pattern: Pattern | tuple[float, ...]) -> Rates:
    """Relative weight of each hour of the week; shape (168,), not normalised."""
    if not isinstance(pattern, Pattern):
        return np.asarray(pattern, dtype=np.float64)
    hour = np.arange(HOURS_IN_WEEK) % 24
    weekday = np.arange(HOURS_IN_WEEK) // 24 < 5
    if pattern is Pattern.business_hours:
        # A working day from 8 to 18 with a lunch dip; evenings and week-ends nearly quiet.
        day = np.where((hour >= 8) & (hour < 18), 1.0, 0.06)
        day = np.where(hour == 12, 0.8, day)
        return np.where(weekday, day, 0.04)
    if pattern is Pattern.spiky:
        # A daily wave with two sharp hours a day and one large burst a week.
        wave = 1.0 + 0.5 * np.sin((hour - 9) / 24 * 2 * np.pi)
        wave = np.where((hour == 9) | (hour == 20), wave * 4, wave)
        wave[20] *= 2.5
        return wave
    if pattern is Pattern.rare:
        # A handful of busy moments: ten hours of the working week carry nearly all requests.
        base = np.full(HOURS_IN_WEEK, 0.02)
        base[[9, 15, 33, 39, 57, 63, 81, 87, 105, 111]] = 1.0
        return base
    if pattern is Pattern.nightly:
        return np.where((hour >= 1) & (hour < 5), 1.0, 0.0)
    return np.ones(HOURS_IN_WEEK)


def _raise_peak(rates: Rates, peak: float) -> Rates:
    """Lift the busiest hour to `peak`, and scale the others down so that the sum stays."""
    top = int(rates.argmax())
    others = rates.sum() - rates[top]
    left = rates.sum() - peak
    scale = left / others if others > 0 else 0.0
    out = rates * scale
    out[top] = peak
    return out
