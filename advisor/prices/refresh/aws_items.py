"""One price of the AWS Price List, from a bulk file or the query API, matched to the book."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from advisor.errors import PriceFeedError
from advisor.prices.refresh.feed import Feed, RateQuote, as_tiers, in_usd
from advisor.prices.refresh.mapping import AwsMachines, AwsOffer, AwsRate, AwsReserved, aws
from advisor.prices.store import MachineRow

ON_DEMAND, RESERVED = "OnDemand", "Reserved"
YEARS = {"1yr": "commit_1y_usd_per_hour", "3yr": "commit_3y_usd_per_hour"}
_HOURS = frozenset({"Hrs", "hours", "Hours", "Hour"})


class Attributes(Protocol):
    """Attributes by the names that `key` gives, so that CSV titles and JSON names agree."""

    def get(self, name: str, default: str, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Item:
    """One price with the attributes of its product and of its term."""

    sku: str
    term: str
    begin: str
    price: str
    currency: str
    unit: str
    attributes: Attributes

    def get(self, name: str) -> str:
        return self.attributes.get(key(name), "")


@lru_cache(maxsize=512)
def key(name: str) -> str:
    """ "Pre Installed S/W" and "preInstalledSw" are one attribute."""
    return re.sub("[^a-z0-9]", "", name.lower())


@dataclass
class Collector:
    """Takes the items of one offer in one region, gives a Feed."""

    offer_name: str
    offer: AwsOffer
    region: str
    source: str
    as_of: str
    _tiers: dict[tuple[str, str, str], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _hourly: dict[str, tuple[str, float]] = field(default_factory=dict)
    _committed: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    def __post_init__(self) -> None:
        prefix = aws().prefix
        self._rates = [
            (sku, rate, re.compile(prefix + rate.usage)) for sku, rate in self.offer.rates.items()
        ]
        machines = self.offer.machines
        self._machines = re.compile(prefix + machines.usage) if machines else None

        self._wanted: dict[str, bool] = {}

    def wants(self, usage: str) -> bool:
        """Whether items of that usage type can matter: the cheap test, before all others."""
        known = self._wanted.get(usage)
        if known is None:
            patterns = [pattern for _sku, _rate, pattern in self._rates]
            patterns += [self._machines] if self._machines else []
            known = any(pattern.fullmatch(usage) for pattern in patterns)
            self._wanted[usage] = known
        return known

    def take(self, item: Item) -> None:
        """Raises PriceRefreshError for a price in another currency or one that is no number."""
        place = item.get("regionCode") or item.get("fromRegionCode") or self.region
        if place != self.region:
            return  # a local or wavelength zone in its parent's list
        usage = item.get("usagetype")
        for sku, rate, pattern in self._rates:
            if item.term == ON_DEMAND and pattern.fullmatch(usage) and _operates(rate, item):
                start = float(item.begin or 0)
                self._tiers[sku, item.sku, usage].append((start, self._usd(item)))
        found = self._machines.fullmatch(usage) if self._machines else None
        if found and self.offer.machines and _is_machine(self.offer.machines, item):
            self._take_machine(item, found, self.offer.machines)

    def commit(self, sku: str, term: str, usd: float) -> None:
        """The hourly rate of a savings plan ("1yr", "3yr") for that SKU."""
        if usd > 0:
            self._committed[sku][YEARS[term]] = usd

    def feed(self) -> Feed:
        """What the items amount to. Call once, at the end."""
        out = Feed()
        for (sku, vendor_sku, usage), pairs in sorted(self._tiers.items()):
            rate = self.offer.rates[sku]
            tiers = as_tiers(pairs, rate.per, 1.0)
            if rate.first_tier:
                tiers = tiers[:1]
            quote = RateQuote(sku, self.region, tiers, self.source, self.as_of)
            out.add_rate(quote, f"{self.offer_name} SKU {vendor_sku}, {usage}")
        if self.offer.machines:
            for vendor_sku, (machine, usd) in sorted(self._hourly.items()):
                row = MachineRow(
                    self.region, machine, usd, "list", self.source, self.as_of,
                    **self._committed.get(vendor_sku, {}),
                )  # fmt: skip
                out.add_machine(self.offer.machines.service, row, f"SKU {vendor_sku}")
        return out

    def _take_machine(self, item: Item, found: re.Match[str], machines: AwsMachines) -> None:
        if item.unit not in _HOURS:
            return
        if item.term == ON_DEMAND:
            machine = found.groupdict().get("machine") or item.get(machines.machine_attribute)
            if machine:
                self._hourly[item.sku] = (machine, self._usd(item))
        elif item.term == RESERVED and machines.reserved and _is_term(machines.reserved, item):
            column = YEARS.get(item.get("LeaseContractLength"))
            usd = self._usd(item)
            if column and usd > 0:
                self._committed[item.sku][column] = usd

    def _usd(self, item: Item) -> float:
        return in_usd(item.price, item.currency, f"{self.offer_name} SKU {item.sku}")


def _operates(rate: AwsRate, item: Item) -> bool:
    return not rate.operation or item.get("operation") == rate.operation


def _is_machine(machines: AwsMachines, item: Item) -> bool:
    return all(item.get(name) == value for name, value in machines.attributes.items())


def _is_term(reserved: AwsReserved, item: Item) -> bool:
    return all(item.get(name) == value for name, value in reserved.model_dump().items())


def tier_start(text: str) -> str:
    """The bound of a tier as the list writes it; "Inf" and "NA" are no start."""
    try:
        return text if math.isfinite(float(text)) else ""
    except ValueError:
        return ""


def column_titles(rows: Iterator[list[str]], path: Path) -> list[str]:
    """The row of column titles, behind a few lines about the file."""
    for row, _limit in zip(rows, range(20), strict=False):
        if row and row[0].upper() == "SKU":
            return row
    raise PriceFeedError(f"the price list in {path.name} has no row of column titles")
