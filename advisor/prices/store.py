"""The files of a price book: CSV where a person reads along, NumPy archives for machine prices.

A machine price table is one `.npz` archive: the rows sorted by region, the texts stored once and
pointed at by number. It is read without parsing, which is what keeps the first answer quick.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from advisor.errors import PriceBookError

SCHEMA_VERSION = 1
UNDATED = "undated"
KINDS = ("list", "derived", "default", "weak")

# service -> cloud; prices in machines/<service>.npz, specifications in specs/<cloud>.csv
MACHINE_SERVICES = {
    "ec2": "aws",
    "sagemaker": "aws",
    "gce": "gcp",
    "vertex": "gcp",
    "azure-vm": "azure",
}


class MachineRow(NamedTuple):
    """One price of one machine in one region, USD an hour. NaN: not known."""

    region: str
    machine: str
    usd_per_hour: float
    kind: str
    source: str
    as_of: str
    spot_usd_per_hour: float = float("nan")
    commit_1y_usd_per_hour: float = float("nan")
    commit_3y_usd_per_hour: float = float("nan")


@dataclass(frozen=True)
class MachinePrices:
    """All prices of one service. Rows of `regions[i]` are `first_row[i]:first_row[i + 1]`."""

    regions: tuple[str, ...]
    first_row: NDArray[np.int64]
    machines: tuple[str, ...]
    machine: NDArray[np.int64]
    usd_per_hour: NDArray[np.float64]
    kinds: tuple[str, ...]
    kind: NDArray[np.int64]
    sources: tuple[str, ...]
    source: NDArray[np.int64]
    as_ofs: tuple[str, ...]
    as_of: NDArray[np.int64]
    spot_usd_per_hour: NDArray[np.float64]
    commit_1y_usd_per_hour: NDArray[np.float64]
    commit_3y_usd_per_hour: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.usd_per_hour)

    def rows(self, region: str) -> slice:
        """The rows of a region. Raises KeyError for a region without any."""
        try:
            i = self.regions.index(region)
        except ValueError:
            raise KeyError(region) from None
        return slice(int(self.first_row[i]), int(self.first_row[i + 1]))


@dataclass(frozen=True, slots=True)
class Spec:
    """What a machine is. `gpu_mem_gib` is what one model can use on one GPU (or share of one)."""

    family: str = ""
    vcpu: float = 0.0
    memory_gib: float = 0.0
    gpu_name: str = ""
    gpu_vendor: str = ""
    gpu_count: float = 0.0
    gpu_mem_gib: float = 0.0
    arch: str = ""
    burstable: bool = False
    source: str = ""


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with exactly these columns. Raises PriceBookError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if list(reader.fieldnames or ()) != list(columns):
                raise PriceBookError(
                    f"{path} has the columns {reader.fieldnames}, not {list(columns)}; "
                    "reinstall the product or refresh the prices"
                )
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PriceBookError(
            f"cannot read {path} ({error}); reinstall the product or refresh the prices"
        ) from None
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise PriceBookError(f"{path} line {line} has too many or too few columns; repair it")
    return rows


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file that `read_csv` reads back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def number(text: str, path: Path, row: dict[str, str]) -> float:
    """A finite number from a CSV cell. Raises PriceBookError naming the row."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise PriceBookError(f"{path} holds {text!r} where a number belongs: {row}; repair it")
    return value


SPEC_COLUMNS = (
    "machine", "family", "vcpu", "memory_gib", "gpu_name", "gpu_vendor", "gpu_count",
    "gpu_mem_gib", "arch", "burstable", "source",
)  # fmt: skip


def read_specs(path: Path) -> dict[str, Spec]:
    """Machine name -> Spec. Raises PriceBookError."""
    out: dict[str, Spec] = {}
    for row in read_csv(path, SPEC_COLUMNS):
        out[row["machine"]] = Spec(
            family=row["family"],
            vcpu=number(row["vcpu"], path, row),
            memory_gib=number(row["memory_gib"], path, row),
            gpu_name=row["gpu_name"],
            gpu_vendor=row["gpu_vendor"],
            gpu_count=number(row["gpu_count"] or "0", path, row),
            gpu_mem_gib=number(row["gpu_mem_gib"] or "0", path, row),
            arch=row["arch"],
            burstable=row["burstable"] == "yes",
            source=row["source"],
        )
    return out


