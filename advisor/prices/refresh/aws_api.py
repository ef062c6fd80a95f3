"""AWS prices from the Price List query API, with the credentials of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from advisor import aws_errors
from advisor.errors import PriceFeedError, PriceRefreshError
from advisor.prices.refresh import mapping
from advisor.prices.refresh.aws_items import ON_DEMAND, RESERVED, Collector, Item, key, tier_start
from advisor.prices.refresh.feed import Feed, Report, Step
from advisor.prices.refresh.mapping import AwsOffer
from advisor.prices.refresh.web import Web

ENDPOINT_VARIABLE = "ADVISOR_PRICES_AWS_API_URL"
API_REGION = "us-east-1"  # the service answers for all regions from here
_ATTEMPTS = 8


def read(
    web: Web,
    endpoint: str | None,
    regions: Sequence[str],
    needed: Mapping[str, set[str]],
    today: date,
    report: Report,
) -> Feed:
    """The prices of all offers in `regions`; `needed` maps an offer to the regions that the book
    prices with it, which must be in the answer. Raises PriceRefreshError."""
    client = _client(endpoint)
    feed = Feed()
    offers = mapping.aws().offers
    tasks = [(name, region) for name in offers for region in regions]
    for i, (name, region) in enumerate(tasks):
        report(Step(i, len(tasks), f"{name} {region}"))
        source = f"AWS Price List API, {name} {region}, read {today.isoformat()}"
        collector = Collector(name, offers[name], region, source, today.isoformat())
        try:
            for product in _products(client, name, region, offers[name], web):
                for item in _items(product):
                    if collector.wants(item.get("usagetype")):
                        collector.take(item)
        except (ClientError, BotoCoreError) as error:
            said = aws_errors.in_words(
                error,
                f"read {name} in {region} from the AWS Price List API",
                when_denied="the credentials of this machine need pricing:GetProducts",
            )
            raise PriceRefreshError(f"{said.sentence}; or use --via bulk") from None
        found = collector.feed()
        if not found.rates and not found.machines and region in needed.get(name, set()):
            feed.findings.append(
                f"{name} lists no prices in {region}, where the book has some; a region is lost"
            )
        feed.merge(found)
    report(Step(len(tasks), len(tasks), "all lists read"))
    return feed


def _client(endpoint: str | None) -> Any:
    config = Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        connect_timeout=20,
        read_timeout=60,
    )
    try:
        return boto3.client(
            "pricing", region_name=API_REGION, endpoint_url=endpoint or None, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise PriceRefreshError(f"cannot ask the AWS Price List API: {error}") from None


def _products(
    client: Any, name: str, region: str, offer: AwsOffer, web: Web
) -> Iterator[Mapping[str, Any]]:
    """Products of an offer. Where machines can be asked for by their attributes, its few rates are
    asked for by product family: EC2 lists a hundred thousand machines."""
    base = {offer.region_filter: region}
    asked = [base]
    if offer.machines and offer.machines.attributes:
        asked = [base | offer.machines.attributes]
        asked += [base | {"productFamily": family} for family in offer.rate_families]
    for wanted in asked:
        filters = [{"Type": "TERM_MATCH", "Field": f, "Value": v} for f, v in wanted.items()]
        pages = client.get_paginator("get_products").paginate(
            ServiceCode=name, Filters=filters, FormatVersion="aws_v1"
        )
        for page in pages:
            web.check()
            for text in page["PriceList"]:
                try:
                    yield json.loads(text)
                except json.JSONDecodeError as error:
                    raise PriceFeedError(
                        f"the AWS Price List API answered no JSON for {name} in {region} ({error});"
                        " refresh again"
                    ) from None


def _items(product: Mapping[str, Any]) -> Iterator[Item]:
    described = product.get("product", {})
    sku = str(described.get("sku", ""))
    attributes = {key(k): str(v) for k, v in described.get("attributes", {}).items()}
    for term in (ON_DEMAND, RESERVED):
        for offered in product.get("terms", {}).get(term, {}).values():
            of_term = {key(k): str(v) for k, v in offered.get("termAttributes", {}).items()}
            for dimension in offered.get("priceDimensions", {}).values():
                prices = dimension.get("pricePerUnit") or {"no currency": ""}
                currency = "USD" if "USD" in prices else next(iter(prices))
                yield Item(
                    sku, term, tier_start(str(dimension.get("beginRange", ""))),
                    str(prices[currency]), currency, str(dimension.get("unit", "")),
                    attributes | of_term,
                )  # fmt: skip
