"""Putting a monthly bill together from its priced things."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from advisor.by_identity import ByIdentity
from advisor.catalog.schema import Option
from advisor.errors import CatalogError, UnknownPriceError
from advisor.prices import PriceBook
from advisor.recommendation import CostLine
from advisor.requirements import HOURS_IN_MONTH
from advisor.sizing.sized import Sized
from advisor.workload import Workload

UNKNOWN = "unit price unknown"


@dataclass(frozen=True)
class Bill:
    """What a priced thing may look at: the option as sized in a region, and the price book."""

    option: Option
    work: Workload
    sized: Sized
    region: str
    book: PriceBook
    volume: float = 1.0

    @property
    def requests(self) -> float:
        """Requests a month at this bill's volume."""
        return self.work.need.traffic.requests_per_month * self.volume

    @property
    def hours(self) -> float:
        """Hours in a month of something that is always there."""
        return float(HOURS_IN_MONTH)

    @property
    def is_private(self) -> bool:
        return self.work.need.control.private_network

    def line(
        self, name: str, sku: str, quantity: float, region: str | None = None
    ) -> list[CostLine]:
        """Cost lines for a quantity of a price-book sku, one for each price tier it reaches.

        A price that the book does not hold gives a line with no unit price, never $0.
        """
        if quantity <= 0 or not sku:
            return []
        try:
            rate = self.book.rate(sku, region or self.region)
        except UnknownPriceError as error:
            return [unknown(name, quantity, sku, str(error))]
        parts = rate.split(quantity)
        return [
            CostLine(
                name=name if len(parts) == 1 else f"{name} (tier {i})",
                quantity=part,
                unit=rate.unit,
                unit_price_usd=unit_price,
                usd=part * unit_price,
                source=rate.source,
                as_of=rate.as_of,
            )
            for i, (part, unit_price) in enumerate(parts, start=1)
        ]

    def bought_lines(self, name: str, sku: str, quantity: float) -> list[CostLine]:
        """`line`, with the part of `quantity` that is bought at a discount on lines of its own.

        `quantity` is in proportion to the plan's replica-hours (gigabyte-seconds for functions).
        """
        bought, sized = self.sized.bought, self.sized
        if bought is None:
            return self.line(name, sku, quantity)
        used = sized.gb_seconds if sized.strategy == "functions" else sized.replica_hours
        each = quantity / used if used else 0.0
        lines = [
            line.model_copy(
                update={
                    "unit_price_usd": line.unit_price_usd * bought.share,
                    "usd": line.usd * bought.share,
                    "source": f"{1 - bought.share:.1%} off {line.source}; {bought.source}",
                    "as_of": self.book.oldest((line.as_of, bought.as_of)),
                }
            )
            if line.unit_price_usd is not None
            else line
            for line in self.line(f"{name}, {bought.label}", sku, bought.discounted * each)
        ]
        above = self.line(f"{name}, on demand above it", sku, bought.on_demand * each)
        return [*lines, *above]

    def metered(self, fact: str) -> float:
        """How usage is counted (512 KB steps, connections per LCU). Raises UnknownPriceError."""
        return self.book.metering(fact).value


def bill(given: Bill) -> tuple[CostLine, ...]:
    """All cost lines of an option for a month, in the order of the option's `bill:` list.

    Raises CatalogError when the option names a priced thing that does not exist.
    """
    things = _THINGS.get(given.option, lambda option: [_priced_thing(n) for n in option.bill])
    return tuple(line for lines in things for line in lines(given))


def total(lines: Iterable[CostLine]) -> tuple[float, bool]:
    """(sum in USD, whether it is only "at least" because a unit price is unknown)."""
    lines = tuple(lines)
    return math.fsum(line.usd for line in lines), any(x.unit_price_usd is None for x in lines)


def unknown(name: str, quantity: float, unit: str, source: str) -> CostLine:
    """A line whose unit price nobody has: shown as such, and the total becomes "at least"."""
    return CostLine(
        name=name, quantity=quantity, unit=unit, unit_price_usd=None, usd=0.0,
        source=f"{UNKNOWN}: {source}", as_of="",
    )  # fmt: skip


_THINGS: ByIdentity[Option, list[Callable[[Bill], list[CostLine]]]] = ByIdentity()


@cache
def _priced_thing(name: str) -> Callable[[Bill], list[CostLine]]:
    try:
        module = importlib.import_module(f"advisor.costs.{name}")
    except ModuleNotFoundError:
        raise CatalogError(
            f"an option's bill names {name!r}, but there is no module advisor/costs/{name}.py"
        ) from None
    lines: Callable[[Bill], list[CostLine]] = module.lines
    return lines
