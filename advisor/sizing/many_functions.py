"""Functions at many volumes at once: `functions.functions` as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Mode
from advisor.sizing.fleet import overhead_ms
from advisor.sizing.function import machine_name, spilled_at_most
from advisor.sizing.function_kinds import FunctionKind, function_kinds
from advisor.sizing.function_prices import keeps_ready
from advisor.sizing.functions import WHISKER_USD, prices_for
from advisor.sizing.performance import keep_alive_s
from advisor.sizing.provisioned import weeks_kept_ready, weeks_spilled
from advisor.sizing.serverless import cold_weeks, mixture_percentile_ms
from advisor.sizing.sized import Array, Sized
from advisor.volumes import Volumes


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
    least: NDArray[np.int64]  # instances kept ready in the quietest hour
    most: NDArray[np.int64]  # instances in the busiest one
    ready_s: Array
    ready_work_s: Array
    p95_ms: Array | None
    finish_h: Array | None
    imputed_usd: Array  # stands in for prices that are not known, in the ranking alone


class _Use(NamedTuple):
    """What each kind uses at each volume, arrays of shape (kinds, volumes)."""

    cold: Array  # share of the requests
    billed_s: Array
    ready_s: Array
    ready_work_s: Array
    least: NDArray[np.int64]
    most: NDArray[np.int64]


def chosen_functions(
    option: Option, volumes: Volumes, region: str, book: PriceBook
) -> tuple[list[Chosen], Sequence[int]]:
    """At each volume the cheapest size that keeps the target, the first of equal ones; none where
    none does. And the volumes at which a smaller one might keep it with warm-up calls. Raises
    UnknownPriceError."""
    first = volumes.works[0]
    listed = prices_for(option, first, region, book)
    if isinstance(listed, Sized):
        return [], ()
    kinds = function_kinds(option, first, listed, book).distinct
    if not kinds:
        return [], ()
    ready = keeps_ready(option, first)
    use = (_kept_ready if ready else _on_demand)(option, volumes, kinds)
    sizes = np.array([kind.memory_mb for kind in kinds])[:, None]
    on_demand, of_ready, of_work = (
        np.array([getattr(kind.prices, name) for kind in kinds])[:, None]
        for name in ("on_demand", "ready", "ready_work")
    )
    kept_usd = sizes / 1024 * (use.ready_s * of_ready + use.ready_work_s * of_work)
    usd = use.billed_s * sizes / 1024 * on_demand + kept_usd
    keeps = use.cold <= np.array([kind.most_cold for kind in kinds])[:, None]
    cost = np.where(keeps, usd, np.inf)
    cheapest = cost.min(axis=0)
    number = (cost <= cheapest + WHISKER_USD).argmax(axis=0)
    number[np.isinf(cheapest)] = -1
    stands_in = kept_usd * np.array([kind.prices.imputed for kind in kinds])[:, None]
    chosen = [
        _chosen(option, volumes, kind, at, _Use(*(c[k, at] for c in use)), stands_in[k, at])
        for k, kind in enumerate(kinds)
        if (at := np.flatnonzero(number == k)).size
    ]
    if ready:
        return chosen, ()
    service_s = np.array([kind.service_ms / 1000 for kind in kinds])[:, None]
    least = volumes.requests * service_s * on_demand * (sizes / 1024 * (1 - 1e-9))
    warmed = ~keeps & (use.cold > 0) & (least < cheapest) & np.isfinite(cheapest)
    return chosen, np.flatnonzero(warmed.any(axis=0)).tolist()


def _on_demand(option: Option, volumes: Volumes, kinds: Sequence[FunctionKind]) -> _Use:
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
    nothing = np.zeros((len(kinds), len(volumes)))
    peak = volumes.peak_per_s * np.array([kind.service_ms for kind in kinds])[:, None] / 1000
    most = np.maximum(1, np.ceil(peak)).astype(np.int64)
    cold = np.array([cold for cold, _ in weeks])
    return _Use(cold, np.array(billed), nothing, nothing, nothing.astype(np.int64), most)


def _kept_ready(option: Option, volumes: Volumes, kinds: Sequence[FunctionKind]) -> _Use:
    times, which = np.unique([kind.service_ms / 1000 for kind in kinds], return_inverse=True)
    spill = spilled_at_most(option, volumes.need)
    ready = weeks_kept_ready(volumes.rates, times, spill)[which]
    cold = np.array([weeks_spilled(volumes.rates, time, spill) for time in times])[which]
    ready_s = ready.sum(axis=2) * 3600.0 * HOURS_IN_MONTH / HOURS_IN_WEEK
    service_ms = np.array([kind.service_ms for kind in kinds])[:, None]
    init_s = np.array([kind.init_s for kind in kinds])[:, None]
    billed = volumes.requests * cold * (service_ms / 1000 + init_s)
    billed[[kind.prices.imputed for kind in kinds]] = 0.0  # as for one, see `functions`
    work_s = volumes.requests * (1 - cold) * service_ms / 1000
    return _Use(cold, billed, ready_s, work_s, ready.min(axis=2), ready.max(axis=2))


def _chosen(
    option: Option,
    volumes: Volumes,
    kind: FunctionKind,
    at: NDArray[np.int64],
    use: _Use,
    imputed_usd: Array,
) -> Chosen:
    need, service_s = volumes.need, kind.service_ms / 1000
    response: Array | None = None
    if need.traffic.mode is Mode.realtime:
        overhead = overhead_ms(option, volumes.works[0])
        response = np.array([
            min(
                overhead + mixture_percentile_ms(
                    need.service.percentile, share, kind.service_ms, kind.init_s * 1000,
                    need.model.service_time_cv,
                ),
                need.service.p95_ms or math.inf,
            )
            for share in use.cold.tolist()
        ])  # fmt: skip
    finish_h = None
    if need.traffic.mode is Mode.asynchronous:
        finish_h = np.full(len(at), (service_s + kind.init_s) / 3600)
    return Chosen(
        at=at, machine=machine_name(kind), arch="arm64" if kind.arch == "arm" else "x86_64",
        vcpu=kind.vcpu, memory_mb=kind.memory_mb, requests=volumes.requests[at], p95_ms=response,
        finish_h=finish_h, imputed_usd=imputed_usd, **use._asdict(),
    )  # fmt: skip
