"""Jobs: machines that start, work through the records, and are gone before the deadline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from advisor.catalog.schema import Option
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Mode
from advisor.sizing.batch import BatchPlan, batch_plan
from advisor.sizing.candidates import Candidates, candidates
from advisor.sizing.fleet import infeasible, machine_fields, slowed
from advisor.sizing.offers import offered, why_not
from advisor.sizing.performance import cold_start
from advisor.sizing.purchase import ON_DEMAND, Offer, bought_as
from advisor.sizing.shortlist import beside_usd
from advisor.sizing.sized import EXPECTED, Array, Factors, Sized, Term
from advisor.workload import Workload

RUNS_PER_MONTH = HOURS_IN_MONTH / 24  # one run a night


@dataclass(frozen=True)
class Job:
    """A machine chosen for the runs of an option, able to size itself again."""

    option: Option
    work: Workload
    machine: Candidates
    offer: Offer | None = None  # how it is bought, of length 1; None: on demand
    least_usd: float = 0.0  # below what the machines cost a month

    def sized(self, factors: Factors = EXPECTED) -> Sized:
        return bought_as(self.offer, lambda seen: _size(self, seen), _usage, factors)


def job(
    option: Option, work: Workload, region: str, book: PriceBook, term: Term = ON_DEMAND
) -> Job | Sized:
    """The machine type whose runs, bought in the way of `term`, cost least within the deadline,
    or an infeasible Sized."""
    machines = candidates(option, work, region, book)
    if len(machines) == 0:
        return infeasible(machines.rejected)
    machines, offer = offered(option, machines, region, book, term)
    if len(machines) == 0:
        return infeasible(why_not(option, region, term, book))
    # Machines that are as fast and as wide have the same plan.
    kinds = list(zip(machines.busy_ms.tolist(), machines.servers.tolist(), strict=True))
    first = {kind: i for i, kind in enumerate(kinds)}
    load = _run_loads(work)
    planned = {kind: _plan(option, work, machines, i, EXPECTED, load) for kind, i in first.items()}
    plans = [planned[kind] for kind in kinds]
    fits = np.array([p is not None for p in plans])
    if not fits.any():
        return infeasible(_too_late(option, work))
    hours = np.array([p.machine_hours_per_run if p else np.inf for p in plans])
    paid = hours
    if offer and term != "spot":
        most = np.array([p.machines if p else 1 for p in plans])
        paid = _paid_hours(hours * _runs(work), most, offer.share) / _runs(work)
    usd_per_hour = np.nan_to_num(machines.usd_per_hour, nan=1e9)
    cost = paid * usd_per_hour + hours * beside_usd(option, work, book, region)
    best = np.lexsort((hours, cost))[:1]
    bought = offer.take(best) if offer else None
    usd = float(machines.usd_per_hour[best[0]] * hours[best[0]]) * _runs(work)
    usd *= min(1.0, float(bought.share[0])) if bought else 1.0
    return Job(option, work, machines.take(best), bought, 0.0 if math.isnan(usd) else usd)


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
    option, work, machine = plan.option, plan.work, slowed(plan.machine, factors)
    run = _plan(option, work, machine, 0, factors, _run_loads(work))
    if run is None:
        return infeasible(_too_late(option, work))
    runs = _runs(work)
    return Sized(
        strategy="job",
        **machine_fields(machine),
        model=f"{runs:,.0f} runs a month, records shared out over the machines of a run",
        service_time_ms=float(machine.busy_ms[0]),
        servers=int(machine.servers[0]),
        replicas_min=0,
        replicas_max=run.machines,
        replica_hours=run.machine_hours_per_run * runs,
        hourly_replicas=(),
        utilisation=1.0,
        p95_ms=None,
        finish_h=run.run_h,
        runs_per_month=runs,
    )


def _plan(
    option: Option,
    work: Workload,
    machines: Candidates,
    index: int,
    factors: Factors,
    loads: tuple[Array, Array],
) -> BatchPlan | None:
    """Machines and end of the run with most records, and the machine-hours of a mean run: a quieter
    one starts as many machines less, and none where there is nothing to do."""
    records = work.need.traffic.requests_per_month * factors.volume / _runs(work)
    service_ms, workers = float(machines.busy_ms[index]), int(machines.servers[index])
    startup_s = cold_start(option.id).cold_s.expected + work.need.model.load_time_s
    load, share = loads
    most = batch_plan(
        records * float(load[-1]), service_ms, workers, startup_s=startup_s,
        deadline_h=work.need.service.deadline_h,
        max_machines=int(min(option.number("max_replicas"), 1e6)),
    )  # fmt: skip
    if most is None or len(load) == 1:
        return most
    waiting = records * load
    started = np.ceil(most.machines * load / load[-1] - 1e-9)
    busy_s = np.ceil(np.maximum(waiting, 1.0) / workers) * service_ms / 1000
    hours = np.minimum(waiting, 1.0) * (started * startup_s + busy_s) / 3600
    return replace(most, machine_hours_per_run=float(hours @ share))


def _run_loads(work: Workload) -> tuple[Array, Array]:
    """(records of a run over those of a mean one, rising; the share of runs with so many).

    A night's run has all records of its day. What is queued is collected for `_collected_h`, and
    more is waiting after a busy time than after a quiet one.
    """
    if work.need.traffic.mode is Mode.batch:
        return np.ones(1), np.ones(1)
    whole, rest = divmod(min(_collected_h(work), float(HOURS_IN_WEEK)), 1.0)
    rates = np.concatenate([work.rates, work.rates])
    until = np.concatenate([[0.0], np.cumsum(rates)])
    first = np.arange(HOURS_IN_WEEK)
    last = first + int(whole)
    waiting = until[last] - until[first] + rest * rates[np.minimum(last, len(rates) - 1)]
    load, count = np.unique(np.round(waiting / waiting.mean(), 9), return_counts=True)
    return load, count / HOURS_IN_WEEK


def _collected_h(work: Workload) -> float:
    """Hours for which queued requests are collected into a run, well within the deadline."""
    return max(work.need.service.deadline_h / 2, 0.5)


def _runs(work: Workload) -> float:
    """A batch runs nightly; queued requests are collected into runs well within the deadline."""
    if work.need.traffic.mode is Mode.batch:
        return RUNS_PER_MONTH
    per_deadline = HOURS_IN_MONTH / _collected_h(work)
    return float(min(per_deadline, max(work.need.traffic.requests_per_month, 1.0)))


def _too_late(option: Option, work: Workload) -> str:
    start_s = cold_start(option.id).cold_s.expected + work.need.model.load_time_s
    return (
        f"a run starts after {start_s:,.0f} s and cannot finish within "
        f"{work.need.service.deadline_h:g} h on any machine of {option.name}"
    )
