"""What was read from a vendor's price list, in the words of the price book."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from advisor.errors import PriceFeedError
from advisor.prices.store import MachineRow


@dataclass(frozen=True, slots=True)
class Step:
    """Progress: file or query number `done` of `total`, and what is being read."""

    done: int
    total: int
    what: str


_OTHER_PRICES = ("spot_usd_per_hour", "commit_1y_usd_per_hour", "commit_3y_usd_per_hour")
Report = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class RateQuote:
    """The price of one sku in one region: (start, USD) tiers, the first at 0."""

    sku: str
    region: str
    tiers: tuple[tuple[float, float], ...]
    source: str
    as_of: str


@dataclass
class Feed:
    """Everything one refresh has read.

    `answered` holds (service, region) pairs whose machines were listed in full; machines that the
    book has there and the list has not are no longer sold. `untouched` are machines whose old
    price stays, `ambiguous` rates with more than one. `findings` are sentences that a person
    should see before the prices are used; `notes` are for information.
    """

    rates: dict[tuple[str, str], RateQuote] = field(default_factory=dict)
    machines: dict[tuple[str, str, str], MachineRow] = field(default_factory=dict)
    answered: set[tuple[str, str]] = field(default_factory=set)
    untouched: set[tuple[str, str, str]] = field(default_factory=set)
    ambiguous: set[tuple[str, str]] = field(default_factory=set)
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_rate(self, quote: RateQuote, name: str) -> None:
        """Keep a rate; `name` is the vendor's own name of it, for messages."""
        lowest = min(price for _start, price in quote.tiers)
        if lowest <= 0:
            self.notes.append(
                f"{quote.sku} in {quote.region} ({name}) is listed at no charge; the old price stays"
            )
            return
        prices = [price for _start, price in quote.tiers]
        if prices != sorted(prices, reverse=True):
            self.findings.append(
                f"{quote.sku} in {quote.region} ({name}) gets dearer with volume: {prices}"
            )
            return
        place = (quote.sku, quote.region)
        known = self.rates.get(place)
        if known and known.tiers != quote.tiers:
            self.notes.append(
                f"{quote.sku} in {quote.region} has two prices in the list, "
                f"{known.tiers[0][1]:g} and {quote.tiers[0][1]:g} USD ({name}); the old one stays"
            )
            self.ambiguous.add(place)
            del self.rates[place]
        if place not in self.ambiguous:
            self.rates[place] = quote

    def add_machine(self, service: str, row: MachineRow, name: str) -> None:
        """Keep the price of a machine; the lower of two that carry the same name."""
        if row.usd_per_hour <= 0:
            self.notes.append(
                f"{service} {row.machine} in {row.region} ({name}) is listed at no charge; the old "
                "price stays"
            )
            self.untouched.add((service, row.region, row.machine))
            return
        for column in _OTHER_PRICES:
            if getattr(row, column) > row.usd_per_hour:
                self.notes.append(
                    f"{service} {row.machine} in {row.region} ({name}): {column} is above the price "
                    "on demand and is left out"
                )
                row = MachineRow(**(row._asdict() | {column: math.nan}))
        key = (service, row.region, row.machine)
        known = self.machines.get(key)
        if known is None or row.usd_per_hour < known.usd_per_hour:
            self.machines[key] = row
        self.answered.add((service, row.region))

    def merge(self, other: Feed) -> None:
        """Take over what another part of the refresh has read."""
        self.rates.update(other.rates)
        self.machines.update(other.machines)
        self.answered |= other.answered
        self.untouched |= other.untouched
        self.findings += other.findings
        self.notes += other.notes


def in_usd(amount: object, currency: object, what: str) -> float:
    """A price as a number. Raises PriceFeedError for another currency or no finite number."""
    if currency != "USD":
        raise PriceFeedError(
            f"{what} is priced in {currency}, and the price book holds USD only; ask the vendor's "
            "list in USD"
        )
    try:
        value = float(str(amount))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PriceFeedError(f"{what} has the price {amount!r}, which is no number")
    if value < 0:
        raise PriceFeedError(f"{what} has the price {value:g}; a price is above 0")
    return value


def as_tiers(
    pairs: Iterable[tuple[float, float]], per: float, per_tier: float
) -> tuple[tuple[float, float], ...]:
    """Tiers in the book's unit, the first at 0.

    `per` book units are what one price of the list buys, `per_tier` book units are one step of its
    tier bounds. A first tier at no charge is a free allowance, which the book holds apart.
    """
    ordered = sorted(pairs)
    if len(ordered) > 1 and ordered[0][1] == 0:
        ordered = ordered[1:]
    out: list[tuple[float, float]] = []
    for start, price in ordered:
        usd = float(f"{price / per:.12g}")
        if not out:
            out.append((0.0, usd))
        elif out[-1][1] != usd:
            out.append((float(f"{start * per_tier:.12g}"), usd))
    return tuple(out)
