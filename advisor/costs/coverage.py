"""Which lines of a bill have no price, by cloud and region: what a refresh should look for first.

Every option is sized and billed in every region of its cloud that sells its machines, once on the
internet and once in a private network, and the lines without a unit price are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from advisor.catalog.loader import load_options
from advisor.catalog.schema import Option
from advisor.costs.bill import Bill, bill
from advisor.errors import UnknownPriceError
from advisor.prices import PriceBook
from advisor.requirements import Mode, Requirements, parse
from advisor.sizing.choose import size
from advisor.sizing.sized import Sized
from advisor.workload import resolve

CLOUDS = ("aws", "gcp", "azure")


@dataclass(frozen=True)
class RegionCoverage:
    """Bills of one region: how many could be made, and their lines with and without a price."""

    cloud: str
    region: str
    bills: int
    unpriced: tuple[str, ...]  # options that the book has no machines or rates for
    lines: int
    unknown: dict[str, int]  # name of the line: how many bills have it without a price

    @property
    def unknown_lines(self) -> int:
        return sum(self.unknown.values())


def coverage(
    book: PriceBook, clouds: Iterable[str] = CLOUDS, *, regions: Iterable[str] | None = None
) -> list[RegionCoverage]:
    """One row for each region of the clouds, or for those of `regions`.

    Raises InputError for an unknown cloud.
    """
    wanted = None if regions is None else set(regions)
    return [
        _region(cloud, region, book)
        for cloud in clouds
        for region in book.regions(cloud)
        if wanted is None or region in wanted
    ]


def _region(cloud: str, region: str, book: PriceBook) -> RegionCoverage:
    bills = lines = 0
    unpriced: list[str] = []
    unknown: Counter[str] = Counter()
    for option in load_options().values():
        if option.cloud.value != cloud:
            continue
        for need in _questions(option):
            work = resolve(need)
            try:
                made = size(option, work, region, book)
            except UnknownPriceError:
                unpriced.append(option.id)
                break
            sized = made if isinstance(made, Sized) else made.sized()
            if sized.infeasible is not None:
                continue
            bills += 1
            for line in bill(Bill(option, work, sized, region, book)):
                lines += 1
                if line.unit_price_usd is None:
                    unknown[line.name] += 1
    return RegionCoverage(cloud, region, bills, tuple(unpriced), lines, dict(unknown))


def _questions(option: Option) -> list[Requirements]:
    """A small model on the internet and in a private network, in the option's first mode."""
    mode = option.modes[0]
    service = {"p95_ms": 2000} if mode is Mode.realtime else {"deadline_h": 24}
    return [
        parse(
            {
                "model": {
                    "format": "onnx",
                    "size_mb": 100,
                    "memory_mb": 400,
                    "service_time_ms": 20,
                },
                "traffic": {"mode": mode.value, "requests_per_month": 20_000_000},
                "service": service | {"availability_percent": 99.95},
                "control": {"private_network": private},
            }
        )
        for private in (False, True)
    ]