def write_specs(path: Path, specs: dict[str, Spec]) -> None:
    """Write specifications, sorted by machine name."""
    rows = [
        (
            name, s.family, f"{s.vcpu:g}", f"{s.memory_gib:g}", s.gpu_name, s.gpu_vendor,
            f"{s.gpu_count:g}" if s.gpu_name else "", f"{s.gpu_mem_gib:g}" if s.gpu_name else "",
            s.arch, "yes" if s.burstable else "no", s.source,
        )
        for name, s in sorted(specs.items())
    ]  # fmt: skip
    write_csv(path, SPEC_COLUMNS, rows)


def read_machine_prices(path: Path) -> MachinePrices:
    """The prices of one service. Raises PriceBookError when the archive is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        version = int(data["schema_version"])
        n = len(data["usd_per_hour"])
        table = MachinePrices(
            regions=_texts(data["regions"]),
            first_row=data["first_row"].astype(np.int64),
            machines=_texts(data["machines"]),
            machine=data["machine"].astype(np.int64),
            usd_per_hour=data["usd_per_hour"],
            kinds=_texts(data["kinds"]),
            kind=data["kind"].astype(np.int64),
            sources=_texts(data["sources"]),
            source=data["source"].astype(np.int64),
            as_ofs=_texts(data["as_ofs"]),
            as_of=data["as_of"].astype(np.int64),
            spot_usd_per_hour=data.get("spot_usd_per_hour", _unknown(n)),
            commit_1y_usd_per_hour=data.get("commit_1y_usd_per_hour", _unknown(n)),
            commit_3y_usd_per_hour=data.get("commit_3y_usd_per_hour", _unknown(n)),
        )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise PriceBookError(
            f"cannot read {path} ({error}); reinstall the product or refresh the prices"
        ) from None
    if version != SCHEMA_VERSION:
        raise PriceBookError(
            f"{path} has schema version {version}, this product reads {SCHEMA_VERSION}; "
            "refresh the prices"
        )
    return table


def write_machine_prices(path: Path, rows: Iterable[MachineRow]) -> None:
    """Write the prices of one service, in any order of rows; an optional column that holds no
    number is left out."""
    ordered = sorted(rows, key=lambda r: (r.region, r.machine))
    columns: dict[str, Any] = {"schema_version": np.int64(SCHEMA_VERSION)}
    regions = sorted({r.region for r in ordered})
    counts = dict.fromkeys(regions, 0)
    for row in ordered:
        counts[row.region] += 1
    columns["regions"] = np.array(regions)
    columns["first_row"] = np.cumsum([0, *counts.values()], dtype=np.int32)
    pointers = (("machine", "machines"), ("kind", "kinds"), ("source", "sources"),
                ("as_of", "as_ofs"))  # fmt: skip
    for field, texts_name in pointers:
        values = [str(getattr(r, field)) for r in ordered]
        texts = sorted(set(values))
        index = {text: i for i, text in enumerate(texts)}
        columns[texts_name] = np.array(texts)
        columns[field] = np.array([index[v] for v in values], dtype=np.uint16)
    columns["usd_per_hour"] = np.array([r.usd_per_hour for r in ordered], dtype=np.float64)
    for name in ("spot_usd_per_hour", "commit_1y_usd_per_hour", "commit_3y_usd_per_hour"):
        values_usd = np.array([getattr(r, name) for r in ordered], dtype=np.float64)
        if np.isfinite(values_usd).any():
            columns[name] = values_usd
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **columns)


def _texts(array: NDArray[Any]) -> tuple[str, ...]:
    return tuple(array.tolist())


def _unknown(n: int) -> NDArray[np.float64]:
    return np.full(n, np.nan)
