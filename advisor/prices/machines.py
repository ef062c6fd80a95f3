"""Machines of one service in one region, as columns for sizing and as single rows."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.errors import UnknownPriceError
from advisor.prices.store import MachinePrices, Spec

Texts = NDArray[Any]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

NO_SPEC = Spec()


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine with its price. Units: GiB, USD an hour. vcpu 0: specification unknown.

    `gpu_count` is below 1 where a machine has a share of a GPU; `gpu_mem_gib` is what one model
    can use on one GPU. Spot and commitment prices are None where the book holds none.
    """

    service: str
    region: str
    name: str
    family: str
    vcpu: float
    memory_gib: float
    gpu_name: str
    gpu_vendor: str
    gpu_count: float
    gpu_mem_gib: float
    arch: str
    burstable: bool
    usd_per_hour: float
    spot_usd_per_hour: float | None
    commit_1y_usd_per_hour: float | None
    commit_3y_usd_per_hour: float | None
    kind: str
    source: str
    as_of: str


@dataclass(frozen=True)
class MachineTable:
    """Columns of equal length, one row a machine, in order of name; the arrays are read-only.

    Shapes (n,). Units: GiB, USD an hour; NaN where a spot or commitment price is unknown.
    """

    service: str
    region: str
    name: Texts
    family: Texts
    vcpu: Numbers
    memory_gib: Numbers
    gpu_name: Texts
    gpu_vendor: Texts
    gpu_count: Numbers
    gpu_mem_gib: Numbers
    arch: Texts
    burstable: Flags
    usd_per_hour: Numbers
    spot_usd_per_hour: Numbers
    commit_1y_usd_per_hour: Numbers
    commit_3y_usd_per_hour: Numbers
    kind: Texts
    source: Texts
    as_of: Texts

    def __len__(self) -> int:
        return len(self.name)

    def select(self, mask: Flags | NDArray[np.int64]) -> MachineTable:
        """The rows where `mask` is true (or the rows of these numbers, in that order)."""
        columns = {c: _frozen(getattr(self, c)[mask]) for c in COLUMNS}
        return MachineTable(self.service, self.region, **columns)

    def row(self, i: int) -> Machine:
        """Row `i` as a Machine."""
        cells = {column: getattr(self, column)[i] for column in COLUMNS}
        values = {c: v.item() if isinstance(v, np.generic) else v for c, v in cells.items()}
        for name in ("spot_usd_per_hour", "commit_1y_usd_per_hour", "commit_3y_usd_per_hour"):
            if math.isnan(values[name]):
                values[name] = None
        return Machine(service=self.service, region=self.region, **values)

    def machine(self, name: str) -> Machine:
        """The machine of that name. Raises UnknownPriceError naming close matches."""
        found = np.flatnonzero(self.name == name)
        if not len(found):
            close = difflib.get_close_matches(name, self.name.tolist(), n=3)
            hint = "did you mean " + " or ".join(close) + "?" if close else "choose another"
            raise UnknownPriceError(
                f"the price book has no {self.service} machine {name!r} in {self.region}; {hint}"
            )
        return self.row(int(found[0]))


COLUMNS = tuple(f.name for f in fields(MachineTable) if f.name not in ("service", "region"))


def build_table(
    service: str, region: str, prices: MachinePrices, specs: dict[str, Spec]
) -> MachineTable:
    """Join prices with specifications. Raises KeyError for a region without prices."""
    rows = prices.rows(region)
    names = [prices.machines[i] for i in prices.machine[rows]]
    columns: dict[str, NDArray[Any]] = {
        **_of_specs(names, specs),
        "usd_per_hour": prices.usd_per_hour[rows],
        "spot_usd_per_hour": prices.spot_usd_per_hour[rows],
        "commit_1y_usd_per_hour": prices.commit_1y_usd_per_hour[rows],
        "commit_3y_usd_per_hour": prices.commit_3y_usd_per_hour[rows],
        "kind": np.array(prices.kinds)[prices.kind[rows]],
        # Long texts that repeat: as objects they are stored once.
        "source": np.array(prices.sources, dtype=object)[prices.source[rows]],
        "as_of": np.array(prices.as_ofs)[prices.as_of[rows]],
    }
    return MachineTable(service, region, **{c: _frozen(a) for c, a in columns.items()})


def build_kinds(service: str, prices: MachinePrices, specs: dict[str, Spec]) -> MachineTable:
    """Every machine that any region sells, in the order of `prices.machines`, without prices."""
    n = len(prices.machines)
    unknown, blank = np.full(n, np.nan), np.full(n, "", dtype=object)
    columns: dict[str, NDArray[Any]] = {
        **_of_specs(prices.machines, specs),
        **dict.fromkeys(
            (
                "usd_per_hour", "spot_usd_per_hour", "commit_1y_usd_per_hour",
                "commit_3y_usd_per_hour",
            ),
            unknown,
        ),
        **dict.fromkeys(("kind", "source", "as_of"), blank),
    }  # fmt: skip
    return MachineTable(service, "", **{c: _frozen(a) for c, a in columns.items()})


def _of_specs(names: Sequence[str], specs: dict[str, Spec]) -> dict[str, NDArray[Any]]:
    # SageMaker sells EC2 machines under the same name behind "ml.".
    found = [specs.get(n.removeprefix("ml."), NO_SPEC) for n in names]
    return {
        "name": np.array(names),
        "family": np.array([s.family for s in found]),
        "vcpu": np.array([s.vcpu for s in found]),
        "memory_gib": np.array([s.memory_gib for s in found]),
        "gpu_name": np.array([s.gpu_name for s in found]),
        "gpu_vendor": np.array([s.gpu_vendor for s in found]),
        "gpu_count": np.array([s.gpu_count for s in found]),
        "gpu_mem_gib": np.array([s.gpu_mem_gib for s in found]),
        "arch": np.array([s.arch for s in found]),
        "burstable": np.array([s.burstable for s in found], dtype=np.bool_),
    }


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = array.view()
    array.flags.writeable = False
    return array
