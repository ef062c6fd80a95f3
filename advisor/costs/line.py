"""A line of a bill before it is written out: how much of what, for one volume or for many at once.

The modules of `advisor.costs` say quantities; what they cost is reckoned here alone. A quantity is a
number, or an array of shape (volumes,) where many volumes are reckoned at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from advisor.errors import InputError
from advisor.prices.rates import Tier
from advisor.recommendation import CostLine

UNKNOWN = "unit price unknown"
Amount = float | NDArray[np.floating[Any]]


class Line(NamedTuple):
    """A quantity and its unit price: in `tiers` that begin at 0 and rise, each at `share` of its
    price; without tiers nobody knows it, and `sku` says what has no price in the region."""

    name: str
    quantity: Amount
    unit: str
    tiers: tuple[Tier, ...] | None
    source: str
    as_of: str
    share: Amount = 1.0  # an array where each volume has a machine of its own
    sku: str = ""

    def written_out(self) -> Iterator[CostLine]:
        """Cost lines, one for each price tier that the quantity (a number) reaches. Raises
        InputError for a quantity that is none."""
        quantity = _finite(self, self.quantity)
        if self.tiers is None:
            yield CostLine(
                name=self.name, quantity=quantity, unit=self.unit, unit_price_usd=None, usd=0.0,
                source=self.source, as_of=self.as_of,
            )  # fmt: skip
            return
        reached = [(part, tier) for part, tier in _parts(self.tiers, quantity) if part > 0]
        for i, (part, tier) in enumerate(reached or [(quantity, self.tiers[0])], start=1):
            yield CostLine(
                name=self.name if len(reached) < 2 else f"{self.name} (tier {i})",
                quantity=part,
                unit=self.unit,
                unit_price_usd=float(tier.unit_price_usd * self.share),
                usd=float(part * tier.unit_price_usd * self.share),
                source=self.source,
                as_of=self.as_of,
            )

    def usd(self) -> Iterator[float]:
        """What the cost lines of a number cost, one by one; nothing where no price is known."""
        quantity = _finite(self, self.quantity)
        for part, tier in _parts(self.tiers or (), quantity):
            yield float(part * tier.unit_price_usd * self.share)

    def usd_of_each(self) -> Iterator[Amount]:
        """`usd` where the quantity may be an array: those of each volume."""
        for i, tier in enumerate(self.tiers or ()):
            part = self.quantity
            if len(self.tiers or ()) > 1:
                stop = _stop(self.tiers or (), i)
                part = np.maximum(np.minimum(self.quantity, stop) - tier.start, 0.0)
            yield part * tier.unit_price_usd * self.share


def unknown(name: str, quantity: Amount, unit: str, source: str, sku: str = "") -> Line:
    """A line whose unit price nobody has: shown as such, and the total becomes "at least"."""
    return Line(name, quantity, unit, None, f"{UNKNOWN}: {source}", "", sku=sku)


def _parts(tiers: tuple[Tier, ...], quantity: float) -> Iterator[tuple[float, Tier]]:
    if len(tiers) == 1:
        yield quantity, tiers[0]
        return
    for i, tier in enumerate(tiers):
        if quantity > tier.start:
            yield min(quantity, _stop(tiers, i)) - tier.start, tier


def _stop(tiers: tuple[Tier, ...], i: int) -> float:
    return tiers[i + 1].start if i + 1 < len(tiers) else math.inf


def _finite(line: Line, quantity: Amount) -> float:
    value = float(quantity)
    if not (math.isfinite(value) and value >= 0):
        raise InputError(
            f"a quantity of {line.unit} is {value} ({line.name}); give a number from 0 up"
        )
    return value
