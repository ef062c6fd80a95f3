"""Functions: one instance a request, scaled by the platform, to zero when nobody calls.

Concurrency is Little's law; the response time is a mixture of warm and cold requests, so a cold
start shows up in the percentile exactly when it is frequent enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Mode, Requirements
from advisor.sizing.fleet import overhead_ms
from advisor.sizing.function_kinds import FunctionKind, most_cold_of
from advisor.sizing.function_prices import Prices
from advisor.sizing.many_models import note, resident
from advisor.sizing.performance import keep_alive_s
from advisor.sizing.provisioned import instances_kept_ready, most_spilled
from advisor.sizing.purchase import Offer, bought_as, month_hours
from advisor.sizing.serverless import cold_share_and_starts, mixture_percentile_ms
from advisor.sizing.sized import EXPECTED, Array, Factors, Sized
from advisor.sizing.warm_up import rates_at
from advisor.workload import Workload

RUNS_PER_MONTH = HOURS_IN_MONTH / 24
CHUNK_S = 60  # a batch invocation carries about a minute of records
DEADLINE_PART = 0.5  # of the deadline that a run is planned for: a chunk may have to be repeated


@dataclass(frozen=True)
class Function:
    """A memory size and architecture chosen for an option, able to size itself again."""

    option: Option
    work: Workload
    kind: FunctionKind
    kept_ready: bool = False  # instances are kept ready by the clock
    offer: Offer | None = None  # how the time is bought, of length 1; None: on demand
    volume: float = 1.0  # with warm-up calls, over the volume of the requests alone
    # Dearer by their time alone, and perhaps cheaper as a whole; or kept warm by calls of one's own.
    others: tuple[Function, ...] = ()

    @property
    def memory_mb(self) -> float:
        return self.kind.memory_mb

    @property
    def prices(self) -> Prices:
        return self.kind.prices

    @property
    def floor_usd(self) -> float:
        """Below `least_cost_usd`, and quickly told: instances kept ready are there while they work,
        and one of them in each hour with requests."""
        if not self.kept_ready:
            return self.least_cost_usd
        prices, work = self.prices, self.work
        served = 1 - spilled_at_most(self.option, work.need)
        work_s = work.need.traffic.requests_per_month * self.kind.service_ms / 1000 * served
        one_s = np.count_nonzero(work.rates) * 3600 * HOURS_IN_MONTH / HOURS_IN_WEEK
        usd = max(work_s, one_s) * prices.ready + work_s * prices.ready_work
        return float(usd * self.memory_mb / 1024 * (1 - 1e-9))

    @property
    def least_cost_usd(self) -> float:
        """Below what a month's duration costs: the bare work without a cold start; where instances
        are kept ready, those and the work that they serve."""
        prices, work = self.prices, self.work
        requests, service_s = work.need.traffic.requests_per_month, self.kind.service_ms / 1000
        if self.kept_ready:
            ready = instances_kept_ready(
                work.rates, service_s, spilled_at_most(self.option, self.work.need)
            )
            cold = most_spilled(work.rates, service_s, spilled_at_most(self.option, self.work.need))
            kept_s = float(ready.sum()) * 3600 * HOURS_IN_MONTH / HOURS_IN_WEEK
            usd = kept_s * prices.ready + requests * (1 - cold) * service_s * prices.ready_work
        else:
            share = min(1.0, float(self.offer.share[0])) if self.offer else 1.0
            usd = requests * service_s * share * prices.on_demand
        return float(usd * self.memory_mb / 1024 * (1 - 1e-9))  # a whisker for rounding

    @property
    def least_usd(self) -> float:
        """What its time costs a month, were all of it in the cheapest tier."""
        return self.time_usd(self.sized()) * self.prices.lowest

    def time_usd(self, sized: Sized) -> float:
        """What a plan's time costs a month, all of it in the first tier."""
        return self.prices.usd(sized, _paid_gb_seconds(sized))

    def sized(self, factors: Factors = EXPECTED) -> Sized:
        """The plan; `factors` scale service time and volume. Regions share it: no price enters,
        but whether the one of instances kept ready is known."""
        key = (
            "function", self.option.id, self.memory_mb, self.kind.arch, self.kept_ready,
            self.kept_ready and self.prices.imputed, self.volume, factors,
        )  # fmt: skip
        plan: Sized | None = self.work.kept.get(key)
        if plan is None:
            plan = self.work.kept[key] = _size(self, factors)
        if self.offer is None:
            return plan
        return bought_as(self.offer, lambda seen: self._plain.sized(seen), self._usage, factors)

    def explained(self, sized: Sized) -> Sized:
        """The plan with its notes, which take longer than itself."""
        notes = _notes(self, sized)
        return replace(sized, notes=notes) if notes else sized

    @property
    def too_cold(self) -> bool:
        """Whether so many requests wait for a start that a target is missed which warm ones keep."""
        work, service_s = self.work, self.kind.service_ms / 1000
        if work.need.traffic.mode is not Mode.realtime:
            return False
        if self.kept_ready:
            cold = most_spilled(work.rates, service_s, spilled_at_most(self.option, work.need))
        else:
            cv = work.need.model.service_time_cv
            alive_s = keep_alive_s(self.option.machines)
            cold, _starts = cold_share_and_starts(work.rates, service_s, alive_s, cv)
        return cold > self.kind.most_cold

    @cached_property
    def _plain(self) -> Function:
        return replace(self, offer=None)

    def _usage(self, sized: Sized) -> tuple[Array, Array]:
        """Gigabyte-seconds an hour and the hours of a month, spread as the requests are."""
        share: Array = self.work.rates / self.work.rates.mean()
        return share * sized.gb_seconds / HOURS_IN_MONTH, month_hours(len(share))


