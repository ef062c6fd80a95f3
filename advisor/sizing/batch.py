"""Runs against a deadline that nobody waits for: how many machines, until when."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from advisor.errors import InputError

Floats = NDArray[np.float64]

# Machine scores are good to +-20 %: a run is planned to end this share of its time early.
RESERVE = 0.2


@dataclass(frozen=True)
class BatchPlan:
    """Machines for one run; all start together and stop when the last record is done."""

    machines: int
    run_h: float  # start-up included
    machine_hours_per_run: float  # of all machines, each until its own share is done


def batch_plan(
    records: float,
    service_ms: float,
    workers_per_machine: int,
    *,
    startup_s: float,
    deadline_h: float,
    max_machines: int | None = None,
    reserve: float = RESERVE,
) -> BatchPlan | None:
    """The fewest machines that end within (1 - reserve) of the deadline; None if none can.

    Records are shared out evenly: the busiest worker takes ceil(records / workers) of them, one
    after the other. A machine stops when its share is done. Where the reserve needs more than
    `max_machines`, all of these run and keep what is left of it, before the answer is None.
    `service_ms` is the time of one record with all workers busy.
    """
    if records < 0 or service_ms <= 0 or workers_per_machine < 1 or startup_s < 0:
        raise InputError(
            f"records is {records:g}, service_ms {service_ms:g}, workers_per_machine "
            f"{workers_per_machine}, startup_s {startup_s:g}; give 0 or more records, a time "
            "above 0, at least 1 worker, and a start-up of 0 or more"
        )
    machines, run_s, _filled = fewest_machines(
        records, np.array([service_ms]), np.array([workers_per_machine]), startup_s=startup_s,
        wanted_s=deadline_h * 3600 * (1 - reserve), least_s=deadline_h * 3600,
        max_machines=math.inf if max_machines is None else max_machines,
    )  # fmt: skip
    if machines[0] == 0:
        return None
    used_s = machines[0] * startup_s + math.ceil(records / workers_per_machine) * service_ms / 1000
    return BatchPlan(int(machines[0]), float(run_s[0]) / 3600, float(used_s) / 3600)


def fewest_machines(
    records: float,
    service_ms: Floats,
    workers: ArrayLike,
    *,
    startup_s: float,
    wanted_s: float,
    least_s: float,
    max_machines: float,
) -> tuple[Floats, Floats, Floats]:
    """(machines of a run, seconds to its end, records that fill a machine) of many machine types,
    each of shape (m,).

    The fewest that end within `wanted_s`, a record for each worker where none do; where that takes
    more than `max_machines`, as many as there are, if these end within `least_s`; else 0.
    """
    count = np.asarray(workers, dtype=np.float64)
    # A whisker more time than exactly n records is n records.
    least, wanted = (
        np.floor((seconds - startup_s) * 1000 / service_ms + 1e-9)
        for seconds in (least_s, wanted_s)
    )
    filled = np.maximum(wanted, 1.0) * count
    needed = np.maximum(np.ceil(records / filled - 1e-9), 1.0)
    possible = np.maximum(np.ceil(records / (np.maximum(least, 1.0) * count) - 1e-9), 1.0)
    machines = np.where(
        (least < 1) | (possible > max_machines), 0.0, np.minimum(needed, max_machines)
    )
    some = np.maximum(machines, 1.0)
    run_s = startup_s + np.ceil(records / (some * count)) * service_ms / 1000
    return machines, run_s, np.maximum(filled, records / some)
