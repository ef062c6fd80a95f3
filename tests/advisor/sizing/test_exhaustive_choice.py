"""The machine chosen is never dearer than what trying every machine and replica count finds.

The search here is written apart from the sizing: plain loops over the price list. Only the response
time of one replica is taken from it (which has its own proof against simulation). It is run with a
rate one per cent higher and one per cent lower, between which the plan's cost has to lie.
"""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from advisor.catalog.loader import option as option_of
from advisor.catalog.schema import Option
from advisor.prices import Machine, load_book
from advisor.requirements import Requirements, parse
from advisor.sizing.choose import size
from advisor.sizing.performance import cpu_speed, gpu_speed
from advisor.sizing.queueing import replica_percentile_ms, utilisation
from advisor.sizing.sized import Sized
from advisor.workload import Workload, resolve

CLOUDS = {"ec2": "aws", "sagemaker": "aws", "vertex": "gcp", "azure-vm": "azure"}
REGIONS = {"aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}
OPTIONS = ("ec2", "sagemaker-realtime", "vertex-online", "azureml-online")


def workload(seed: int) -> Requirements:
    draw = random.Random(seed)
    return parse(
        {
            "model": {
                "format": draw.choice(["joblib", "onnx"]),
                "size_mb": 50,
                "memory_mb": draw.choice([300, 1500, 9000]),
                "service_time_ms": 10 ** draw.uniform(0, 2.3),
                "service_time_cv": draw.choice([0.0, 0.3, 1.0]),
                "threads_per_request": draw.choice([1, 1, 2]),
                "gpu": draw.random() < 0.15,
            },
            "traffic": {
                "mode": "realtime",
                "requests_per_month": 10 ** draw.uniform(4, 9),
                "pattern": draw.choice(["steady", "business-hours"]),
            },
            "service": {
                "p95_ms": 10 ** draw.uniform(1.7, 3.3),
                "availability_percent": draw.choice([99.0, 99.95]),
            },
            "placement": {"arm": draw.random() < 0.6, "burstable": draw.random() < 0.3},
        }
    )


def speeds(option: Option, machine: Machine, work: Workload) -> tuple[float, float, int] | None:
    """(alone ms, busy ms, requests at once) of a machine; None where it must not be used."""
    need = work.need
    if machine.vcpu <= 0 or machine.memory_gib <= 0 or machine.usd_per_hour <= 0:
        return None
    if (machine.arch == "arm64" and not need.placement.arm) or (
        machine.burstable and not need.placement.burstable
    ):
        return None
    if option.machine_families and machine.family not in option.machine_families:
        return None
    if machine.name in option.machines_refused or machine.vcpu < least_vcpu(option):
        return None
    room_mb = machine.memory_gib * 1024 - option.number("overhead_memory_mb")
    if room_mb < need.model.memory_mb:
        return None
    if need.model.gpu:
        card = gpu_speed(machine.gpu_name)
        if machine.gpu_count < 1 or not machine.gpu_name or card.relative <= 0:
            return None
        ms = work.service_time_ms / card.relative
        return ms, ms, int(machine.gpu_count)
    speed = cpu_speed(CLOUDS[option.machines], machine.family)
    if machine.gpu_count or not machine.family or speed.confidence == "estimate":
        return None
    threads = need.model.threads_per_request
    workers = int(machine.vcpu // threads)
    if need.model.format.value == "joblib":  # a process and a copy of the model for each worker
        workers = min(workers, int(room_mb // need.model.memory_mb))
    if workers < 1:
        return None
    return (
        work.service_time_ms / (speed.alone * threads),
        work.service_time_ms / (speed.busy * threads),
        workers,
    )


def least_vcpu(option: Option) -> float:
    least = option.number("min_vcpu")
    return least if math.isfinite(least) else 0.0


def cheapest(option: Option, work: Workload, region: str, strain: float) -> float:
    """USD a month for machines, over all machines and replica counts; inf where none will do."""
    need, book = work.need, load_book()
    moved = need.traffic.request_mb + need.traffic.response_mb
    overhead = option.number("overhead_ms") + moved / option.number("network_mb_per_s") * 1000
    assert need.service.p95_ms is not None
    left_ms = need.service.p95_ms - overhead
    single = option.number("single_replica_availability_percent")
    least = 1 if need.service.availability_percent <= single else 2
    hours = np.maximum(work.rates, np.roll(work.rates, -1))
    if option.scaling != "autoscaled":
        hours = np.full(168, work.rates.max())
    beside = sum(
        book.rate(sku, region).tiers[0].unit_price_usd * each
        for sku, each in option.per_replica_hour.items()
    )
    distinct, count = np.unique(hours, return_counts=True)
    best = math.inf
    table = book.machines(option.machines, region)
    tried: dict[tuple[float, float, int], float] = {}
    for i in range(len(table)):
        machine = table.row(i)
        found = speeds(option, machine, work)
        if found is None:
            continue
        if found not in tried:
            tried[found] = sum(
                replicas(rate * strain, found, left_ms, least, need) * often
                for rate, often in zip(distinct, count, strict=True)
            )
        best = min(best, tried[found] * (machine.usd_per_hour + beside))
    return best * 730 / 168


def replicas(
    rate: float, machine: tuple[float, float, int], left_ms: float, least: int, need: Requirements
) -> float:
    """The fewest replicas that keep target and utilisation, one more tried after the other."""
    alone, busy, workers = machine
    cv, percentile = need.model.service_time_cv, need.service.percentile

    def keeps(each: float) -> bool:
        load = float(utilisation(each, workers, alone, busy))
        if load > need.service.max_utilisation:
            return False
        return bool(replica_percentile_ms(each, percentile, alone, busy, cv, workers) <= left_ms)

    if left_ms <= 0 or not keeps(0.0):
        return math.inf
    # Fewer would be busier than allowed even at the speed of an idle machine.
    n = max(least, math.floor(rate * alone / 1000 / workers / need.service.max_utilisation))
    while not keeps(rate / n):
        n += 1 if n < 50 else n // 50
    return n


def check(seed: int, option_id: str) -> None:
    option, work = option_of(option_id), resolve(workload(seed))
    region = REGIONS[option.cloud.value]
    made = size(option, work, region, load_book())
    plan = made if isinstance(made, Sized) else made.sized()
    at_most = cheapest(option, work, region, 1.01)
    at_least = cheapest(option, work, region, 0.99)
    if plan.infeasible is not None:
        assert math.isinf(at_most), plan.infeasible
        return
    assert plan.usd_per_hour is not None
    beside = sum(
        load_book().rate(sku, region).tiers[0].unit_price_usd * each
        for sku, each in option.per_replica_hour.items()
    )
    cost = plan.replica_hours * (plan.usd_per_hour + beside)
    assert cost <= at_most * (1 + 1e-9)
    # Above 50 replicas the search here takes steps of 2 %.
    assert cost >= at_least * (1 - 1e-9) or plan.replicas_max > 50


@pytest.mark.parametrize(("seed", "option_id"), enumerate(OPTIONS))
def test_never_dearer_than_exhaustive_search(seed: int, option_id: str) -> None:
    check(seed, option_id)


@pytest.mark.slow
@pytest.mark.parametrize("option_id", OPTIONS)
@pytest.mark.parametrize("seed", range(10, 30))
def test_never_dearer_than_exhaustive_search_at_many_workloads(seed: int, option_id: str) -> None:
    check(seed, option_id)