def _size(function: Function, factors: Factors) -> Sized:
    work, option = function.work, function.option
    need, mode = work.need, work.need.traffic.mode
    platform = option.machines
    service_ms, init_s = _service_ms(function, factors), function.kind.init_s
    # Warm-up calls fill up what requests leave of the volume that is planned for.
    volume = max(factors.volume, function.volume)
    rates = work.rates * volume
    if volume > factors.volume:
        rates = rates_at(work, volume)
    requests = need.traffic.requests_per_month * volume
    if mode is Mode.batch:
        return _size_batch(function, requests, service_ms)
    ready: NDArray[np.int64] | None = None
    if function.kept_ready:
        spill = spilled_at_most(option, need)
        ready = instances_kept_ready(rates, service_ms / 1000, spill)
        # What spills over falls with each further instance; planned is the most that may.
        cold = most_spilled(rates, service_ms / 1000, spill)
        # Where the price of instances kept ready is not known, this little would be the whole bill.
        spilled_s = requests * cold * (service_ms / 1000 + init_s)
        billed_s = 0.0 if function.prices.imputed else spilled_s
    else:
        cold, starts = cold_share_and_starts(
            rates, service_ms / 1000, keep_alive_s(platform), need.model.service_time_cv
        )
        starts_a_month = starts * HOURS_IN_MONTH * 3600
        billed_s = requests * service_ms / 1000 + starts_a_month * init_s
    overhead = overhead_ms(option, work)
    infeasible, response = None, None
    if mode is Mode.realtime:
        service = need.service
        assert service.p95_ms is not None  # noqa: S101 - real-time requirements carry one
        response = overhead + mixture_percentile_ms(
            service.percentile, cold, service_ms, init_s * 1000, need.model.service_time_cv
        )
        if cold <= most_cold_of(option, work, service_ms, init_s):
            response = min(response, service.p95_ms)  # the root is found to a millionth
        else:
            share = f"{cold:.1%} cold starts of {init_s:,.1f} s" if cold > 0.001 else "warm"
            infeasible = (
                f"p{service.percentile:g} of {response:,.0f} ms ({share}, "
                f"{function.memory_mb:,.0f} MB) > {service.p95_ms:,.0f} ms target"
            )
    peak = float(rates.max()) * service_ms / 1000
    return _sized(
        function, service_ms, requests, billed_s, cold, response,
        warm_up_calls=requests - need.traffic.requests_per_month * factors.volume,
        concurrency=peak, infeasible=infeasible,
        finish_h=(service_ms / 1000 + init_s) / 3600 if mode is Mode.asynchronous else None,
        runs=0.0, ready=ready,
    )  # fmt: skip


def machine_name(kind: FunctionKind) -> str:
    """For people: "1,769 MB ARM"."""
    return f"{kind.memory_mb:,.0f} MB{' ARM' if kind.arch == 'arm' else ''}"


def _paid_gb_seconds(sized: Sized) -> float:
    """Gigabyte-seconds at the price on demand that cost as much."""
    bought = sized.bought
    if bought is None:
        return sized.gb_seconds
    return bought.share * bought.discounted + bought.on_demand


def spilled_at_most(option: Option, need: Requirements) -> float:
    """Share of requests that may find no instance ready: half of those that may be late at most."""
    may_be_late = 1 - need.service.percentile / 100
    return min(option.number("ready_spill"), may_be_late / 2)


