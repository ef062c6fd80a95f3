"""Azure prices from the Retail Prices API: public, a hundred items a page."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from advisor.errors import PriceFeedError
from advisor.prices.book import PriceBook
from advisor.prices.rates import EVERYWHERE
from advisor.prices.refresh import mapping
from advisor.prices.refresh.feed import Feed, RateQuote, Report, Step, as_tiers, in_usd
from advisor.prices.refresh.mapping import AzureMapping, AzureRate
from advisor.prices.refresh.places import places
from advisor.prices.refresh.web import Web, shown
from advisor.prices.store import MachineRow

ENDPOINT = "https://prices.azure.com"
ENDPOINT_VARIABLE = "ADVISOR_PRICES_AZURE_URL"
_PATH = "/api/retail/prices"
_VERSION = "2023-01-01-preview"  # the one that carries savings plans
_GLOBAL = ("Global", "")
_TERMS = {"1 Year": "commit_1y_usd_per_hour", "3 Years": "commit_3y_usd_per_hour"}

Found = Mapping[str, Any]


def read(
    web: Web,
    endpoint: str,
    regions: Sequence[str],
    old: PriceBook,
    today: date,
    report: Report,
) -> Feed:
    """The prices of all machines and services in `regions`. Raises PriceRefreshError."""
    names = mapping.azure()
    feed = Feed()
    steps = len(names.rates) + len(regions)
    for i, (sku, rate) in enumerate(names.rates.items()):
        report(Step(i, steps, sku))
        _rate(web, endpoint, sku, rate, regions, old, today, feed)
    priced = set(old.machine_prices(names.machines_service).regions)
    for i, region in enumerate(regions, start=len(names.rates)):
        report(Step(i, steps, f"{names.machines_service_name} {region}"))
        _machines(web, endpoint, names, region, today, feed)
        if (names.machines_service, region) not in feed.answered and region in priced:
            feed.findings.append(
                f"the list has no {names.machines_service_name} in {region}, where the book has "
                "some; a region is lost"
            )
    report(Step(steps, steps, "all lists read"))
    return feed


def items(web: Web, endpoint: str, wanted: str) -> Iterator[Found]:
    """All items that match an OData filter, page after page. Raises PriceRefreshError."""
    url: str | None = endpoint + _PATH
    params: Mapping[str, str] | None = {"api-version": _VERSION, "$filter": wanted}
    seen: set[str] = set()
    while url:
        page = web.json(url, params)
        if not isinstance(page, dict) or not isinstance(page.get("Items"), list):
            raise PriceFeedError(
                f"{shown(url)} answered without Items; its layout has changed, so nothing was "
                "taken from it"
            )
        yield from page["Items"]
        # The link carries the whole query.
        url, params = page.get("NextPageLink") or None, None
        if url in seen:
            raise PriceFeedError(f"{shown(url)} names a page as its own next page; try again later")
        if url:
            seen.add(url)


def _rate(
    web: Web,
    endpoint: str,
    sku: str,
    rate: AzureRate,
    regions: Sequence[str],
    old: PriceBook,
    today: date,
    feed: Feed,
) -> None:
    fields = {
        name: value
        for name in ("serviceName", "productName", "skuName", "meterName")
        if (value := getattr(rate, name))
    }
    wanted = " and ".join(f"{name} eq '{value}'" for name, value in fields.items())
    tiers: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for item in items(web, endpoint, f"{wanted} and priceType eq 'Consumption'"):
        if all(item.get(name) == value for name, value in fields.items()):
            place = EVERYWHERE if item.get("armRegionName") in _GLOBAL else item["armRegionName"]
            start = float(item.get("tierMinimumUnits") or 0)
            tiers[place, str(item.get("skuId") or item.get("meterId"))].append((start, _usd(item)))
    source = f"Azure Retail Prices API, {rate.serviceName}, {rate.meterName}"
    # A region's own price goes before the one for everywhere.
    for (place, vendor_sku), pairs in sorted(
        tiers.items(), key=lambda t: (t[0][0] == EVERYWHERE, t)
    ):
        found = as_tiers(pairs, rate.per, rate.per)
        found = found[:1] if rate.first_tier else found
        for region in places(sku, place, regions, old):
            if place == EVERYWHERE != region and (sku, region) in feed.rates:
                continue
            quote = RateQuote(sku, region, found, source, today.isoformat())
            feed.add_rate(quote, f"SKU {vendor_sku}")


def _machines(
    web: Web, endpoint: str, names: AzureMapping, region: str, today: date, feed: Feed
) -> None:
    wanted = (
        f"serviceName eq '{names.machines_service_name}' and armRegionName eq '{region}' "
        "and priceType eq 'Consumption'"
    )
    source = f"Azure Retail Prices API, {names.machines_service_name} {region}"
    spot: dict[str, float] = {}
    rows: dict[str, tuple[MachineRow, str]] = {}
    for item in items(web, endpoint, wanted):
        machine, sku = str(item.get("armSkuName") or ""), str(item.get("skuName") or "")
        if not _is_machine(names, item, machine, sku, region):
            continue
        usd = _usd(item)
        if names.spot_sku in sku:
            spot[machine] = min(usd, spot.get(machine, math.inf))
            continue
        row = MachineRow(region, machine, usd, "list", source, today.isoformat(), **_plans(item))
        known = rows.get(machine)
        if known is None or usd < known[0].usd_per_hour:
            rows[machine] = (row, str(item.get("skuId") or item.get("meterId")))
    for machine, (row, vendor_sku) in rows.items():
        priced = row._replace(spot_usd_per_hour=spot.get(machine) or math.nan)
        feed.add_machine(names.machines_service, priced, f"SKU {vendor_sku}")


def _is_machine(names: AzureMapping, item: Found, machine: str, sku: str, region: str) -> bool:
    product = str(item.get("productName") or "")
    return (
        machine.startswith(names.name_prefixes)
        and item.get("armRegionName") == region
        and item.get("unitOfMeasure") == "1 Hour"
        and item.get("type", "Consumption") == "Consumption"
        and not any(word in product for word in names.leave_out_products)
        and not any(word in sku for word in names.leave_out_skus)
    )


def _plans(item: Found) -> dict[str, float]:
    """What an hour costs with a savings plan, by the book's column."""
    out = {}
    for plan in item.get("savingsPlan") or ():
        column = _TERMS.get(str(plan.get("term")))
        if column:
            usd = in_usd(plan.get("retailPrice"), item.get("currencyCode"), "a savings plan")
            if usd > 0:
                out[column] = usd
    return out


def _usd(item: Found) -> float:
    name = str(item.get("skuId") or item.get("meterId") or item.get("meterName"))
    return in_usd(item.get("retailPrice"), item.get("currencyCode"), f"Azure SKU {name}")
