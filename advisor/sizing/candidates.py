"""Which machines an option could use for a workload, with their speed: equal-length arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.errors import UnknownPriceError
from advisor.memo import Same, memo_of
from advisor.prices import MachineTable, PriceBook
from advisor.sizing.gpu_split import cards_of_a_copy
from advisor.sizing.many_models import Resident, many, resident
from advisor.sizing.performance import cpu_speed, cpu_speeds, gpu_speeds, serverless_speed
from advisor.workload import SHARED_MEMORY_FORMATS, Workload

Array = NDArray[np.float64]
Names = NDArray[Any]

MOST_KEPT, MOST_KINDS = 512, 128  # lists of machines that are remembered, of some 50 KB each

CLOUD_OF_SERVICE = {
    "ec2": "aws", "sagemaker": "aws", "gce": "gcp", "vertex": "gcp", "azure-vm": "azure",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Candidates:
    """Machines that hold the model, one element each.

    `alone_ms` and `busy_ms` are the service time of one request with the machine otherwise idle
    and with all its vCPUs busy; `servers` is how many requests one machine serves at once. `cards`
    is 1 without a GPU too.
    """

    name: Names
    arch: Names
    vcpu: Array
    memory_gib: Array
    usd_per_hour: Array  # nan: unknown
    source: Names
    as_of: Names
    alone_ms: Array
    busy_ms: Array
    servers: NDArray[np.int64]
    cards: NDArray[np.int64]  # GPUs that one copy of the model takes
    rejected: str = ""  # why none is left, when none is left
    # What these were taken from, and where they stand in it: figures of the whole serve a part.
    whole: Candidates | None = field(default=None, repr=False)
    at: NDArray[np.int64] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.name)

    def take(self, keep: NDArray[Any]) -> Candidates:
        columns = {name: getattr(self, name)[keep] for name in COLUMNS}
        at = np.arange(len(self)) if self.at is None else self.at
        return replace(self, **columns, whole=self.whole or self, at=at[keep])

    def part(self, rows: slice) -> Candidates:
        """Some of them in a row, on views of the same arrays."""
        return Candidates(**{name: getattr(self, name)[rows] for name in COLUMNS})

    def at_price(self, usd_per_hour: Array, source: Names, as_of: Names) -> Candidates:
        """The same machines bought at another price an hour."""
        return replace(self, usd_per_hour=usd_per_hour, source=source, as_of=as_of)


COLUMNS = tuple(f.name for f in fields(Candidates) if f.name not in ("rejected", "whole", "at"))


def candidates(option: Option, work: Workload, region: str, book: PriceBook) -> Candidates:
    """Every machine of the option in the region that holds the model. Empty when none does.

    Remembered by the answers that it looks at, see `advisor.memo`. Raises UnknownPriceError.
    """
    return cast(
        Candidates,
        memo_of(book, "candidates", MOST_KEPT).get(
            (Same(option), region), work, lambda seen: _candidates(option, seen, region, book)
        ),
    )


def _candidates(option: Option, work: Workload, region: str, book: PriceBook) -> Candidates:
    if option.machines == "fargate":
        return _fargate(option, work, region, book)
    if option.machines == "own-node":
        return _own_node(option, work)
    return _priced_machines(option, work, region, book)


def service_ms_on(work: Workload, speed: Array | float, cores: Array | float = 1.0) -> Array:
    """Service time with `cores` vCPUs at work on the request: t / (speed x cores)."""
    return np.asarray(work.service_time_ms / (np.asarray(speed) * cores), dtype=np.float64)


def memory_need_mb(work: Workload, overhead_mb: float, workers: Array | float = 1.0) -> Array:
    """Memory for the model and its server: a copy of the model per worker process unless the
    runtime lets threads share it (ONNX, torch, XGBoost, LightGBM release the interpreter lock)."""
    copies = 1.0 if work.need.model.format.value in SHARED_MEMORY_FORMATS else workers
    return np.asarray(overhead_mb + work.need.model.memory_mb * copies, dtype=np.float64)


def _priced_machines(
    option: Option, work: Workload, region: str, book: PriceBook
) -> Candidates:  # fmt: skip
    """The kinds of machine that hold the model, joined to the region's prices."""
    prices = book.machine_prices(option.machines)
    if region not in prices.regions:
        book.machines(option.machines, region)  # raises, and says where there are prices
    usable = cast(
        _Kinds,
        memo_of(book, "machine kinds", MOST_KINDS).get(
            Same(option), work, lambda seen: _kinds(option, seen, book)
        ),
    )
    rows = prices.rows(region)
    place, usd = usable.place[prices.machine[rows]], prices.usd_per_hour[rows]
    sold = (place >= 0) & (usd > 0)
    if not sold.any():
        table = book.machines(option.machines, region)
        listed = _listed(option, work, table.select(table.usd_per_hour > 0))
        return _holding(option, work, _timed(work, listed))
    machines = usable.kinds.take(place[sold])
    return replace(
        machines,
        usd_per_hour=usd[sold],
        source=_objects(prices.sources)[prices.source[rows][sold]],
        as_of=_objects(prices.as_ofs)[prices.as_of[rows][sold]],
    )


