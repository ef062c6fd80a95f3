"""Putting a monthly bill together from its priced things."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from advisor.by_identity import ByIdentity
from advisor.catalog.schema import Option
from advisor.costs.line import Amount, Line, unknown
from advisor.errors import CatalogError, UnknownPriceError
from advisor.prices import PriceBook
from advisor.recommendation import CostLine
from advisor.requirements import HOURS_IN_MONTH
from advisor.sizing.many_sized import ManySized
from advisor.sizing.sized import Array, Sized
from advisor.volumes import Volumes
from advisor.workload import Workload


@dataclass(frozen=True)
class Bill:
    """What a priced thing may look at: the option as sized in a region, and the price book.

    For many volumes at once `volumes` are those of the plans in `sized`, and quantities are arrays.
    """

    option: Option
    work: Workload
    sized: Sized | ManySized
    region: str
    book: PriceBook
    volume: float = 1.0
    volumes: Volumes | None = None

    @property
    def requests(self) -> Amount:
        """Requests a month at this bill's volume."""
        if self.volumes is not None:
            return self.volumes.requests
        return self.work.need.traffic.requests_per_month * self.volume

    @property
    def hours(self) -> float:
        """Hours in a month of something that is always there."""
        return float(HOURS_IN_MONTH)

    @property
    def is_private(self) -> bool:
        return self.work.need.control.private_network

    def line(self, name: str, sku: str, quantity: Amount, region: str | None = None) -> list[Line]:
        """The line for a quantity of a price-book sku; none for nothing.

        A price that the book does not hold gives a line with no unit price, never $0.
        """
        nothing = quantity <= 0
        if not sku or (nothing.all() if isinstance(nothing, np.ndarray) else nothing):
            return []
        try:
            rate = self.book.rate(sku, region or self.region)
        except UnknownPriceError as error:
            known = self.book.skus.get(sku)
            return [unknown(name, quantity, known.unit if known else sku, str(error), sku)]
        return [Line(name, quantity, rate.unit, rate.tiers, rate.source, rate.as_of)]

    def bought_lines(self, name: str, sku: str, quantity: Amount) -> list[Line]:
        """`line`, with the part of `quantity` that is bought at a discount on lines of its own.

        `quantity` is in proportion to the plan's replica-hours (gigabyte-seconds for functions).
        """
        bought, sized = self.sized.bought, self.sized
        if bought is None:
            return self.line(name, sku, quantity)
        used = sized.gb_seconds if sized.strategy == "functions" else sized.replica_hours
        each = quantity / used if used else 0.0
        lines = [
            line._replace(
                share=bought.share,
                source=f"{1 - bought.share:.1%} off {line.source}; {bought.source}",
                as_of=self.book.oldest((line.as_of, bought.as_of)),
            )
            if line.tiers is not None
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
    return written_out(lines_of(given))


def written_out(lines: Iterable[Line]) -> tuple[CostLine, ...]:
    """Raises InputError for a quantity that is none."""
    return tuple(cost_line for line in lines for cost_line in line.written_out())


def sum_usd(lines: Sequence[Line]) -> tuple[float, bool]:
    """`total` of lines that need not be written out for it."""
    usd = math.fsum(usd for line in lines for usd in line.usd())
    return usd, any(line.tiers is None for line in lines)


def sums_usd(lines: Sequence[Line], count: int) -> tuple[Array, NDArray[np.bool_]]:
    """`sum_usd` at `count` volumes at once, arrays of shape (volumes,): to the last digit the same,
    because a sum is rounded once whatever the order."""
    parts = [usd for line in lines for usd in line.usd_of_each()]
    table = np.empty((len(parts), count))
    for row, usd in zip(table, parts, strict=True):
        row[:] = usd
    at_least = np.zeros(count, dtype=np.bool_)
    for line in lines:
        if line.tiers is None:
            at_least |= np.greater(line.quantity, 0)
    return np.array([math.fsum(column) for column in table.T.tolist()]), at_least


def lines_of(given: Bill) -> list[Line]:
    """The lines before they are written out. Raises as `bill`."""
    things = _THINGS.get(given.option, lambda option: [_priced_thing(n) for n in option.bill])
    return [line for lines in things for line in lines(given)]


def total(lines: Iterable[CostLine]) -> tuple[float, bool]:
    """(sum in USD, whether it is only "at least" because a unit price is unknown)."""
    lines = tuple(lines)
    return math.fsum(line.usd for line in lines), any(x.unit_price_usd is None for x in lines)


_THINGS: ByIdentity[Option, list[Callable[[Bill], list[Line]]]] = ByIdentity()


@cache
def _priced_thing(name: str) -> Callable[[Bill], list[Line]]:
    try:
        module = importlib.import_module(f"advisor.costs.{name}")
    except ModuleNotFoundError:
        raise CatalogError(
            f"an option's bill names {name!r}, but there is no module advisor/costs/{name}.py"
        ) from None
    lines: Callable[[Bill], list[Line]] = module.lines
    return lines
