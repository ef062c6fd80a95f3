"""What the sizing's formula says of a calibrated endpoint, and how sure that is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from advisor.sizing.queueing import GRID, response_percentile_ms
from deploy.loadtest.queue import Station, responses
from deploy.loadtest.settings import settings

HIGHEST_QUOTED = float(GRID[0][-1])  # above it the sizing quotes no percentile
LONG_RUN = 30_000  # requests played through where there is no formula
CURVE_RUN = 8_000  # for each point of a curve
MOST_PLAYED = 150_000

Floats = NDArray[np.float64]


class Predicted(BaseModel):
    """Response time at one rate, in milliseconds. `p95_ms` is of the percentile asked for.

    None above the utilisation up to which the sizing quotes percentiles; the interval is of what a
    test of this length measures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    utilisation: float
    p95_ms: float | None
    low_ms: float | None
    high_ms: float | None


def predict(
    station: Station,
    overhead_ms: float,
    rate_per_s: float,
    *,
    percentile: float,
    schedule: Floats | None = None,
    skipped_s: float = 0.0,
    seed: int = 0,
    long_run: int = LONG_RUN,
) -> Predicted:
    """The percentile at `rate_per_s`, and with a schedule (seconds) the interval for that test.

    `overhead_ms` passes without a worker being held: network, reading and writing HTTP.
    `long_run`: requests played through where the queue is. The interval takes services anew from
    the sample and lets their mean drift as the data says.
    """
    rho = station.utilisation(rate_per_s)
    station = station.at(rate_per_s)
    middle: float | None = None
    random = np.random.default_rng(seed)
    played = station.uneven or station.apart
    if station.batches or (played and rho <= HIGHEST_QUOTED + 1e-6):
        middle = overhead_ms + _long_run(station, rate_per_s, percentile, random, long_run)
    elif rho <= HIGHEST_QUOTED + 1e-6:
        middle = overhead_ms + float(
            response_percentile_ms(
                percentile, rate_per_s, station.loaded_ms(rate_per_s), station.cv, station.workers
            )
        )
    low = high = None
    if schedule is not None and schedule.size:
        low, high = _interval(station, schedule, percentile, skipped_s, random)
        low, high = low + overhead_ms, high + overhead_ms
    return Predicted(utilisation=rho, p95_ms=middle, low_ms=low, high_ms=high)


def curve(
    station: Station, overhead_ms: float, top_per_s: float, *, percentile: float, points: int = 24
) -> list[tuple[float, float]]:
    """(requests a second, percentile in ms) up to `top_per_s`, as far as a figure is quoted."""
    found = []
    for rate in np.linspace(top_per_s / points, top_per_s, points):
        at = predict(station, overhead_ms, float(rate), percentile=percentile, long_run=CURVE_RUN)
        if at.p95_ms is not None:
            found.append((float(rate), at.p95_ms))
    return found


def _long_run(
    station: Station, rate_per_s: float, percentile: float, random: np.random.Generator, long: int
) -> float:
    gaps = random.exponential(1 / rate_per_s, long)
    times = responses(np.cumsum(gaps), station, random)
    return float(np.percentile(times[long // 10 :], percentile))


def _interval(
    station: Station,
    schedule: Floats,
    percentile: float,
    skipped_s: float,
    random: np.random.Generator,
) -> tuple[float, float]:
    held = settings().interval
    drift = held.service_drift
    counted = schedule >= skipped_s
    if not counted.any():
        counted = np.ones(schedule.shape, dtype=bool)
    times = max(8, min(held.replications, MOST_PLAYED // schedule.size))
    seen = [
        np.percentile(
            responses(schedule, station, random, drift=random.uniform(drift.low, drift.high))[
                counted
            ],
            percentile,
        )
        for _ in range(times)
    ]
    tail = 100 * (1 - held.share) / 2
    low, high = np.percentile(seen, [tail, 100 - tail])
    return float(low), float(high)
