"""How records come together into runs: all of a night, or what was queued within a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import pdtrik

from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Mode
from advisor.sizing.sized import Array
from advisor.workload import Workload

# Times that a schedule can be set to: every minute, every quarter of an hour, every day.
WINDOWS_H = (1 / 60, 1 / 12, 1 / 4, 1 / 2, 1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 168)
# Runs of this window may overlap, each on machines of its own: nothing is gained by waiting.
SHORTEST_H = WINDOWS_H[0]
NIGHT_H = 24.0
# Share of the runs after the busiest window that hold no more requests than is planned for.
PLANNED = 0.999


@dataclass(frozen=True, eq=False)
class Window:
    """Runs that begin every `every_h` hours with what has come in since."""

    waits_h: float  # the longest that a record waits for its run to begin; 0: a night's run
    every_h: float
    records: Array  # expected records of a run, rising
    share: Array  # of the runs that have so many

    @property
    def runs(self) -> float:
        """Runs a month, those included that find nothing to do."""
        return HOURS_IN_MONTH / self.every_h

    def planned(self, volume: float) -> float:
        """The records of the fullest run that is planned for; requests come by chance (Poisson)."""
        most = float(self.records[-1]) * volume
        return most if self.waits_h == 0 else float(_most_by_chance(most))

    def begun(self, volume: float) -> tuple[Array, Array]:
        """(share of the runs that find something to do, their mean records), by `records`."""
        mean = self.records * volume
        begun = -np.expm1(-mean)
        return begun, np.where(begun > 0, mean / np.where(begun > 0, begun, 1.0), 1.0)

    def run_h(self, deadline_h: float) -> float:
        """Hours that a run may take: to the deadline, and to the next run."""
        left_h = deadline_h - self.waits_h
        return left_h if self.waits_h == SHORTEST_H else min(left_h, self.every_h)

    def at_once(self, machines: Array, run_h: Array, volume: float) -> Array:
        """Machines of all runs that are under way at the same time."""
        overlapping = np.ceil(run_h / self.every_h - 1e-9)
        begun = overlapping * float(self.begun(volume)[0][-1])
        return np.asarray(machines * np.minimum(overlapping, _most_by_chance(begun)))


def _most_by_chance(mean: ArrayLike) -> Array:
    """What a Poisson number of that mean exceeds once in a thousand times; at least 1."""
    return np.asarray(np.maximum(np.nan_to_num(np.ceil(pdtrik(PLANNED, mean))), 1.0))


def windows(work: Workload) -> tuple[Window, ...]:
    """The windows within the deadline. A night's run has all records of its day; what is queued is
    more after a busy time than after a quiet one."""
    found: tuple[Window, ...] | None = work.kept.get("windows")
    if found is None:
        found = work.kept["windows"] = tuple(_windows(work))
    return found


def _windows(work: Workload) -> list[Window]:
    if work.need.traffic.mode is Mode.batch:
        nightly = work.need.traffic.requests_per_month / HOURS_IN_MONTH * NIGHT_H
        return [Window(0.0, NIGHT_H, np.array([nightly]), np.ones(1))]
    within = [hours for hours in WINDOWS_H if hours < work.need.service.deadline_h]
    return [Window(hours, hours, *_waiting(work, hours)) for hours in within]


def _waiting(work: Workload, hours: float) -> tuple[Array, Array]:
    """(records that come in within so many hours, rising; share of the windows with so many)."""
    whole, rest = divmod(hours, 1.0)
    rates = np.concatenate([work.rates, work.rates])
    until = np.concatenate([[0.0], np.cumsum(rates)])
    first = np.arange(HOURS_IN_WEEK)
    last = first + int(whole)
    waiting = until[last] - until[first] + rest * rates[np.minimum(last, len(rates) - 1)]
    mean = waiting.mean()
    load, count = np.unique(np.round(waiting / mean, 9), return_counts=True)
    return load * mean * 3600, count / HOURS_IN_WEEK
