"""Where a price of a list applies in the book."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.prices.book import PriceBook
from advisor.prices.rates import EVERYWHERE


def places(sku: str, region: str, asked: Sequence[str], old: PriceBook) -> list[str]:
    """The regions of the book that a price listed for `region` renews.

    A price for everywhere renews each region that has a row of its own, and the row for
    everywhere when the whole cloud was asked for.
    """
    if region != EVERYWHERE:
        return [region] if region in asked else []
    own = [r.region for r in old.rates if r.sku == sku and r.region in asked]
    whole = set(asked) == set(old.regions(old.skus[sku].cloud))
    return [*own, EVERYWHERE] if whole else own or list(asked)