def _notes(function: Function, sized: Sized) -> tuple[str, ...]:
    """On the models that stay in memory, and on the instances that are kept ready."""
    work, option = function.work, function.option
    if work.need.traffic.mode is Mode.batch:
        return ()
    models = note(resident(option, work))
    service_s, alive_s = function.kind.service_ms / 1000, keep_alive_s(option.machines)
    cv = work.need.model.service_time_cv
    cold, _starts = cold_share_and_starts(work.rates, service_s, alive_s, cv)
    if not function.kept_ready:
        calls = (_warm_up_note(sized, cold),) if sized.warm_up_calls > 0 else ()
        return (*calls, models) if models else calls
    ready = sized.hourly_replicas
    notes = [
        f"Instances are kept ready by the clock, {min(ready)} to {max(ready)} of them; on demand "
        f"{cold:.2%} of the requests would wait {function.kind.init_s:,.1f} s for a start."
    ]
    if function.prices.imputed:
        notes.append(
            "The price of instances kept ready is not known here: for the ranking alone it is "
            "reckoned in Lambda's proportions to the price on demand."
        )
    return (*notes, models) if models else tuple(notes)


def _warm_up_note(sized: Sized, cold: float) -> str:
    return (
        f"{sized.warm_up_calls:,.0f} calls a month of your own, spread as the requests are, keep "
        f"instances warm: {sized.cold_start_share:.2%} of the requests wait for a start, without "
        f"them {cold:.2%}, and a larger, dearer size would be needed. Set them up by a schedule; "
        "they are in the bill, and the deployment does not make them."
    )


def _service_ms(function: Function, factors: Factors) -> float:
    if factors.service_time == 1.0:
        return function.kind.service_ms
    cores = min(function.kind.vcpu, function.work.need.model.threads_per_request)
    return function.work.service_time_ms * factors.service_time / (function.kind.speed * cores)


def _size_batch(function: Function, records: float, service_ms: float) -> Sized:
    """Records in chunks of about a minute, as many at once as the deadline needs: each of them
    starts once a run and takes the next chunk while it is warm."""
    work, option, init_s = function.work, function.option, function.kind.init_s
    work_s = records * service_ms / 1000
    deadline_s = work.need.service.deadline_h * 3600
    per_run_s = work_s / RUNS_PER_MONTH
    in_time_s = max(deadline_s * DEADLINE_PART - init_s, 1.0)
    concurrency = max(1.0, np.ceil(per_run_s / in_time_s))
    limit = option.number("max_concurrency")
    finish_s = init_s + per_run_s / min(concurrency, limit)
    infeasible = None
    if finish_s > deadline_s:
        infeasible = (
            f"{finish_s / 3600:,.1f} h at {limit:,.0f} invocations at once > "
            f"{work.need.service.deadline_h:g} h deadline"
        )
    billed_s = work_s + min(concurrency, limit) * init_s * RUNS_PER_MONTH
    # A chunk has one record at least, and each instance has one chunk.
    chunks = min(work_s / CHUNK_S, records)
    invocations = max(chunks, min(concurrency, limit) * RUNS_PER_MONTH)
    return _sized(
        function, service_ms, invocations, billed_s, 0.0, None,
        concurrency=min(concurrency, limit), infeasible=infeasible, finish_h=finish_s / 3600,
        runs=RUNS_PER_MONTH,
    )  # fmt: skip


def _sized(
    function: Function,
    service_ms: float,
    requests: float,
    billed_s: float,
    cold: float,
    response_ms: float | None,
    *,
    concurrency: float,
    infeasible: str | None,
    finish_h: float | None,
    runs: float,
    ready: NDArray[np.int64] | None = None,
    warm_up_calls: float = 0.0,
) -> Sized:
    hourly = () if ready is None else tuple(ready.tolist())
    ready_s = sum(hourly) * 3600.0 * HOURS_IN_MONTH / HOURS_IN_WEEK
    ready_work_s = requests * (1 - cold) * service_ms / 1000 if hourly else 0.0
    return Sized(
        strategy="functions",
        machine=machine_name(function.kind),
        arch="arm64" if function.kind.arch == "arm" else "x86_64",
        vcpu=function.kind.vcpu,
        memory_mb=function.memory_mb,
        usd_per_hour=None,
        price_source="",
        price_as_of="",
        model=f"up to {max(hourly)} instances kept ready by the clock (Erlang's loss formula)"
        if hourly
        else "one instance a request (Little's law); warm and cold requests mixed",
        service_time_ms=service_ms,
        servers=1,
        replicas_min=min(hourly, default=0),
        replicas_max=max(hourly, default=max(1, int(np.ceil(concurrency)))),
        replica_hours=(ready_s + billed_s) / 3600,
        hourly_replicas=hourly,
        utilisation=0.0,
        p95_ms=response_ms,
        finish_h=finish_h,
        cold_start_share=cold,
        requests=requests,
        warm_up_calls=warm_up_calls,
        gb_seconds=billed_s * function.memory_mb / 1024,
        billed_seconds=billed_s,
        ready_seconds=ready_s,
        ready_work_seconds=ready_work_s,
        runs_per_month=runs,
        min_p95_ms=response_ms,
        infeasible=infeasible,
    )
