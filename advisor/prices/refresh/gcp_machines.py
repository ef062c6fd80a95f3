"""Google machines composed from the prices of their cores, memory and GPUs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from advisor.prices.book import PriceBook
from advisor.prices.machines import Machine
from advisor.prices.refresh.feed import Feed
from advisor.prices.refresh.mapping import GcpMapping
from advisor.prices.refresh.merge import machine_rows
from advisor.prices.store import MachineRow

GCE, VERTEX = "gce", "vertex"
ON_DEMAND = "OnDemand"
_COLUMNS = {
    "Preemptible": "spot_usd_per_hour",
    "Commit1Yr": "commit_1y_usd_per_hour",
    "Commit3Yr": "commit_3y_usd_per_hour",
}
_BEFORE = re.compile(r"^(Spot Preemptible |Commitment(?: v1)?: )")
_AFTER = re.compile(r"( attached to Spot Preemptible VMs)?( running)? in .*$")


@dataclass
class PartPrices:
    """USD an hour by (description, region, usage type); takes the SKUs of the list one by one."""

    regions: set[str]
    vertex_prefix: str
    usd: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def take(self, listed: Mapping[str, Any], hourly: Callable[[Any], float]) -> None:
        """Keep the SKU if it can be part of a machine. `hourly` reads its price."""
        category = listed.get("category") or {}
        usage = str(category.get("usageType", ""))
        text = str(listed.get("description", ""))
        if category.get("resourceFamily") != "Compute" and not text.startswith(self.vertex_prefix):
            return
        if usage != ON_DEMAND and usage not in _COLUMNS:
            return
        name = part_name(text)
        for region in self.regions & set(listed.get("serviceRegions") or ()):
            self.usd[name, region, usage] = hourly(listed)

    def get(self, name: str, region: str, usage: str) -> float:
        """NaN for a part that is not listed."""
        return self.usd.get((name, region, usage), math.nan)


def part_name(description: str) -> str:
    """ "Spot Preemptible N2 Instance Core running in Iowa" is a "N2 Instance Core"."""
    return _AFTER.sub("", _BEFORE.sub("", description))


def compose(parts: PartPrices, old: PriceBook, names: GcpMapping, today: date, feed: Feed) -> None:
    """Add to `feed` every machine of the book whose parts are all listed; the others stay."""
    priced: dict[tuple[str, str], float] = {}
    for region in sorted(parts.regions & set(old.machine_prices(GCE).regions)):
        table = old.machines(GCE, region, sized=False)
        for i in range(len(table)):
            machine = table.row(i)
            row = _gce(parts, machine, names, today)
            if row:
                feed.add_machine(GCE, row, machine.name)
                priced[region, machine.name] = row.usd_per_hour
            else:
                feed.untouched.add((GCE, region, machine.name))
    if priced:
        _vertex(parts, old, names, today, feed, priced)


def _gce(parts: PartPrices, machine: Machine, names: GcpMapping, today: date) -> MachineRow | None:
    usd = _sum(parts, machine, names, ON_DEMAND)
    if not math.isfinite(usd):
        return None
    source = f"Google Cloud Billing Catalog, Compute Engine {machine.region}, cores + memory"
    others = {column: _sum(parts, machine, names, usage) for usage, column in _COLUMNS.items()}
    return MachineRow(
        machine.region, machine.name, usd, "list", source, today.isoformat(), **others
    )


def _sum(
    parts: PartPrices, machine: Machine, names: GcpMapping, usage: str, prefix: str = ""
) -> float:
    """USD an hour; NaN where a part has no price."""
    family = names.families.get(machine.family)
    if family is None or machine.vcpu <= 0 or any(w in machine.name for w in names.leave_out):
        return math.nan
    core, ram = family.core, family.ram
    gpu = names.gpus.get(machine.gpu_name, "?") if machine.gpu_name else ""
    if usage.startswith("Commit"):
        if family.commit is None:
            return math.nan
        core, ram = f"{family.commit} Cpu".strip(), f"{family.commit} Ram".strip()
    total = machine.vcpu * parts.get(prefix + core, machine.region, usage)
    total += machine.memory_gib * parts.get(prefix + ram, machine.region, usage)
    if gpu:
        total += machine.gpu_count * parts.get(prefix + gpu, machine.region, usage)
    return float(f"{total:.10g}")


def _vertex(
    parts: PartPrices,
    old: PriceBook,
    names: GcpMapping,
    today: date,
    feed: Feed,
    gce: Mapping[tuple[str, str], float],
) -> None:
    """Prediction nodes: the listed price, else Compute Engine's with the uplift where the book
    computes it so, else what the book has."""
    uplift = names.vertex_uplift
    for row in machine_rows(old, VERTEX):
        base = gce.get((row.region, row.machine))
        new = None
        if row.region in parts.regions:
            machine = old.machine(VERTEX, row.region, row.machine)
            listed = _sum(parts, machine, names, ON_DEMAND, names.vertex_prefix)
            if math.isfinite(listed):
                source = f"Google Cloud Billing Catalog, Vertex AI {row.region}, cores + memory"
                new = MachineRow(row.region, row.machine, listed, "list", source, today.isoformat())
            elif base and row.kind == "derived":
                source = f"Compute Engine on demand x {uplift.factor:g} ({uplift.source})"
                usd = float(f"{base * uplift.factor:.10g}")
                new = MachineRow(row.region, row.machine, usd, "derived", source, today.isoformat())
        if new:
            feed.add_machine(VERTEX, new, row.machine)
        else:
            feed.untouched.add((VERTEX, row.region, row.machine))