@dataclass(frozen=True)
class _Kinds:
    """Machines of any region that hold the model, and where number i of the price book stands
    among them: `place[i]`, -1 where it does not."""

    kinds: Candidates
    place: NDArray[np.int64]


def _kinds(option: Option, work: Workload, book: PriceBook) -> _Kinds:
    table = book.machine_kinds(option.machines)
    # Another service time asks for none of this anew.
    listed = cast(
        _Listed,
        memo_of(book, "machines listed", MOST_KINDS).get(
            Same(option), work, lambda seen: _listed(option, seen, table)
        ),
    )
    kinds, at = _held(option, work, _timed(work, listed))
    place = np.full(len(table), -1, dtype=np.int64)
    place[listed.rows[at]] = np.arange(len(kinds))
    return _Kinds(kinds, place)


class _Listed(NamedTuple):
    """Machines that the option and the answers allow, and how fast they are; not yet their memory."""

    table: MachineTable
    rows: NDArray[np.int64]  # where they stand in the table that they are of
    names: Names
    alone: Array  # speed at one request, over the reference
    busy: Array
    servers: NDArray[np.int64]
    cards: NDArray[np.int64]


def _timed(work: Workload, listed: _Listed) -> Candidates:
    table = listed.table
    return Candidates(
        listed.names, table.arch, table.vcpu, table.memory_gib, table.usd_per_hour,
        table.source, table.as_of, service_ms_on(work, listed.alone),
        service_ms_on(work, listed.busy), listed.servers, listed.cards,
    )  # fmt: skip


