"""Loads a deployment at chosen rates and holds what is measured against the prediction."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from advisor.errors import DeployError, InputError
from deploy.files import read_kept, write_atomically
from deploy.home import home
from deploy.loadtest.bodies import Bodies, bodies
from deploy.loadtest.calibrate import Server, calibrate, server_of
from deploy.loadtest.found import LoadTest, Point
from deploy.loadtest.measured import measured
from deploy.loadtest.predicted import curve
from deploy.loadtest.roads import LOCAL, Road, road_to
from deploy.loadtest.sender import Sender
from deploy.loadtest.settings import settings

Progress = Callable[[str, float], None]  # what is being done, and the share that is done
CURVE_BEYOND = 1.05


class LoadTestStoppedError(DeployError):
    """The load test was stopped before a rate was measured; nothing is kept."""


def load_test(
    place: str,
    *,
    rates: Sequence[float] | None = None,
    utilisation: Sequence[float] | None = None,
    seconds: float | None = None,
    sample: Path | None = None,
    workers: int | None = None,
    percentile: float | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> LoadTest:
    """Load a deployment (by name or address) and keep the result with it.

    At each of `rates` (requests a second), or at shares of its calibrated capacity, for `seconds`.
    Blocks for about 10 s of calibration and those seconds. When `cancelled` says so, what is
    measured until then is returned. Raises InputError for a place that is not ours or rates beyond
    the bounds, DeployError when the endpoint does not answer, LoadTestStoppedError.
    """
    held = settings()
    seconds = held.defaults.seconds if seconds is None else seconds
    check(rates, utilisation, seconds, workers)
    road = road_to(place)
    found = run(
        road,
        bodies(road, sample),
        server(road),
        rates=rates,
        utilisation=utilisation or held.defaults.utilisation,
        seconds=seconds,
        workers=workers,
        percentile=held.defaults.percentile if percentile is None else percentile,
        progress=progress or (lambda _what, _share: None),
        cancelled=cancelled or (lambda: False),
    )
    _keep(found)
    return found


def run(
    road: Road,
    requests: Bodies,
    behind: Server,
    *,
    rates: Sequence[float] | None,
    utilisation: Sequence[float],
    seconds: float,
    workers: int | None = None,
    percentile: float = 95,
    progress: Progress = lambda _what, _share: None,
    cancelled: Callable[[], bool] = lambda: False,
    processors: Sequence[int] | None = None,
    started: Callable[[int], None] = lambda _pid: None,
    seed: int = 0,
    again_s: float | None = None,
) -> LoadTest:
    """The load test itself; keeps nothing.

    `again_s`: calibrate again, so many seconds, before each rate and for it.
    `processors`: where the sender runs; `started` is told its process id.
    """
    notes: list[str] = []
    points: list[Point] = []
    with Sender(road, requests, processors=processors, started=started) as sender:
        progress("Looking how long one request takes", 0.0)
        calibrated, station = calibrate(
            sender, behind, workers=workers, cancelled=cancelled,
            seconds=None if again_s is None else again_s / 3,  # just to know at which rates
        )  # fmt: skip
        asked = [float(r) for r in rates] if rates else [station.rate_at(u) for u in utilisation]
        if rates:  # others are sent for less long where they are high
            _check_size(asked, seconds)
        for i, first in enumerate(asked):
            rate = first
            if cancelled():
                break
            if again_s is not None:
                calibrated, station = calibrate(
                    sender, behind, workers=workers, cancelled=cancelled, seconds=again_s,
                    rate_per_s=first,
                )  # fmt: skip
                rate = first if rates else station.rate_at(utilisation[i])
            progress(f"{rate:,.3g} requests a second", 0.2 + 0.8 * i / len(asked))
            span_s = seconds_at(rate, seconds)
            if span_s < seconds:
                notes.append(
                    f"At {rate:,.4g} requests a second it was {span_s:.3g} s and not {seconds:g}: "
                    f"a test ends at {settings().bounds.most_requests:,} requests."
                )
            points.append(
                measured(sender, station, calibrated, behind.pid, rate, span_s, percentile,
                       cancelled, seed + i)
            )  # fmt: skip
    if not points:
        raise LoadTestStoppedError("the load test was stopped before it began; nothing is kept")
    if station.batches:
        notes.append(
            "The server batches what waits, which the sizing does not count on: the prediction is "
            "the queue played through, and the sizing's own is higher."
        )
    elif station.apart:
        notes.append(
            "Each copy of the server has a queue of its own: the prediction is the queues played "
            "through, and the sizing's own, of one queue before all, is lower."
        )
    elif station.shares_cores:
        notes.append(
            f"The workers slow each other down ({station.sharing:.2f} times as long when all "
            "work): the prediction is the queue played through, and the sizing's own is lower."
        )
    elif station.uneven:
        notes.append(
            f"After a pause a request takes {1 / station.busy_ratio:.2f} times as long as without: "
            "the prediction is the queue played through, which the sizing's formula does not know."
        )
    if not behind.inline and behind.workers is None and workers is None:
        notes.append("The number of workers is taken to be one; say --workers if there are more.")
    top = CURVE_BEYOND * max(p.rate_per_s for p in points)
    progress("Done", 1.0)
    return LoadTest(
        endpoint=road.shown,
        deployment=road.plan.name if road.plan is not None else None,
        model_digest=road.plan.model_digest if road.plan is not None else None,
        tested_at=datetime.now(UTC).replace(microsecond=0),
        percentile=percentile,
        seconds=seconds,
        calibration=calibrated,
        points=tuple(points),
        curve=tuple(curve(station, calibrated.overhead_ms, top, percentile=percentile)),
        notes=tuple(notes),
    )


def check(
    rates: Sequence[float] | None,
    utilisation: Sequence[float] | None,
    seconds: float,
    workers: int | None = None,
) -> None:
    """Raises InputError for what no load test does."""
    bounds = settings().bounds
    if rates and utilisation:
        raise InputError("rates and utilisation are both given; give one of them")
    for name, values in (("rates", rates), ("utilisation", utilisation)):
        if values and len(values) > bounds.most_rates:
            raise InputError(f"{name} has {len(values)} values; give at most {bounds.most_rates}")
    for rate in rates or ():
        if not 0 < rate <= bounds.most_requests:
            raise InputError(
                f"the rate {rate:g} is not between 0 and {bounds.most_requests:,} requests a second"
            )
    for share in utilisation or ():
        if not 0 < share <= 2:
            raise InputError(f"the utilisation {share:g} is not between 0 and 2; 0.7 is 70 %")
    if not 1 <= seconds <= bounds.most_seconds:
        raise InputError(f"seconds is {seconds:g}; give 1 to {bounds.most_seconds:g} for each rate")
    if workers is not None and not 1 <= workers <= 512:
        raise InputError(f"workers is {workers}; give 1 to 512")


def seconds_at(rate: float, seconds: float) -> float:
    """How long this rate is sent: `seconds`, or until there are as many requests as a test may be."""
    return min(seconds, settings().bounds.most_requests / rate)


def known_test(name: str) -> LoadTest | None:
    """The last load test of the deployment with this name on this machine, or None."""
    return read_kept(_kept(name), LoadTest, "test again")


def server(road: Road) -> Server:
    """What is known of the process behind a road; nothing for other machines."""
    if road.plan is None or road.plan.target != LOCAL:
        return Server()
    from deploy.targets.local_record import log_of, recorded

    found = recorded(road.plan.name)
    return Server() if found is None else server_of(found.pid, log_of(road.plan.name))


def _check_size(rates: Sequence[float], seconds: float) -> None:
    most = settings().bounds.most_requests
    for rate in rates:
        if rate * seconds > most:
            raise InputError(
                f"{rate:,.4g} requests a second for {seconds:g} s are more than {most:,} "
                f"requests; give --seconds {max(1, int(most / rate))} or lower rates"
            )


def _kept(name: str) -> Path:
    safe = re.sub(r"[^a-z0-9.-]+", "-", name.lower())[:80].strip(".-")
    if not safe:
        raise InputError(f"{name[:80]!r} is no name of a deployment")
    return home() / "load-tests" / f"{safe}.json"


def _keep(found: LoadTest) -> None:
    path = _kept(found.deployment or found.endpoint)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, found.model_dump_json(indent=1) + os.linesep)
