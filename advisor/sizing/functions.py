"""Functions: one instance a request, scaled by the platform, to zero when nobody calls.

Concurrency is Little's law; the response time is a mixture of warm and cold requests, so a cold
start shows up in the percentile exactly when it is frequent enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Mode
from advisor.sizing.fleet import infeasible as no_function
from advisor.sizing.fleet import overhead_ms
from advisor.sizing.function_prices import Prices, keeps_ready, prices
from advisor.sizing.many_models import many, note, resident
from advisor.sizing.offers import function_offer, why_not
from advisor.sizing.performance import (
    cold_start,
    keep_alive_s,
    lambda_cold_start_s,
    lambda_vcpu,
    serverless_speed,
)  # fmt: skip
from advisor.sizing.provisioned import instances_kept_ready
from advisor.sizing.purchase import ON_DEMAND, Offer, bought_as, month_hours
from advisor.sizing.serverless import cold_share_and_starts, mixture_percentile_ms
from advisor.sizing.sized import EXPECTED, Array, Factors, Sized, Term
from advisor.traffic import Rates
from advisor.workload import Workload

RUNS_PER_MONTH = HOURS_IN_MONTH / 24
CHUNK_S = 60  # a batch invocation carries about a minute of records


@dataclass(frozen=True)
class Function:
    """A memory size and architecture chosen for an option, able to size itself again."""

    option: Option
    work: Workload
    memory_mb: float
    arch: str
    prices: Prices
    kept_ready: bool = False  # instances are kept ready by the clock
    offer: Offer | None = None  # how the time is bought, of length 1; None: on demand

    @property
    def least_cost_usd(self) -> float:
        """Below what a month's duration costs: the bare work without a cold start; where instances
        are kept ready, no more of them than the work needs and one in every hour with requests."""
        prices, work = self.prices, self.work
        seconds = work.need.traffic.requests_per_month * _service_ms(self, EXPECTED) / 1000
        if self.kept_ready:
            served = seconds * (1 - self.option.number("ready_spill"))
            awake = np.count_nonzero(work.rates) * 3600 * HOURS_IN_MONTH / HOURS_IN_WEEK
            usd = max(served, awake) * prices.ready + served * prices.ready_work
        else:
            share = min(1.0, float(self.offer.share[0])) if self.offer else 1.0
            usd = seconds * share * prices.on_demand
        return float(usd * self.memory_mb / 1024 * (1 - 1e-9))  # a whisker for rounding

    def sized(self, factors: Factors = EXPECTED) -> Sized:
        if factors == EXPECTED:
            return self._expected
        return bought_as(self.offer, lambda seen: _size(self, seen), self._usage, factors)

    @cached_property
    def _expected(self) -> Sized:
        return bought_as(self.offer, lambda seen: _size(self, seen), self._usage, EXPECTED)

    def _usage(self, sized: Sized) -> tuple[Array, Array]:
        """Gigabyte-seconds an hour and the hours of a month, spread as the requests are."""
        share: Array = self.work.rates / self.work.rates.mean()
        return share * sized.gb_seconds / HOURS_IN_MONTH, month_hours(len(share))


def functions(
    option: Option, work: Workload, region: str, book: PriceBook, term: Term = ON_DEMAND
) -> Function | Sized:
    """The cheapest memory size that keeps the target, bought in the way of `term`, or an
    infeasible Sized that says why.

    Where cold starts are ruled out and the hours of the traffic are known, instances are kept ready.
    """
    held = resident(option, work)
    need_mb = option.number("overhead_memory_mb") + held.memory_mb
    sizes = [mb for mb in option.memory_sizes_mb if mb >= need_mb]
    if not sizes:
        most = max(option.memory_sizes_mb)
        return no_function(
            f"{need_mb:,.0f} MB {many(held)}with the server > {most:,.0f} MB of the largest function"
        )
    arches = option.architectures
    if not work.need.placement.arm:
        arches = tuple(a for a in arches if a != "arm")
    offers: dict[str, Offer | None] = dict.fromkeys(arches)
    if term != ON_DEMAND:
        found = {a: function_offer(option, a, region, book, term) for a in arches}
        offers = {a: offer for a, offer in found.items() if offer.known.all()}
        if not offers:
            return no_function(why_not(option, region, term, book))
    ready = keeps_ready(option, work)
    tried = [
        Function(option, work, mb, arch, prices(option, book, region, arch, mb), ready, offer)
        for arch, offer in offers.items()
        for mb in sizes
    ]
    best: tuple[float, Function] | None = None
    nearest: Sized | None = None
    for function in tried:
        if best is not None and function.least_cost_usd >= best[0] - 1e-9:
            continue  # it cannot be cheaper, whatever its cold starts
        sized = function.sized()
        if sized.infeasible is None:
            cost = function.prices.usd(sized, _paid_gb_seconds(sized))
            if best is None or cost < best[0] - 1e-9:
                best = (cost, function)
        elif nearest is None or (sized.min_p95_ms or np.inf) < (nearest.min_p95_ms or np.inf):
            nearest = sized
    if best is not None:
        return best[1]
    assert nearest is not None  # noqa: S101 - `tried` is never empty
    return nearest


def _paid_gb_seconds(sized: Sized) -> float:
    """Gigabyte-seconds at the price on demand that cost as much."""
    bought = sized.bought
    if bought is None:
        return sized.gb_seconds
    return bought.share * bought.discounted + bought.on_demand


def _size(function: Function, factors: Factors) -> Sized:
    work, option = function.work, function.option
    need, mode = work.need, work.need.traffic.mode
    vcpu, speed, platform = lambda_vcpu(function.memory_mb), _speed(function), option.machines
    service_ms = _service_ms(function, factors)
    load_s = resident(option, work).start_s / min(1.0, speed * vcpu)
    platform_s = cold_start(option.id).cold_s.expected
    init_s = (
        lambda_cold_start_s(platform_s, load_s) if platform == "lambda" else platform_s + load_s
    )
    rates = work.rates * factors.volume
    requests = need.traffic.requests_per_month * factors.volume
    if mode is Mode.batch:
        return _size_batch(function, requests, service_ms, init_s, vcpu)
    ready: NDArray[np.int64] | None = None
    if function.kept_ready:
        ready, cold = instances_kept_ready(rates, service_ms / 1000, option.number("ready_spill"))
        # Where the price of instances kept ready is not known, the little that spills over would be
        # the whole bill, and fall where more of them are kept.
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
        if response > service.p95_ms:
            share = f"{cold:.1%} cold starts of {init_s:,.1f} s" if cold > 0.001 else "warm"
            infeasible = (
                f"p{service.percentile:g} of {response:,.0f} ms ({share}, "
                f"{function.memory_mb:,.0f} MB) > {service.p95_ms:,.0f} ms target"
            )
    peak = float(rates.max()) * service_ms / 1000
    return _sized(
        function, vcpu, service_ms, requests, billed_s, cold, response,
        concurrency=peak, infeasible=infeasible,
        finish_h=(service_ms / 1000 + init_s) / 3600 if mode is Mode.asynchronous else None,
        runs=0.0, ready=ready, notes=_ready_notes(function, rates, service_ms, init_s, ready),
    )  # fmt: skip


def _ready_notes(
    function: Function,
    rates: Rates,
    service_ms: float,
    init_s: float,
    ready: NDArray[np.int64] | None,
) -> tuple[str, ...]:
    models = note(resident(function.option, function.work))
    if ready is None:
        return (models,) if models else ()
    alive_s = keep_alive_s(function.option.machines)
    cv = function.work.need.model.service_time_cv
    cold, _starts = cold_share_and_starts(rates, service_ms / 1000, alive_s, cv)
    notes = [
        f"Instances are kept ready by the clock, {ready.min()} to {ready.max()} of them; on demand "
        f"{cold:.2%} of the requests would wait {init_s:,.1f} s for a start."
    ]
    if function.prices.imputed:
        notes.append(
            "The price of instances kept ready is not known here: for the ranking alone it is "
            "reckoned in Lambda's proportions to the price on demand."
        )
    return (*notes, models) if models else tuple(notes)


def _speed(function: Function) -> float:
    arch = "arm64" if function.arch == "arm" else "x86_64"
    return serverless_speed(function.option.machines, arch).alone


def _service_ms(function: Function, factors: Factors) -> float:
    """Threads beyond one vCPU help as far as there are vCPUs; less than one slows everything."""
    vcpu = lambda_vcpu(function.memory_mb)
    cores = min(vcpu, function.work.need.model.threads_per_request)
    return function.work.service_time_ms * factors.service_time / (_speed(function) * cores)


def _size_batch(
    function: Function, records: float, service_ms: float, init_s: float, vcpu: float
) -> Sized:
    """Records in chunks of about a minute, as many at once as the deadline needs."""
    work, option = function.work, function.option
    work_s = records * service_ms / 1000
    invocations = max(RUNS_PER_MONTH, work_s / CHUNK_S)
    deadline_s = work.need.service.deadline_h * 3600
    per_run_s = work_s / RUNS_PER_MONTH
    # Half the deadline: retries and a slow start must fit as well.
    concurrency = max(1.0, np.ceil(per_run_s / max(deadline_s / 2 - init_s, 1.0)))
    limit = option.number("max_concurrency")
    finish_s = init_s + per_run_s / min(concurrency, limit)
    infeasible = None
    if finish_s > deadline_s:
        infeasible = (
            f"{finish_s / 3600:,.1f} h at {limit:,.0f} invocations at once > "
            f"{work.need.service.deadline_h:g} h deadline"
        )
    billed_s = work_s + invocations * init_s * 0.05 + concurrency * init_s * RUNS_PER_MONTH
    return _sized(
        function, vcpu, service_ms, invocations, billed_s, 0.0, None,
        concurrency=min(concurrency, limit), infeasible=infeasible, finish_h=finish_s / 3600,
        runs=RUNS_PER_MONTH,
    )  # fmt: skip


def _sized(
    function: Function,
    vcpu: float,
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
    notes: tuple[str, ...] = (),
) -> Sized:
    hourly = () if ready is None else tuple(int(n) for n in ready)
    ready_s = sum(hourly) * 3600.0 * HOURS_IN_MONTH / HOURS_IN_WEEK
    ready_work_s = requests * (1 - cold) * service_ms / 1000 if hourly else 0.0
    arch = " ARM" if function.arch == "arm" else ""
    return Sized(
        strategy="functions",
        machine=f"{function.memory_mb:,.0f} MB{arch}",
        arch="arm64" if function.arch == "arm" else "x86_64",
        vcpu=vcpu,
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
        gb_seconds=billed_s * function.memory_mb / 1024,
        billed_seconds=billed_s,
        ready_seconds=ready_s,
        ready_work_seconds=ready_work_s,
        runs_per_month=runs,
        min_p95_ms=response_ms,
        infeasible=infeasible,
        notes=notes,
    )
