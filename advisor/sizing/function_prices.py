"""Whether a function's instances are kept ready, and what a second of it costs."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final

from advisor.catalog.schema import Option
from advisor.errors import UnknownPriceError
from advisor.memo import Same
from advisor.prices import PriceBook
from advisor.requirements import Mode
from advisor.sizing.provisioned import UNPREDICTABLE
from advisor.sizing.sized import Sized
from advisor.workload import Workload


@dataclass(frozen=True)
class Prices:
    """USD for a gigabyte-second: on demand, of an instance kept ready, and of its work."""

    on_demand: float
    ready: float = 0.0
    ready_work: float = 0.0
    imputed: bool = False  # the last two are not known and stand in for the choice and the ranking
    lowest: float = 1.0  # what the cheapest tier of them costs of the first

    def usd(self, sized: Sized, paid_gb_seconds: float) -> float:
        """A month's duration; `paid_gb_seconds` on demand cost what those on demand really do."""
        return paid_gb_seconds * self.on_demand + self.ready_usd(sized)

    def ready_usd(self, sized: Sized) -> float:
        """The part for instances kept ready."""
        gb = sized.memory_mb / 1024
        return gb * (sized.ready_seconds * self.ready + sized.ready_work_seconds * self.ready_work)


def keeps_ready(option: Option, work: Workload) -> bool:
    """Whether the option keeps instances ready for this workload: cold starts are ruled out, and
    the hours of the traffic are known. Traffic that may pause and start costs less on demand."""
    return (
        work.need.traffic.mode is Mode.realtime
        and not work.need.service.cold_starts_ok
        and _offers_ready(option)
        and work.need.traffic.pattern not in UNPREDICTABLE
    )


class PriceList:
    """The prices of an option's functions in a region, by (architecture, memory size).

    Regions with the same prices have the same list, so what was chosen by it serves them all.
    """

    def __init__(self, prices: Mapping[tuple[str, float], Prices]) -> None:
        self.prices = prices


def price_list(
    option: Option, book: PriceBook, region: str, arches: tuple[str, ...], sizes: tuple[float, ...]
) -> PriceList:
    """The prices for these. Raises UnknownPriceError."""
    kept = _KEPT.setdefault(book, {})
    key = (Same(option), region, arches, sizes)
    found = kept.get(key)
    if found is None:
        listed = {(a, mb): prices(option, book, region, a, mb) for a in arches for mb in sizes}
        alike = (Same(option), tuple(listed.items()))
        found = kept[key] = kept.setdefault(alike, PriceList(listed))
    return found


# Lists that were put together from a book, for as long as the book lives.
_KEPT: Final[weakref.WeakKeyDictionary[PriceBook, dict[Hashable, PriceList]]] = (
    weakref.WeakKeyDictionary()
)


def prices(option: Option, book: PriceBook, region: str, arch: str, memory_mb: float) -> Prices:
    """Prices of a gigabyte-second at this memory size. Raises UnknownPriceError."""
    gb = round(memory_mb / 1024)
    skus = (option.gb_second_sku, option.ready_sku, option.ready_work_sku)
    lowest = 1.0

    def first_tier(sku: str) -> float:
        nonlocal lowest
        tiers = book.rate(sku.format(arch=arch, gb=gb), region).tiers
        usd = tiers[0].unit_price_usd
        if usd > 0:
            lowest = min([lowest, *(tier.unit_price_usd / usd for tier in tiers)])
        return usd / gb if "{gb}" in sku else usd

    on_demand = first_tier(skus[0])
    if not _offers_ready(option):
        return Prices(on_demand, lowest=lowest)
    try:
        ready, ready_work = first_tier(skus[1]), first_tier(skus[2])
    except UnknownPriceError:
        # The choice goes on with Lambda's proportions; the bill's own lines say it is unknown.
        ratios = option.number("ready_price_ratio"), option.number("ready_work_price_ratio")
        ready, ready_work = on_demand * ratios[0], on_demand * ratios[1]
        return Prices(on_demand, ready, ready_work, imputed=True, lowest=lowest)
    return Prices(on_demand, ready, ready_work, lowest=lowest)


def _offers_ready(option: Option) -> bool:
    return "provisioned_concurrency" in option.facts and option.flag("provisioned_concurrency")
