"""Jobs: machines that start, work through the records, and are gone before the deadline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from advisor.catalog.schema import Option
from advisor.durations import duration
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH, Mode
from advisor.sizing.batch import RESERVE, fewest_machines
from advisor.sizing.candidates import Candidates, candidates
from advisor.sizing.collecting import SHORTEST_H, Window, windows
from advisor.sizing.fleet import infeasible, machine_fields, slowed
from advisor.sizing.offers import offered, why_not
from advisor.sizing.performance import cold_start
from advisor.sizing.purchase import ON_DEMAND, Offer, bought_as
from advisor.sizing.shortlist import beside_usd
from advisor.sizing.sized import EXPECTED, Array, Factors, Sized, Term
from advisor.workload import Workload

RUNS_PER_MONTH = HOURS_IN_MONTH / 24  # one run a night
# A spot machine that is taken away begins its share anew: a run may take twice as long.
SPOT_PART = 0.5


@dataclass(frozen=True)
class Job:
    """A machine chosen for the runs of an option, able to size itself again."""

    option: Option
    work: Workload
    machine: Candidates
    window: Window
    offer: Offer | None = None  # how it is bought, of length 1; None: on demand
    least_usd: float = 0.0  # below what the machines cost a month

    def sized(self, factors: Factors = EXPECTED) -> Sized:
        return bought_as(self.offer, lambda seen: _size(self, seen), _usage, factors)


class Runs(NamedTuple):
    """The runs of many machine types, each of shape (m,); without machines where none end in time."""

    machines: Array  # of the fullest run
    run_h: Array  # to its end, start-up included
    hours: Array  # machine-hours a month of all runs; infinite where there are none
    at_once: Array  # machines, runs that overlap together


def job(
    option: Option, work: Workload, region: str, book: PriceBook, term: Term = ON_DEMAND
) -> Job | Sized:
    """The machine type and the window of collecting whose runs, bought in the way of `term`, cost
    least within the deadline, or an infeasible Sized."""
    machines = candidates(option, work, region, book)
    if len(machines) == 0:
        return infeasible(machines.rejected)
    machines, offer = offered(option, machines, region, book, term)
    if len(machines) == 0:
        return infeasible(why_not(option, region, term, book))
    # Machines that are as fast and as wide have the same plan.
    kinds, kind = np.unique(
        np.stack([machines.busy_ms, machines.servers.astype(np.float64)]),
        axis=1,
        return_inverse=True,
    )
    usd_per_hour = np.nan_to_num(machines.usd_per_hour, nan=1e9)
    beside = beside_usd(option, work, book, region)
    best: tuple[float, float, int, Window] | None = None
    for window in windows(work):
        each = _runs(option, work, window, kinds[0], kinds[1], term)
        runs = Runs(*(of[kind.ravel()] for of in each))
        paid = runs.hours
        if offer and term != "spot":
            paid = _paid_hours(runs.hours, np.maximum(runs.at_once, 1.0), offer.share)
        with np.errstate(invalid="ignore"):  # no machines, and nothing beside them
            cost = np.where(runs.machines > 0, paid * usd_per_hour + runs.hours * beside, np.inf)
        at = int(np.lexsort((runs.hours, cost))[0])
        if runs.machines[at] and (best is None or (cost[at], runs.hours[at]) < best[:2]):
            best = (float(cost[at]), float(runs.hours[at]), at, window)
    if best is None:
        return infeasible(_too_late(option, work, term))
    _, hours, at, window = best
    bought = offer.take(np.array([at])) if offer else None
    usd = float(machines.usd_per_hour[at]) * hours
    usd *= min(1.0, float(bought.share[0])) if bought else 1.0
    least_usd = 0.0 if math.isnan(usd) else usd
    return Job(option, work, machines.take(np.array([at])), window, bought, least_usd)


def _usage(sized: Sized) -> tuple[Array, Array]:
    """A run's machines for the hours of the month in which runs are under way, none in between.
    Runs that overlap use more of them."""
    running = min(sized.replica_hours / sized.replicas_max, float(HOURS_IN_MONTH))
    machines = sized.replica_hours / running
    return np.array([machines, 0.0]), np.array([running, HOURS_IN_MONTH - running])


def _paid_hours(hours: Array, machines: Array, share: Array) -> Array:
    """Hours a month at the price on demand that cost as much as the best commitment (`_usage`,
    `purchase.buy`): to the machines of a run, or to none. Where no plan is, infinite."""
    running = np.minimum(hours / machines, HOURS_IN_MONTH)
    with np.errstate(invalid="ignore"):
        committed = share * HOURS_IN_MONTH * hours / running
    return np.asarray(np.where(np.isinf(hours), np.inf, np.fmin(hours, committed)))


def _size(plan: Job, factors: Factors) -> Sized:
    option, work, window = plan.option, plan.work, plan.window
    machine, term = slowed(plan.machine, factors), plan.offer.term if plan.offer else ON_DEMAND
    servers = machine.servers.astype(np.float64)
    runs = _runs(option, work, window, machine.busy_ms, servers, term, factors.volume)
    if runs.machines[0] == 0:
        return infeasible(_too_late(option, work, term))
    records = work.need.traffic.requests_per_month * factors.volume
    queued = window.waits_h > 0
    count = min(window.runs, max(records, 1.0)) if queued else window.runs
    return Sized(
        strategy="job",
        **machine_fields(machine),
        model=f"{'up to ' if queued else ''}{count:,.0f} runs a month, records shared out over the "
        "machines of a run",
        service_time_ms=float(machine.busy_ms[0]),
        servers=int(machine.servers[0]),
        replicas_min=0,
        replicas_max=int(runs.at_once[0]),
        replica_hours=float(runs.hours[0]),
        hourly_replicas=(),
        utilisation=1.0,
        p95_ms=None,
        finish_h=window.waits_h + float(runs.run_h[0]),
        collected_h=window.waits_h,
        runs_per_month=count,
    )


def _runs(
    option: Option,
    work: Workload,
    window: Window,
    service_ms: Array,
    workers: Array,
    term: Term,
    volume: float = 1.0,
) -> Runs:
    """Machines and end of the fullest run, and the machine-hours of all: a quieter one starts as many
    machines less, and none where there is nothing to do.

    A run is planned to end early by the reserve, and in time when its machines start as slowly as
    they may; where there are not so many machines, in time.
    """
    start, load_s = cold_start(option.id).cold_s, work.need.model.load_time_s
    startup_s = start.expected + load_s
    available_s = window.run_h(work.need.service.deadline_h) * 3600
    part = SPOT_PART if term == "spot" else 1.0
    records = window.planned(volume)
    machines, run_s, filled = fewest_machines(
        records, service_ms, workers, startup_s=startup_s,
        wanted_s=min(available_s * min(part, 1 - RESERVE),
                     available_s * part - (start.high - start.expected)),
        least_s=available_s * part,
        max_machines=int(min(option.number("max_replicas"), 1e6)),
    )  # fmt: skip
    if window.waits_h == 0:
        used_s = machines * startup_s + np.ceil(records / workers) * service_ms / 1000
    else:
        begun, waiting = window.begun(volume)
        started = np.ceil(waiting / filled[:, None] - 1e-9)
        # The last round of a run does not fill all workers.
        busy_s = ((waiting - 1) / workers[:, None] + 1) * service_ms[:, None] / 1000
        used_s = (started * startup_s + busy_s) @ (begun * window.share)
    hours = np.where(machines > 0, used_s * window.runs / 3600, np.inf)
    return Runs(machines, run_s / 3600, hours, window.at_once(machines, run_s / 3600, volume))


def _too_late(option: Option, work: Workload, term: Term) -> str:
    start_s = cold_start(option.id).cold_s.expected + work.need.model.load_time_s
    limit = duration(work.need.service.deadline_h)
    queued = work.need.traffic.mode is not Mode.batch
    collecting = f"requests are collected for {SHORTEST_H * 60:g} min at least, " if queued else ""
    again = ", a share begun anew included where a spot machine goes," if term == "spot" else ""
    return (
        f"{collecting}a run starts after {start_s:,.0f} s and cannot finish{again} within {limit} "
        f"on any machine of {option.name}"
    )
