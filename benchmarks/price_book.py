"""Why machine prices are stored as NumPy archives: loading them against CSV and Parquet.

    python -m benchmarks.price_book

Writes the rows of the price book as CSV and Parquet too, loads each format in a fresh process (the
import of what reads it counts: a terminal command pays for it), and prints medians as ratios to the
price book, the sizes, and the memory that the whole book takes. Absolute times belong to the machine
and are not worth quoting.
"""

from __future__ import annotations

import csv
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from advisor.prices import load_book
from advisor.prices.store import MACHINE_SERVICES

RUNS = 7
COLUMNS = ("service", "region", "machine", "usd_per_hour", "kind", "source", "as_of")
TIMED = """
import sys, time
started = time.perf_counter()
{code}
print(time.perf_counter() - started)
"""
MEMORY = """
import os, psutil, numpy, yaml, pydantic, pathlib
from advisor.prices import load_book
from advisor.prices.store import MACHINE_SERVICES
here = psutil.Process()
before = here.memory_info().rss
book = load_book()
book.rates, book.commitments, book.known_regions
for service, cloud in MACHINE_SERVICES.items():
    book.machine_prices(service), book.specs(cloud), book.machine_kinds(service)
print((here.memory_info().rss - before) / 1e6)
for service in MACHINE_SERVICES:
    for region in book.machine_prices(service).regions:
        book.machines(service, region)
print((here.memory_info().rss - before) / 1e6)
"""
CODE = {
    "price book": """
import numpy
started = time.perf_counter()
from advisor.prices.store import MACHINE_SERVICES
from advisor.prices import load_book
for service in MACHINE_SERVICES:
    load_book().machine_prices(service)
""",
    "Parquet": """
import numpy
started = time.perf_counter()
import pyarrow.parquet
pyarrow.parquet.read_table(sys.argv[1])
""",
    "CSV": """
import numpy
started = time.perf_counter()
import csv
rows = list(csv.DictReader(open(sys.argv[1])))
prices = [float(row["usd_per_hour"]) for row in rows]
""",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = _write(Path(folder))
        seconds = {name: _median(code, files[name]) for name, code in CODE.items()}
        sizes = {name: _size(path) for name, path in files.items()}
    print(f"{'format':12} {'time to load all rows':>24} {'size':>10}")
    for name, taken in seconds.items():
        ratio = taken / seconds["price book"]
        print(f"{name:12} {ratio:>22.1f} x {sizes[name] / 1024:>7.0f} KB")

    whole, with_tables = _memory_mb()
    print(
        f"in memory: {whole:.0f} MB with every price, {with_tables:.0f} MB with every table joined"
    )


def _memory_mb() -> list[float]:
    """What a fresh process grows by when it reads the whole book, and joins it for each region."""
    out = subprocess.run(
        [sys.executable, "-c", MEMORY], cwd=Path(__file__).parents[1], capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
    return [float(line) for line in out.split()]


def _write(folder: Path) -> dict[str, Path]:
    import pyarrow
    import pyarrow.parquet

    rows = list(_rows())
    print(f"{len(rows):,} machine prices, {RUNS} runs of each format in a fresh process")
    table = folder / "prices.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    columns = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    parquet = folder / "prices.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), parquet, compression="zstd")
    return {"price book": load_book().directory / "machines", "Parquet": parquet, "CSV": table}


def _rows() -> Iterator[tuple[str, str, str, float, str, str, str]]:
    for service in MACHINE_SERVICES:
        prices = load_book().machine_prices(service)
        for region in prices.regions:
            rows = prices.rows(region)
            for i in range(rows.start, rows.stop):
                yield (
                    service, region, prices.machines[prices.machine[i]],
                    float(prices.usd_per_hour[i]), prices.kinds[prices.kind[i]],
                    prices.sources[prices.source[i]], prices.as_ofs[prices.as_of[i]],
                )  # fmt: skip


def _median(code: str, path: Path) -> float:
    command = [sys.executable, "-c", TIMED.format(code=code), str(path)]
    root = Path(__file__).parents[1]
    return statistics.median(
        float(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)
        for _ in range(RUNS)
    )


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size


if __name__ == "__main__":
    main()
