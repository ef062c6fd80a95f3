"""Rates of AWS savings plans: region index, then one CSV file a region."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from advisor.errors import PriceFeedError, PriceRefreshError
from advisor.prices.refresh.aws_items import column_titles, key
from advisor.prices.refresh.feed import Feed, in_usd
from advisor.prices.refresh.mapping import AwsOffer
from advisor.prices.refresh.web import Web

_NEEDED = (
    "discountedsku", "discountedrate", "currency", "purchaseoption", "leasecontractlength",
)  # fmt: skip
_TERMS = {"1": "1yr", "3": "3yr"}

Plan = tuple[str, str, float]  # SKU on demand, "1yr" or "3yr", USD an hour


def lists(
    web: Web, endpoint: str, offer: AwsOffer, regions: Sequence[str], feed: Feed
) -> dict[str, str]:
    """Region -> address of the list of plans. Without an index there are no rates, and `feed`
    notes it: prices on demand do not depend on them."""
    plan = offer.machines.savings_plan if offer.machines else None
    if plan is None:
        return {}
    url = f"{endpoint}/savingsPlan/v1.0/aws/{plan.list}/current/region_index.json"
    try:
        listed = web.json(url)
        found = {str(r["regionCode"]): str(r["versionUrl"]) for r in listed["regions"]}
    except (PriceRefreshError, KeyError, TypeError) as error:
        web.check()
        feed.notes.append(f"the rates of {plan.list} were not read: {error}")
        return {}
    return {
        region: endpoint + found[region].replace(".json", ".csv")
        for region in regions
        if region in found
    }


def read(web: Web, offer: AwsOffer, url: str, downloads: Path) -> list[Plan]:
    """The rates of one region; none without an address. Raises PriceRefreshError."""
    plan = offer.machines.savings_plan if offer.machines else None
    if plan is None or not url:
        return []
    path = web.download(url, downloads)
    out = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            titles = [key(title) for title in column_titles(rows, path)]
            if lacking := [name for name in _NEEDED if name not in titles]:
                raise PriceFeedError(
                    f"the list {url} has no column {', '.join(lacking)}; its layout has changed"
                )
            for cells in filter(None, rows):
                if len(cells) != len(titles):
                    raise PriceFeedError(f"the list {url} is cut short or damaged; refresh again")
                row = dict(zip(titles, cells, strict=True))
                term = _TERMS.get(row["leasecontractlength"])
                if term and row["purchaseoption"] == plan.purchase_option:
                    sku = row["discountedsku"]
                    what = f"{plan.list} SKU {sku}"
                    out.append((sku, term, in_usd(row["discountedrate"], row["currency"], what)))
    except (csv.Error, UnicodeDecodeError) as error:
        raise PriceFeedError(f"the list {url} is damaged ({error}); refresh again") from None
    finally:
        path.unlink()
    return out
