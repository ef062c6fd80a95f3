"""Whether a function's instances are kept ready, and what a second of it costs."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.catalog.schema import Option
from advisor.errors import UnknownPriceError
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


def prices(option: Option, book: PriceBook, region: str, arch: str, memory_mb: float) -> Prices:
    """Prices of a gigabyte-second at this memory size. Raises UnknownPriceError."""
    gb = round(memory_mb / 1024)
    sku = option.gb_second_sku
    usd = book.rate(sku.format(arch=arch, gb=gb), region).tiers[0].unit_price_usd
    on_demand = usd / gb if "{gb}" in sku else usd
    if not _offers_ready(option):
        return Prices(on_demand)
    try:
        ready, ready_work = (
            book.rate(each.format(arch=arch, gb=gb), region).tiers[0].unit_price_usd
            / (gb if "{gb}" in each else 1)
            for each in (option.ready_sku, option.ready_work_sku)
        )
    except UnknownPriceError:
        # The choice goes on with Lambda's proportions; the bill's own lines say it is unknown.
        ratios = option.number("ready_price_ratio"), option.number("ready_work_price_ratio")
        return Prices(on_demand, on_demand * ratios[0], on_demand * ratios[1], imputed=True)
    return Prices(on_demand, ready, ready_work)


def _offers_ready(option: Option) -> bool:
    return "provisioned_concurrency" in option.facts and option.flag("provisioned_concurrency")
