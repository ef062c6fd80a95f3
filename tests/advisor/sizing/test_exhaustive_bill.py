"""No machine, size or way to buy that an option has gives a smaller bill than the one chosen.

Here every machine that holds the model is sized and its whole bill is made, bought in every way
that was allowed, with every level of commitment tried one by one; in the same way every memory size
of a function, with instances kept ready or warmed by calls where that is allowed. Nothing is left
out beforehand, which is what the search of the advisor lives on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from advisor.catalog.loader import load_options
from advisor.catalog.loader import option as option_of
from advisor.catalog.schema import Option
from advisor.costs.bill import Bill, lines_of, sum_usd
from advisor.errors import RequirementsError, UnknownPriceError
from advisor.plans import home_usd, imputed_machines_usd, ways
from advisor.prices import load_book
from advisor.requirements import Mode, parse
from advisor.sizing.candidates import candidates
from advisor.sizing.collecting import windows
from advisor.sizing.fleet import Fleet, min_replicas, overhead_ms
from advisor.sizing.function import Function
from advisor.sizing.function_kinds import function_kinds
from advisor.sizing.function_prices import PriceList, keeps_ready
from advisor.sizing.functions import prices_for
from advisor.sizing.job import Job
from advisor.sizing.offers import function_offer, least_on_spot, offered, terms
from advisor.sizing.performance import keep_alive_s
from advisor.sizing.purchase import ON_DEMAND, Offer, month_hours
from advisor.sizing.sized import Bought, Sized, Term
from advisor.sizing.warm_up import least_volume
from advisor.workload import Workload, resolve

REGIONS = {
    "aws": ("us-east-1", "eu-west-1", "ap-southeast-2", "sa-east-1"),
    "gcp": ("us-central1", "europe-west4", "asia-northeast1"),
    "azure": ("eastus", "westeurope", "southeastasia"),
    "kubernetes": ("your cluster",),
    "own-hardware": ("your hardware",),
}
BY_NAME = sorted(load_options())
MOST_CALLS = 1e5  # times the volume, that warm-up calls may make of it here
ROUNDING = 1e-9
QUICK = settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, derandomize=False, max_examples=300)


@st.composite
def workloads(draw: st.DrawFn) -> tuple[Option, Workload, str]:
    """An option, answers that it may be asked with, and a region of its cloud."""
    option = option_of(draw(st.sampled_from(BY_NAME)))
    mode = draw(st.sampled_from([mode.value for mode in option.modes]))
    gpu = option.scaling != "per-request" and draw(st.integers(0, 4)) == 0
    need: dict[str, Any] = {
        "model": {
            "format": draw(st.sampled_from(["joblib", "onnx"])),
            "size_mb": draw(st.sampled_from([20, 150])),
            "memory_mb": draw(st.sampled_from([250, 900, 4_000, 30_000])),
            "service_time_ms": 10 ** draw(st.floats(-0.3, 2.8)),
            "service_time_cv": draw(st.sampled_from([0.0, 0.3, 1.0, 2.0])),
            "threads_per_request": draw(st.sampled_from([1, 1, 2, 4])),
            "load_time_s": draw(st.sampled_from([0.5, 4, 25])),
            "gpu": gpu,
            "gpu_memory_gb": draw(st.sampled_from([None, 10, 30])) if gpu else None,
        },
        "traffic": {
            "mode": mode,
            "requests_per_month": 10 ** draw(st.floats(2, 9.3)),
            "pattern": draw(
                st.sampled_from(["steady", "business-hours", "spiky", "rare", "nightly"])
            ),
            "request_mb": draw(st.sampled_from([0.002, 0.3])),
        },
        "service": {
            "percentile": draw(st.sampled_from([90, 95, 99])),
            "availability_percent": draw(st.sampled_from([99.0, 99.9])),
            "cold_starts_ok": draw(st.booleans()),
            "deadline_h": draw(st.sampled_from([0.5, 6, 24])),
        },
        "control": {
            "private_network": draw(st.booleans()),
            "models_per_endpoint": draw(st.sampled_from([1, 1, 1, 40])),
        },
        "placement": {
            "clouds": [option.cloud.value],
            "arm": draw(st.booleans()),
            "burstable": draw(st.booleans()),
            "spot": draw(st.booleans()),
            "spot_alone": draw(st.booleans()),
            "commitment": draw(st.sampled_from(["none", "1y", "3y"])),
            "node_hourly_usd": draw(st.sampled_from([None, 0.21])),
        },
    }
    if mode == "realtime":
        need["service"]["p95_ms"] = need["model"]["service_time_ms"] * draw(st.floats(1.5, 40)) + 20
    region = draw(st.sampled_from(REGIONS[option.cloud.value]))
    try:
        return option, resolve(parse(need)), region
    except RequirementsError:
        assume(False)
        raise


def every_bill(option: Option, work: Workload, region: str) -> Iterator[tuple[float, str]]:
    """(USD a month, what it is) of every machine or size and every way to buy it."""
    for term in terms(option, work.need):
        every = every_function if option.scaling == "per-request" else every_machine
        for made, label in every(option, work, region, term):
            sized = made.sized()
            if sized.infeasible is None and in_time(work, sized):
                yield billed(option, work, region, made, sized), f"{label}, {term}"
                for other in every_level(made, sized):
                    yield billed(option, work, region, made, other), f"{label}, {term}, by level"


def in_time(work: Workload, sized: Sized) -> bool:
    deadline_h = work.need.service.deadline_h
    return sized.finish_h is None or sized.finish_h <= deadline_h * (1 + ROUNDING)


def every_machine(
    option: Option, work: Workload, region: str, term: Term
) -> Iterator[tuple[Fleet | Job, str]]:
    book = load_book()
    machines, offer = offered(option, candidates(option, work, region, book), region, book, term)
    for i in range(len(machines)):
        one = slice(i, i + 1)
        bought = offer.take(one) if offer else None
        if option.scaling == "job" or work.need.traffic.mode is Mode.batch:
            for window in windows(work):
                label = f"{machines.name[i]}, every {window.every_h:g} h"
                yield Job(option, work, machines.part(one), window, bought), label
        else:
            least = least_on_spot(work.need, min_replicas(option, work), term)
            overhead = overhead_ms(option, work)
            fleet = Fleet(option, work, machines.part(one), overhead, least, bought)
            yield fleet, str(machines.name[i])


def every_function(
    option: Option, work: Workload, region: str, term: Term
) -> Iterator[tuple[Function, str]]:
    book, ready = load_book(), keeps_ready(option, work)
    listed = prices_for(option, work, region, book)
    if isinstance(listed, Sized):
        return
    for (arch, memory_mb), prices in listed.prices.items():
        offer = None
        if term != ON_DEMAND:
            offer = function_offer(option, arch, region, book, term)
            if not offer.known.all():
                continue
        only = function_kinds(option, work, PriceList({(arch, memory_mb): prices}), book)
        plain = Function(option, work, only.quickest[0], ready, offer)
        yield plain, f"{memory_mb:g} MB {arch}"
        sized = plain.sized()
        if sized.infeasible and sized.cold_start_share > 0 and not ready:
            most = plain.kind.most_cold
            alive_s = keep_alive_s(option.machines)
            calls = least_volume(work, plain.kind.service_ms / 1000, alive_s, most, MOST_CALLS)
            if calls is not None:
                yield replace(plain, volume=calls), f"{memory_mb:g} MB {arch}, warmed"


def every_level(made: Fleet | Job | Function, sized: Sized) -> Iterator[Sized]:
    """The same plan with any other number of machines committed to."""
    offer: Offer | None = made.offer
    if offer is None or sized.strategy != "fleet" or offer.term == "spot":
        return
    used = sized.hourly_use or sized.hourly_replicas
    each = month_hours(len(used))
    label = sized.bought.label if sized.bought else offer.label
    for level in sorted({math.ceil(n) for n in used} | {math.floor(n) for n in used}):
        if level == 0:
            continue
        above = sum(max(n - level, 0.0) * hours for n, hours in zip(used, each, strict=True))
        bought = Bought(
            term=offer.term, label=label, share=float(offer.share[0]), level=float(level),
            discounted=level * float(each.sum()), on_demand=float(above), idle=0.0, source="",
            as_of="",
        )  # fmt: skip
        yield replace(sized, bought=bought)


def billed(
    option: Option, work: Workload, region: str, made: Fleet | Job | Function, sized: Sized
) -> float:
    """The bill, and what stands in for prices that are not known."""
    book = load_book()
    lines = lines_of(Bill(option, work, sized, region, book))
    usd, at_least = sum_usd(lines)
    if at_least:
        if isinstance(made, Function):
            usd += made.prices.ready_usd(sized) if made.prices.imputed else 0.0
        else:
            usd += float(imputed_machines_usd(option, sized))
        usd += float(home_usd(lines, book))
    return usd


def check(option: Option, work: Workload, region: str) -> None:
    try:
        found = ways(option, work, region, load_book())
    except UnknownPriceError:
        return
    every = list(every_bill(option, work, region))
    if isinstance(found, Sized):
        # Warm-up calls are offered beside a size that does without them, not where there is none.
        every = [(usd, what) for usd, what in every if "warmed" not in what]
        assert not every, (found.infeasible, min(every))
        return
    plan = found.plan(ranges=False)
    if not in_time(work, plan.sized):
        assert not every, min(every)  # the rule of the deadline refuses it, as all others
        return
    usd = plan.monthly_usd.expected + plan.imputed_usd
    least, what = min(every)
    bought = plan.sized.bought.label if plan.sized.bought else "on demand"
    assert usd <= least * (1 + ROUNDING) + ROUNDING, (plan.sized.machine, bought, usd, what, least)
    assert usd >= least * (1 - ROUNDING) - ROUNDING, "the search here has not tried what was chosen"
    assert found.least_usd <= plan.total_usd.expected * (1 + ROUNDING)


@QUICK
@given(workloads())
def test_no_other_machine_or_way_to_buy_gives_a_smaller_bill(
    drawn: tuple[Option, Workload, str],
) -> None:
    check(*drawn)


RUNS = [
    # (service time, threads, records, commitment, load time), once chosen by their time alone
    (3.2454, 1, 4_961_859, "1y", 0.5),
    (8.0346, 4, 135_071_986, "none", 25.0),
    (216.2, 2, 904_601_187, "1y", 4.0),
    (90_000.0, 1, 400, "none", 0.5),  # a record takes more than a chunk
]


@pytest.mark.parametrize(("service_ms", "threads", "records", "commitment", "load_s"), RUNS)
@pytest.mark.parametrize("name", ["lambda-url", "lambda-apigateway"])
def test_the_fee_of_each_invocation_counts_in_the_size_of_a_run(
    name: str, service_ms: float, threads: int, records: int, commitment: str, load_s: float
) -> None:
    model = {
        "format": "onnx", "size_mb": 20, "memory_mb": 250, "service_time_ms": service_ms,
        "service_time_cv": 0.3, "threads_per_request": threads, "load_time_s": load_s,
    }  # fmt: skip
    need = {
        "model": model,
        "traffic": {"mode": "batch", "requests_per_month": records},
        "placement": {"clouds": ["aws"], "commitment": commitment},
    }
    check(option_of(name), resolve(parse(need)), "us-east-1")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))  # each within the time that a test may take
@LONG
@given(workloads())
def test_the_same_over_many_workloads(part: int, drawn: tuple[Option, Workload, str]) -> None:
    check(*drawn)
