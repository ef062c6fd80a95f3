"""Google Cloud prices from the Cloud Billing Catalog: one list of SKUs a service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from advisor.errors import PriceFeedError, PriceRefreshError
from advisor.prices.book import PriceBook
from advisor.prices.rates import EVERYWHERE
from advisor.prices.refresh import gcp_login, mapping
from advisor.prices.refresh.feed import Feed, RateQuote, Report, Step, as_tiers, in_usd
from advisor.prices.refresh.gcp_machines import PartPrices, compose
from advisor.prices.refresh.places import places
from advisor.prices.refresh.web import Web, shown

ENDPOINT = "https://cloudbilling.googleapis.com"
ENDPOINT_VARIABLE = "ADVISOR_PRICES_GCP_URL"
PAGE_SIZE = "5000"

Sku = Mapping[str, Any]


def read(
    web: Web,
    endpoint: str,
    regions: Sequence[str],
    old: PriceBook,
    today: date,
    report: Report,
) -> Feed:
    """The prices of all machines and services in `regions`. Raises PriceRefreshError."""
    names = mapping.gcp()
    who = gcp_login.headers()
    ids = _service_ids(web, endpoint, who, names.services)
    feed, parts = Feed(), PartPrices(set(regions), names.vertex_prefix)
    for i, (service, number) in enumerate(ids.items()):
        report(Step(i, len(ids), service))
        wanted = {sku: rate for sku, rate in names.rates.items() if rate.service == service}
        found: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
        url = f"{endpoint}/v1/services/{number}/skus"
        for listed in _pages(web, url, who, "skus", {"currencyCode": "USD"}):
            text, group = str(listed.get("description", "")), _category(listed, "resourceGroup")
            parts.take(listed, _hourly)
            for sku, rate in wanted.items():
                if (
                    text.startswith(rate.description)
                    and (not rate.group or group == rate.group)
                    and _category(listed, "usageType") == "OnDemand"
                ):
                    for region in _regions(listed):
                        found[sku, region, str(listed.get("skuId"))] += _tiers(listed)
        source = f"Google Cloud Billing Catalog, {service}"
        # A region's own price goes before the one for everywhere.
        for (sku, region, number), pairs in sorted(
            found.items(), key=lambda f: (f[0][1] == EVERYWHERE, f)
        ):
            per = names.rates[sku].per
            for place in places(sku, region, regions, old):
                if region == EVERYWHERE != place and (sku, place) in feed.rates:
                    continue
                quote = RateQuote(sku, place, as_tiers(pairs, per, per), source, today.isoformat())
                feed.add_rate(quote, f"SKU {number}")
    compose(parts, old, names, today, feed)
    for region in sorted(set(regions) & set(old.machine_prices("gce").regions)):
        if ("gce", region) not in feed.answered:
            feed.findings.append(
                f"the list prices no machine in {region}, where the book has some; a region is lost"
            )
    report(Step(len(ids), len(ids), "all lists read"))
    return feed


def _service_ids(
    web: Web, endpoint: str, who: Mapping[str, str], services: Mapping[str, str]
) -> dict[str, str]:
    """Display name -> id; those without an id are looked up."""
    listed = {
        str(service.get("displayName")): str(service.get("serviceId"))
        for service in _pages(web, f"{endpoint}/v1/services", who, "services", {})
    }
    ids = {name: number or listed.get(name, "") for name, number in services.items()}
    if lacking := [name for name, number in ids.items() if not number]:
        raise PriceRefreshError(
            f"the Cloud Billing Catalog has no service {', '.join(lacking)} any more; update the "
            "product"
        )
    return ids


def _pages(
    web: Web, url: str, who: Mapping[str, str], name: str, query: Mapping[str, str]
) -> Iterator[Sku]:
    token = ""
    seen: set[str] = set()
    while True:
        asked = {"pageSize": PAGE_SIZE, **query} | ({"pageToken": token} if token else {})
        page = web.json(url, asked, who)
        if not isinstance(page, dict) or not isinstance(page.get(name, []), list):
            raise PriceFeedError(
                f"{shown(url)} answered without {name}; its layout has changed, so nothing was "
                "taken from it"
            )
        yield from page.get(name, [])
        token = str(page.get("nextPageToken") or "")
        if not token:
            return
        if token in seen:
            raise PriceFeedError(f"{shown(url)} names a page as its own next page; try again later")
        seen.add(token)


def _tiers(listed: Sku) -> list[tuple[float, float]]:
    """(start, USD) of the price in force. Raises PriceFeedError."""
    name = f"Google SKU {listed.get('skuId')}"
    try:
        rates = listed["pricingInfo"][-1]["pricingExpression"]["tieredRates"]
        return [(float(rate.get("startUsageAmount") or 0), _money(rate, name)) for rate in rates]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise PriceFeedError(
            f"{name} has no price that can be read ({type(error).__name__}: {error}); the layout "
            "of the list has changed"
        ) from None


def _hourly(listed: Sku) -> float:
    """The price of an hour: of the last tier, where the first is free."""
    return _tiers(listed)[-1][1]


def _money(rate: Mapping[str, Any], name: str) -> float:
    price = rate["unitPrice"]
    amount = int(price.get("units") or 0) + int(price.get("nanos") or 0) / 1e9
    return in_usd(amount, price.get("currencyCode"), name)


def _regions(listed: Sku) -> list[str]:
    found = [str(region) for region in listed.get("serviceRegions") or ()]
    return [EVERYWHERE] if found in ([], ["global"]) else found


def _category(listed: Sku, name: str) -> str:
    return str((listed.get("category") or {}).get(name, ""))
