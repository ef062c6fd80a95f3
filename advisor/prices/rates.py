"""Unit prices of services, possibly in tiers, with the facts of how usage is metered."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from advisor.errors import InputError, PriceBookError
from advisor.prices.store import number, read_csv

EVERYWHERE = "*"
SKU_COLUMNS = ("sku", "cloud", "unit", "name", "page")
RATE_COLUMNS = ("sku", "region", "tier_from", "unit_price_usd", "kind", "as_of", "source")
METERING_COLUMNS = ("fact", "value", "unit", "as_of", "source")
ALLOWANCE_COLUMNS = ("allowance", "quantity", "unit", "skus", "as_of", "source")


@dataclass(frozen=True, slots=True)
class Tier:
    """From `start` units a month on, a unit costs `unit_price_usd`."""

    start: float
    unit_price_usd: float


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one sku in one region. Tiers are sorted, the first starts at 0.

    `region` is the region asked for, also when the row applies everywhere. `kind`: list (a
    published price), derived (computed by the rule in `source`), default (one price read in
    several regions and applied to the others), weak (one old or indirect reading).
    """

    sku: str
    region: str
    unit: str
    tiers: tuple[Tier, ...]
    source: str
    as_of: str
    kind: str

    @property
    def unit_price_usd(self) -> float:
        """The price in the first tier."""
        return self.tiers[0].unit_price_usd

    def split(self, quantity: float, after: float = 0.0) -> list[tuple[float, float]]:
        """Shares of `quantity` with their unit prices, `after` units having been used already.

        Raises InputError for a negative or infinite number.
        """
        for value in (quantity, after):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(
                    f"a quantity of {self.sku} is {value}; give a number of {self.unit} from 0 up"
                )
        if len(self.tiers) == 1 and quantity > 0:
            return [(quantity, self.tiers[0].unit_price_usd)]
        end = after + quantity
        shares = []
        for i, tier in enumerate(self.tiers):
            stop = self.tiers[i + 1].start if i + 1 < len(self.tiers) else math.inf
            share = min(end, stop) - max(after, tier.start)
            if share > 0:
                shares.append((share, tier.unit_price_usd))
        # One tier takes all: keep the quantity exact, free of the sum's rounding.
        return [(quantity, shares[0][1])] if len(shares) == 1 else shares

    def usd(self, quantity: float, after: float = 0.0) -> float:
        """The price of `quantity` units. Raises InputError like `split`."""
        return sum(share * price for share, price in self.split(quantity, after))


@dataclass(frozen=True, slots=True)
class Sku:
    """A thing that is billed by the unit. `page` is the vendor's own price page."""

    sku: str
    cloud: str
    unit: str
    name: str
    page: str


@dataclass(frozen=True, slots=True)
class Metering:
    """One fact of how a service is metered: what is included, in which steps it counts."""

    fact: str
    value: float
    unit: str
    as_of: str
    source: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """A monthly free quantity that does not run out after a trial, shared by `skus`."""

    allowance: str
    quantity: float
    unit: str
    skus: tuple[str, ...]
    as_of: str
    source: str


def read_skus(path: Path) -> dict[str, Sku]:
    """Raises PriceBookError."""
    return {
        row["sku"]: Sku(row["sku"], row["cloud"], row["unit"], row["name"], row["page"])
        for row in read_csv(path, SKU_COLUMNS)
    }


def read_rates(path: Path, skus: dict[str, Sku]) -> dict[tuple[str, str], Rate]:
    """(sku, region) -> Rate. Raises PriceBookError: unknown sku, no tier at 0, unsorted tiers."""
    grouped: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in read_csv(path, RATE_COLUMNS):
        grouped[row["sku"], row["region"]].append(row)
    rates = {}
    for (name, region), rows in grouped.items():
        sku = skus.get(name)
        if sku is None:
            raise PriceBookError(f"{path} prices {name!r}, which is not among the skus; add it")
        tiers = tuple(
            Tier(number(r["tier_from"], path, r), number(r["unit_price_usd"], path, r))
            for r in rows
        )
        starts = [t.start for t in tiers]
        if starts[0] != 0 or any(b <= a for a, b in itertools.pairwise(starts)):
            raise PriceBookError(
                f"{path} has tiers of {name} in {region} starting at {starts}; the first must "
                "start at 0 and each later one higher"
            )
        first = rows[0]
        rates[name, region] = Rate(
            name, region, sku.unit, tiers, first["source"], first["as_of"], first["kind"]
        )
    return rates


def read_metering(path: Path) -> dict[str, Metering]:
    """Raises PriceBookError."""
    return {
        row["fact"]: Metering(
            row["fact"], number(row["value"], path, row), row["unit"], row["as_of"], row["source"]
        )
        for row in read_csv(path, METERING_COLUMNS)
    }


def read_allowances(path: Path) -> dict[str, Allowance]:
    """Raises PriceBookError."""
    return {
        row["allowance"]: Allowance(
            row["allowance"],
            number(row["quantity"], path, row),
            row["unit"],
            tuple(row["skus"].split()),
            row["as_of"],
            row["source"],
        )
        for row in read_csv(path, ALLOWANCE_COLUMNS)
    }
