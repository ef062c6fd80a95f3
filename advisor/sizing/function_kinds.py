"""The sizes in which an option's functions come, each with its speed and start: nothing of the volume.

Made once for all volumes, see `advisor.memo`; what no volume would choose is left out here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from advisor.catalog.schema import Option
from advisor.memo import Same, memo_of
from advisor.prices import PriceBook
from advisor.requirements import Mode
from advisor.sizing.fleet import overhead_ms
from advisor.sizing.function_prices import PriceList, Prices
from advisor.sizing.many_models import resident
from advisor.sizing.performance import (
    cold_start,
    lambda_cold_start_s,
    lambda_vcpu,
    serverless_speed,
)
from advisor.sizing.service_time import ServiceTime
from advisor.sizing.warm_up import most_cold
from advisor.workload import Workload

MOST_KINDS = 512


@dataclass(frozen=True)
class FunctionKind:
    """A memory size and architecture of a function for a workload of any volume."""

    memory_mb: float
    arch: str
    prices: Prices
    vcpu: float
    speed: float  # of one vCPU, over the reference
    service_ms: float
    init_s: float  # until a new instance answers
    most_cold: float  # largest share of cold requests that keeps the target; 1 where nobody waits

    @property
    def unit_costs(self) -> tuple[float, float, float]:
        """USD for a second of an instance: on demand, kept ready, and of its work."""
        gb, prices = self.memory_mb / 1024, self.prices
        return gb * prices.on_demand, gb * prices.ready, gb * prices.ready_work


@dataclass(frozen=True, eq=False)
class FunctionKinds:
    """Of all sizes with room for the model, those that may be the quickest or the cheapest."""

    quickest: tuple[FunctionKind, ...]  # no other both works and starts as quickly
    quick: tuple[FunctionKind, ...]  # keep the target when warm
    distinct: tuple[
        FunctionKind, ...
    ]  # of those, without any as quick as an earlier one and dearer


def function_kinds(
    option: Option, work: Workload, listed: PriceList, book: PriceBook
) -> FunctionKinds:
    """Remembered by the answers that they look at."""
    return cast(
        FunctionKinds,
        memo_of(book, "function kinds", MOST_KINDS).get(
            (Same(option), Same(listed)), work, lambda seen: _kinds(option, seen, listed)
        ),
    )


def _kinds(option: Option, work: Workload, listed: PriceList) -> FunctionKinds:
    every = tuple(_each_kind(option, work, listed))
    longest_ms = math.inf  # a service time that keeps the target when warm
    service, cv = work.need.service, work.need.model.service_time_cv
    if work.need.traffic.mode is Mode.realtime and service.p95_ms is not None:
        left_ms = service.p95_ms - overhead_ms(option, work)
        longest_ms = left_ms / _warm_percentile(service.percentile, cv) * (1 + 1e-6)
    quick = tuple(kind for kind in every if kind.service_ms <= longest_ms)
    return FunctionKinds(tuple(_quickest(every)), quick, tuple(_distinct(quick)))


def _each_kind(option: Option, work: Workload, listed: PriceList) -> Iterator[FunctionKind]:
    """Threads beyond one vCPU help as far as there are vCPUs; less than one slows everything."""
    threads, service_ms = work.need.model.threads_per_request, work.service_time_ms
    start_s, platform_s = resident(option, work).start_s, cold_start(option.id).cold_s.expected
    speeds = {
        arch: serverless_speed(option.machines, "arm64" if arch == "arm" else "x86_64").alone
        for arch, _memory_mb in listed.prices
    }
    for (arch, memory_mb), prices in listed.prices.items():
        vcpu, speed = lambda_vcpu(memory_mb), speeds[arch]
        load_s = start_s / min(1.0, speed * vcpu)
        on_lambda = option.machines == "lambda"
        init_s = lambda_cold_start_s(platform_s, load_s) if on_lambda else platform_s + load_s
        request_ms = service_ms / (speed * min(vcpu, threads))
        yield FunctionKind(
            memory_mb, arch, prices, vcpu, speed, request_ms, init_s,
            most_cold_of(option, work, request_ms, init_s),
        )  # fmt: skip


def most_cold_of(option: Option, work: Workload, service_ms: float, init_s: float) -> float:
    """The largest share of cold requests that keeps the target; 1 where nobody waits for an answer,
    below 0 where warm ones alone do not keep it."""
    need = work.need
    service = need.service
    if need.traffic.mode is not Mode.realtime:
        return 1.0
    assert service.p95_ms is not None  # noqa: S101 - real-time requirements carry one
    left_ms, cv = service.p95_ms - overhead_ms(option, work), need.model.service_time_cv
    return most_cold(service.percentile, left_ms, service_ms, init_s * 1000, cv)


def _quickest(kinds: Sequence[FunctionKind]) -> Iterator[FunctionKind]:
    soonest = math.inf
    for kind in sorted(kinds, key=lambda kind: (kind.service_ms, kind.init_s)):
        if kind.init_s < soonest:
            soonest = kind.init_s
            yield kind


def _distinct(kinds: Sequence[FunctionKind]) -> Iterator[FunctionKind]:
    seen: dict[tuple[float, float], list[tuple[float, float, float]]] = {}
    for kind in kinds:
        cheaper = seen.setdefault((kind.service_ms, kind.init_s), [])
        mine = kind.unit_costs
        if not any(all(a <= b for a, b in zip(other, mine, strict=True)) for other in cheaper):
            cheaper.append(mine)
            yield kind


@lru_cache(maxsize=256)
def _warm_percentile(percentile: float, cv: float) -> float:
    """Over the mean service time, without cold starts: no mixture with them is quicker."""
    return ServiceTime(cv).upper_quantile(1 - percentile / 100)