def _listed(option: Option, work: Workload, table: MachineTable) -> _Listed:
    need = work.need
    keep = (table.vcpu > 0) & (table.memory_gib > 0)
    if need.model.gpu:
        keep &= (table.gpu_count >= 1) & (table.gpu_name != "")
    else:
        keep &= table.gpu_count == 0
    if not need.placement.arm:
        keep &= table.arch != "arm64"
    if not need.placement.burstable:
        keep &= ~table.burstable
    if option.machine_families:
        keep &= np.isin(table.family.astype(str), option.machine_families)
    if option.machines_refused:
        keep &= ~np.isin(table.name.astype(str), option.machines_refused)
    least_vcpu = option.number("min_vcpu")
    if np.isfinite(least_vcpu):
        keep &= table.vcpu >= least_vcpu
    cloud = CLOUD_OF_SERVICE[option.machines]
    if not need.model.gpu:
        keep &= _scored(cloud, table.family)
    rows = np.flatnonzero(keep)
    table = table.select(rows)
    if need.model.gpu:
        speed, usable = gpu_speeds(table.gpu_name)
        cards = cards_of_a_copy(work, resident(option, work), usable)
        fits = (speed > 0) & (cards >= 1) & (cards <= table.gpu_count)
        table, rows, cards = table.select(fits), rows[fits], cards[fits]
        alone = busy = speed[fits]
        servers = (table.gpu_count // cards).astype(np.int64)
    else:
        threads = need.model.threads_per_request
        alone, busy = (speed * threads for speed in cpu_speeds(cloud, table.family))
        servers = (table.vcpu // threads).astype(np.int64)
        cards = np.ones(len(rows), dtype=np.int64)
    return _Listed(table, rows, table.name.astype(object), alone, busy, servers, cards)


@lru_cache(maxsize=32)
def _objects(texts: tuple[str, ...]) -> Names:
    return np.array(texts, dtype=object)


def _scored(cloud: str, families: Names) -> NDArray[np.bool_]:
    """Families whose speed was measured, or that share a measured CPU: no size on a guess."""
    names, where = np.unique(families.astype(str), return_inverse=True)
    known = [bool(name) and cpu_speed(cloud, name).confidence != "estimate" for name in names]
    return np.array(known, dtype=np.bool_)[where]


def _fargate(option: Option, work: Workload, region: str, book: PriceBook) -> Candidates:
    need = work.need
    rows: list[tuple[str, str, float, float, float, str, str, float, float]] = []
    for arch in ("x86", "arm") if need.placement.arm else ("x86",):
        try:
            cpu = book.rate(f"fargate.vcpu_hour.{arch}", region)
            memory = book.rate(f"fargate.gb_hour.{arch}", region)
        except UnknownPriceError:
            if arch == "arm" and rows:
                continue  # x86 tasks are priced in more regions
            raise
        speed = serverless_speed("fargate", "arm64" if arch == "arm" else "x86_64")
        for size in option.task_sizes:
            usd = size.vcpu * cpu.tiers[0].unit_price_usd
            usd += size.memory_gb * memory.tiers[0].unit_price_usd
            label = f"{size.vcpu:g} vCPU, {size.memory_gb:g} GB" + (" ARM" if arch == "arm" else "")
            rows.append(
                (label, "arm64" if arch == "arm" else "x86_64", size.vcpu, size.memory_gb, usd,
                 cpu.source, book.oldest((cpu.as_of, memory.as_of)), speed.alone, speed.busy)
            )  # fmt: skip
    name, arch_, vcpu, memory_gib, usd_, source, as_of, alone_, busy_ = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    threads = need.model.threads_per_request
    cores = np.minimum(vcpu, threads)  # a quarter vCPU makes a request take four times as long
    alone = service_ms_on(work, alone_, cores)
    busy = service_ms_on(work, busy_, cores)
    servers = np.maximum(1, vcpu // threads).astype(np.int64)
    everything = Candidates(
        name, arch_, vcpu, memory_gib, usd_, source, as_of, alone, busy, servers,
        np.ones(len(name), dtype=np.int64),
    )  # fmt: skip
    return _holding(option, work, everything)


def _own_node(option: Option, work: Workload) -> Candidates:
    place = work.need.placement
    threads = work.need.model.threads_per_request
    speed = cpu_speed("own-hardware", "")
    usd = place.node_hourly_usd
    price = np.nan if usd is None else usd
    node = Candidates(
        np.array([f"own node, {place.node_vcpu} vCPU, {place.node_memory_gb:g} GB"]),
        np.array(["x86_64"]),
        np.array([float(place.node_vcpu)]),
        np.array([float(place.node_memory_gb)]),
        np.array([price], dtype=np.float64),
        np.array(["placement.node_hourly_usd, as you gave it" if usd is not None else ""]),
        np.array([""]),
        service_ms_on(work, np.array([1.0 if work.need.model.gpu else speed.alone]),
                      1 if work.need.model.gpu else threads),
        service_ms_on(work, np.array([1.0 if work.need.model.gpu else speed.busy]),
                      1 if work.need.model.gpu else threads),
        np.array([1 if work.need.model.gpu else place.node_vcpu // threads], dtype=np.int64),
        np.array([1], dtype=np.int64),
    )  # fmt: skip
    return _holding(option, work, node)


def _holding(option: Option, work: Workload, all_machines: Candidates) -> Candidates:
    return _held(option, work, all_machines)[0]


def _held(
    option: Option, work: Workload, all_machines: Candidates
) -> tuple[Candidates, NDArray[np.int64]]:
    """The machines with room for the models, and their numbers; a copy per worker may mean fewer
    workers than cores.

    Loading a model on demand keeps a worker busy, so its share is added to the service time.
    """
    overhead = option.number("overhead_memory_mb")
    room_mb = all_machines.memory_gib * 1024 - overhead
    held = resident(option, work)
    servers = all_machines.servers
    copied = work.need.model.format.value not in SHARED_MEMORY_FORMATS and not work.need.model.gpu
    if copied and not held.miss_share:  # models that come and go have a process each
        copies = np.floor(np.maximum(room_mb, 0) / held.memory_mb).astype(np.int64)
        servers = np.minimum(servers, copies)
    fits = (room_mb >= held.memory_mb) & (servers >= 1)
    loading_ms = held.miss_share * held.load_s * 1000
    every = replace(
        all_machines, servers=servers, alone_ms=all_machines.alone_ms + loading_ms,
        busy_ms=all_machines.busy_ms + loading_ms,
    )  # fmt: skip
    out = replace(every.take(fits), whole=None, at=None)
    if len(out) == 0:
        out = replace(out, rejected=_why_none(option, work, all_machines, overhead, held))
    return out, np.flatnonzero(fits)


def _why_none(
    option: Option, work: Workload, every: Candidates, overhead: float, held: Resident
) -> str:
    need = work.need
    if len(every) == 0 and need.model.gpu:
        room = f" with {held.gpu_memory_gb:g} GB" if held.gpu_memory_gb else ""
        return f"no machine with GPUs{room} is known for {option.name} in this region"
    if len(every) == 0:
        return f"no machine is known for {option.name} in this region under these answers"
    threads = need.model.threads_per_request
    if every.vcpu.max() < threads:
        return f"{threads} threads per request > {every.vcpu.max():g} vCPU of the largest machine"
    largest = float(every.memory_gib.max()) * 1024
    return (
        f"{held.memory_mb + overhead:,.0f} MB {many(held)}with the server > {largest:,.0f} MB of "
        "the largest machine"
    )
