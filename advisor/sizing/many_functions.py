"""Functions on demand at many volumes at once: `functions.functions` as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH, Mode
from advisor.sizing.fleet import overhead_ms
from advisor.sizing.function_kinds import FunctionKind, function_kinds
from advisor.sizing.functions import WHISKER_USD, machine_name, prices_for
from advisor.sizing.performance import keep_alive_s
from advisor.sizing.serverless import cold_weeks, mixture_misses, mixture_percentile_ms
from advisor.sizing.service_time import ServiceTime
from advisor.sizing.sized import Array, Sized
from advisor.volumes import Volumes

NEAR = 1e-4  # a share of misses this near to the allowed one is looked at by itself


@dataclass(frozen=True, eq=False)
class Chosen:
    """The volumes at which a size is the cheapest that keeps the target; arrays (plans,)."""

    at: NDArray[np.int64]
    machine: str
    arch: str  # as in Sized
    vcpu: float
    memory_mb: float
    requests: Array
    billed_s: Array
    cold: Array
    most: NDArray[np.int64]  # instances in the busiest hour
    p95_ms: Array | None
    finish_h: Array | None


def chosen_functions(
    option: Option, volumes: Volumes, region: str, book: PriceBook
) -> Iterator[Chosen]:
    """At each volume the cheapest size that keeps the target, the first of equal ones; none where
    none does. Raises UnknownPriceError."""
    first = volumes.works[0]
    listed = prices_for(option, first, region, book)
    if isinstance(listed, Sized):
        return
    kinds = function_kinds(option, first, listed, book).distinct
    if not kinds:
        return
    cold, billed_s = _cold_and_billed(option, volumes, kinds)
    sizes = np.array([kind.memory_mb for kind in kinds])[:, None]
    on_demand = np.array([kind.prices.on_demand for kind in kinds])[:, None]
    cost = np.where(
        _keeps(option, volumes, kinds, cold), billed_s * sizes / 1024 * on_demand, np.inf
    )
    cheapest = cost.min(axis=0)
    number = (cost <= cheapest + WHISKER_USD).argmax(axis=0)
    number[np.isinf(cheapest)] = -1
    for k, kind in enumerate(kinds):
        at = np.flatnonzero(number == k)
        if at.size:
            yield _chosen(option, volumes, kind, at, cold[k, at], billed_s[k, at])


def _cold_and_billed(
    option: Option, volumes: Volumes, kinds: Sequence[FunctionKind]
) -> tuple[Array, Array]:
    """(share of cold requests, seconds billed a month), shapes (kinds, volumes)."""
    _values, first, where = np.unique(volumes.rates[-1], return_index=True, return_inverse=True)
    distinct = volumes.rates[:, first]
    alive_s, cv = keep_alive_s(option.machines), volumes.need.model.service_time_cv

    @cache
    def week(service_s: float) -> tuple[Array, Array]:
        return cold_weeks(distinct, where, service_s, alive_s, cv)

    weeks = [week(kind.service_ms / 1000) for kind in kinds]
    billed = [
        volumes.requests * kind.service_ms / 1000 + starts * HOURS_IN_MONTH * 3600 * kind.init_s
        for kind, (_cold, starts) in zip(kinds, weeks, strict=True)
    ]
    return np.array([cold for cold, _ in weeks]), np.array(billed)


def _keeps(
    option: Option, volumes: Volumes, kinds: Sequence[FunctionKind], cold: Array
) -> NDArray[np.bool_]:
    """Whether each keeps the target with its cold starts, shape (kinds, volumes)."""
    need = volumes.need
    if need.traffic.mode is not Mode.realtime:
        return np.ones(cold.shape, dtype=np.bool_)
    service, cv = need.service, need.model.service_time_cv
    assert service.p95_ms is not None  # noqa: S101 - real-time requirements always carry one
    left_ms = service.p95_ms - overhead_ms(option, volumes.works[0])
    service_ms = np.array([kind.service_ms for kind in kinds])[:, None]
    start_ms = np.array([kind.init_s * 1000 for kind in kinds])[:, None]
    target = np.broadcast_to(left_ms / service_ms, cold.shape)
    start = np.broadcast_to(start_ms / service_ms, cold.shape)
    allowed = 1 - service.percentile / 100
    missed = mixture_misses(cold, target, start, ServiceTime(cv))
    keeps = missed <= allowed
    for k, v in np.argwhere(np.abs(missed / allowed - 1) < NEAR).tolist():
        exact = mixture_percentile_ms(
            service.percentile,
            float(cold[k, v]),
            float(service_ms[k, 0]),
            float(start_ms[k, 0]),
            cv,
        )
        keeps[k, v] = exact + overhead_ms(option, volumes.works[0]) <= service.p95_ms
    return np.asarray(keeps)


def _chosen(
    option: Option, volumes: Volumes, kind: FunctionKind, at: NDArray[np.int64], cold: Array,
    billed_s: Array,
) -> Chosen:  # fmt: skip
    need, service_s = volumes.need, kind.service_ms / 1000
    response: Array | None = None
    if need.traffic.mode is Mode.realtime:
        overhead = overhead_ms(option, volumes.works[0])
        response = np.array([
            overhead + mixture_percentile_ms(
                need.service.percentile, share, kind.service_ms, kind.init_s * 1000,
                need.model.service_time_cv,
            )
            for share in cold.tolist()
        ])  # fmt: skip
    return Chosen(
        at=at,
        machine=machine_name(kind),
        arch="arm64" if kind.arch == "arm" else "x86_64",
        vcpu=kind.vcpu,
        memory_mb=kind.memory_mb,
        requests=volumes.requests[at],
        billed_s=billed_s,
        cold=cold,
        most=np.maximum(1, np.ceil(volumes.peak_per_s[at] * kind.service_ms / 1000)).astype(
            np.int64
        ),
        p95_ms=response,
        finish_h=np.full(len(at), (service_s + kind.init_s) / 3600)
        if need.traffic.mode is Mode.asynchronous
        else None,
    )
