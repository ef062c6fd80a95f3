"""A queue that levels the load: the busy hours' requests wait for the quiet hours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_HOUR_S = 3600.0


def most_requests(rates: ArrayLike) -> Floats:
    """Requests of the busiest n hours in a row, n = 1 ... h, for hourly rates (requests/s, shape
    (h,)) of a week that comes again; shape (h,)."""
    rate = np.asarray(rates, dtype=np.float64)
    hours = len(rate)
    until = np.concatenate(([0.0], np.tile(rate, 2).cumsum())) * _HOUR_S
    length = np.arange(1, hours + 1)
    begin = np.arange(hours)[:, None]
    return np.asarray((until[begin + length] - until[begin]).max(axis=0), dtype=np.float64)


def longest_wait_s(most: Floats, worked_off: ArrayLike) -> Any:
    """Longest wait in a queue that is worked off at constant rates (requests/s, any shape), as a
    fluid: what the worst run of hours brings, `most`, less what is done meanwhile (the backlog of
    Lindley's recursion is the greatest such difference; Lindley 1952). Infinite where the week
    brings more than is done."""
    rate = np.asarray(worked_off, dtype=np.float64)
    length_s = np.arange(1, len(most) + 1) * _HOUR_S
    wait = (most / rate[..., None] - length_s).max(axis=-1)
    return np.where(most[-1] > rate * length_s[-1] * (1 + 1e-9), np.inf, np.maximum(wait, 0.0))
