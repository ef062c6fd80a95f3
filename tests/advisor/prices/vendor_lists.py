"""Price lists in the vendors' documented shapes, written from a price book.

Small and by our own hand: the layouts are those of the AWS offer files and query API, the Azure
Retail Prices API and the Google Cloud Billing Catalog.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from vendor_server import Answer, Asked, Vendor

from advisor.prices import PriceBook
from advisor.prices.rates import Rate
from advisor.prices.refresh import mapping
from advisor.prices.refresh.mapping import AwsOffer
from advisor.prices.refresh.merge import machine_rows

PUBLISHED = "2026-11-20T10:00:00Z"
AWS_PREFIX = {"us-east-1": "", "eu-west-1": "EU-", "us-west-2": "USW2-"}
AWS_TITLES = (
    "SKU", "OfferTermCode", "RateCode", "TermType", "PriceDescription", "EffectiveDate",
    "StartingRange", "EndingRange", "Unit", "PricePerUnit", "Currency", "LeaseContractLength",
    "PurchaseOption", "OfferingClass", "Product Family", "serviceCode", "Location",
    "Location Type", "Instance Type", "Tenancy", "Operating System", "License Model",
    "usageType", "operation", "CapacityStatus", "Pre Installed S/W", "Region Code", "serviceName",
)  # fmt: skip


@dataclass
class AwsPrice:
    """One row of an offer file; also one price dimension of the query API."""

    sku: str
    usage: str
    usd: float
    unit: str = "Hrs"
    begin: float = 0
    end: float = math.inf
    operation: str = ""
    term: str = "OnDemand"
    currency: str = "USD"
    extra: dict[str, str] = field(default_factory=dict)


LINUX = {
    "Operating System": "Linux", "Tenancy": "Shared", "Pre Installed S/W": "NA",
    "CapacityStatus": "Used", "License Model": "No License required",
}  # fmt: skip


def aws_prices(book: PriceBook, name: str, offer: AwsOffer, region: str) -> list[AwsPrice]:
    """What the offer lists in a region, with rows that must not be taken among them."""
    prefix = AWS_PREFIX.get(region, "XYZ1-")
    out = []
    for number, (sku, mapped) in enumerate(offer.rates.items()):
        rate = _own(book, sku, region)
        usage = re.sub(r"\\(.)", r"\1", mapped.usage)
        for i, tier in enumerate(rate.tiers if rate else ()):
            assert rate is not None
            end = rate.tiers[i + 1].start if i + 1 < len(rate.tiers) else math.inf
            out.append(
                AwsPrice(
                    f"{name.upper()}{number:03}", prefix + usage,
                    tier.unit_price_usd * mapped.per, "Quantity", tier.start, end,
                    mapped.operation,
                )
            )  # fmt: skip
            # A decoy: the same usage under another name.
            out.append(AwsPrice(f"DECOY{number:03}", f"{prefix}Other-{usage}", 99.0, "Quantity"))
    if offer.machines:
        out += _aws_machines(book, offer, region, prefix)
    return out


def _aws_machines(book: PriceBook, offer: AwsOffer, region: str, prefix: str) -> Iterator[AwsPrice]:
    assert offer.machines
    service = offer.machines.service
    usage = "BoxUsage" if service == "ec2" else "Host"
    for i, row in enumerate(r for r in machine_rows(book, service) if r.region == region):
        extra = {"Instance Type": row.machine, "Region Code": region}
        if service == "ec2":
            extra |= LINUX
            windows = extra | {"Operating System": "Windows"}
            yield AwsPrice(f"W{i:06}", f"{prefix}{usage}:{row.machine}", 77.0, extra=windows)
        sku = f"{service[:3].upper()}{i:06}"
        yield AwsPrice(sku, f"{prefix}{usage}:{row.machine}", row.usd_per_hour, extra=extra)


def aws_csv(prices: Iterable[AwsPrice], name: str, region: str) -> bytes:
    """An offer file: five rows about it, the titles, then one row a price."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows(
        [
            ("FormatVersion", "v1.0"), ("Disclaimer", "For information only."),
            ("Publication Date", PUBLISHED), ("Version", "20261120100000"), ("OfferCode", name),
            AWS_TITLES,
        ]
    )  # fmt: skip
    for i, price in enumerate(prices):
        cells = dict.fromkeys(AWS_TITLES, "") | {
            "SKU": price.sku, "RateCode": f"{price.sku}.T.{i}", "TermType": price.term,
            "StartingRange": f"{price.begin:g}" if price.begin < 1e6 else f"{price.begin:.0f}",
            "EndingRange": "Inf", "Unit": price.unit, "PricePerUnit": decimal(price.usd),
            "Currency": price.currency, "usageType": price.usage, "operation": price.operation,
            "serviceCode": name, "Region Code": region,
        } | price.extra  # fmt: skip
        writer.writerow([cells[title] for title in AWS_TITLES])
    return text.getvalue().encode()


def aws_bulk(book: PriceBook, regions: Iterable[str]) -> Vendor:
    """The public bulk files of AWS."""
    vendor, regions = Vendor(), list(regions)
    offers = mapping.aws().offers
    vendor.put_json(
        "/offers/v1.0/aws/index.json",
        {
            "offers": {
                name: {
                    "offerCode": name,
                    "currentRegionIndexUrl": f"/offers/v1.0/aws/{name}/current/region_index.json",
                }
                for name in offers
            }
        },
    )
    for name, offer in offers.items():
        listed = {}
        for region in regions:
            path = f"/offers/v1.0/aws/{name}/20261120100000/{region}/index"
            listed[region] = {"regionCode": region, "currentVersionUrl": f"{path}.json"}
            prices = aws_prices(book, name, offer, region)
            vendor.files[f"{path}.csv"] = aws_csv(prices, name, region)
        vendor.put_json(
            f"/offers/v1.0/aws/{name}/current/region_index.json",
            {"publicationDate": PUBLISHED, "regions": listed},
        )
    return vendor


def savings_plan_csv(rates: Iterable[tuple[str, float, str, str]]) -> bytes:
    """A list of savings plans: (SKU on demand, USD an hour, years, purchase option)."""
    titles = (
        "SKU", "RateCode", "Unit", "EffectiveDate", "DiscountedRate", "Currency", "DiscountedSKU",
        "DiscountedServiceCode", "DiscountedUsageType", "DiscountedOperation", "PurchaseOption",
        "LeaseContractLength", "LeaseContractLengthUnit", "ServiceCode", "UsageType", "Operation",
        "Description", "Instance Family", "Location", "Location Type", "Granularity",
        "Product Family", "DiscountedRegionCode", "DiscountedInstanceType",
    )  # fmt: skip
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("FormatVersion", "v1.0"), ("Publication Date", PUBLISHED), titles])
    for i, (sku, usd, years, option) in enumerate(rates):
        cells = dict.fromkeys(titles, "") | {
            "SKU": f"PLAN{i}", "DiscountedRate": decimal(usd), "Currency": "USD",
            "DiscountedSKU": sku, "PurchaseOption": option, "LeaseContractLength": years,
            "LeaseContractLengthUnit": "year", "DiscountedServiceCode": "AmazonSageMaker",
        }  # fmt: skip
        writer.writerow([cells[title] for title in titles])
    return text.getvalue().encode()


def list_path(name: str, region: str) -> str:
    return f"/offers/v1.0/aws/{name}/20261120100000/{region}/index.csv"


def aws_api(book: PriceBook, regions: Iterable[str], page_size: int = 100) -> Vendor:
    """The query API of AWS: GetProducts in the JSON protocol, paged by NextToken."""
    vendor = Vendor()
    products = {
        (name, region): _products(aws_prices(book, name, offer, region), region)
        for name, offer in mapping.aws().offers.items()
        for region in regions
    }

    def get_products(asked: Asked) -> Answer:
        assert asked.headers["x-amz-target"] == "AWSPriceListService.GetProducts"
        body = json.loads(asked.body)
        wanted = {f["Field"]: f["Value"] for f in body.get("Filters", [])}
        region = wanted.pop("regionCode", "") or wanted.pop("fromRegionCode", "")
        wanted.pop("regionCode", None)
        family = wanted.pop("productFamily", None)
        found = [
            product
            for product in products.get((body["ServiceCode"], region), [])
            if all(product["product"]["attributes"].get(k) == v for k, v in wanted.items())
            and (family is None or product["product"]["productFamily"] == family)
        ]
        start = int(body.get("NextToken") or 0)
        answer: dict[str, Any] = {
            "FormatVersion": "aws_v1",
            "PriceList": [json.dumps(p) for p in found[start : start + page_size]],
        }
        if start + page_size < len(found):
            answer["NextToken"] = str(start + page_size)
        return Answer(
            json.dumps(answer).encode(), headers={"Content-Type": "application/x-amz-json-1.1"}
        )

    vendor.routes["/"] = get_products
    return vendor


def _products(prices: list[AwsPrice], region: str) -> list[dict[str, Any]]:
    """Products with their terms, as GetProducts lists them."""
    by_sku: dict[str, list[AwsPrice]] = defaultdict(list)
    for price in prices:
        by_sku[price.sku].append(price)
    names = {
        "Operating System": "operatingSystem", "Tenancy": "tenancy",
        "Pre Installed S/W": "preInstalledSw", "CapacityStatus": "capacitystatus",
        "License Model": "licenseModel", "Instance Type": "instanceType",
        "Region Code": "regionCode",
    }  # fmt: skip
    out = []
    for sku, group in by_sku.items():
        first = group[0]
        family = "Compute Instance" if "Instance Type" in first.extra else "Storage"
        if "NatGateway" in first.usage:
            family = "NAT Gateway"
        terms: dict[str, Any] = {}
        for i, price in enumerate(group):
            offered = terms.setdefault(price.term, {}).setdefault(
                f"{sku}.T", {"priceDimensions": {}, "termAttributes": {}}
            )
            offered["priceDimensions"][f"{sku}.T.{i}"] = {
                "unit": price.unit, "beginRange": decimal(price.begin), "endRange": "Inf",
                "description": "", "pricePerUnit": {price.currency: decimal(price.usd)},
            }  # fmt: skip
        attributes = {names[k]: v for k, v in first.extra.items() if k in names}
        attributes |= {"usagetype": first.usage, "operation": first.operation}
        attributes.setdefault("regionCode", region)
        described = {"sku": sku, "productFamily": family, "attributes": attributes}
        out.append({"product": described, "terms": terms, "publicationDate": PUBLISHED})
    return out


def azure(book: PriceBook, regions: Iterable[str], page_size: int = 100) -> Vendor:
    """The Azure Retail Prices API with OData filters of `eq` and `and`, paged by NextPageLink."""
    vendor, names = Vendor(), mapping.azure()
    items: list[dict[str, Any]] = []
    for sku, mapped in names.rates.items():
        for rate in (r for r in book.rates if r.sku == sku and r.region in set(regions)):
            for tier in rate.tiers:
                items.append(
                    _azure_item(
                        rate.region, tier.unit_price_usd * mapped.per, f"{sku}/{rate.region}",
                        serviceName=mapped.serviceName, meterName=mapped.meterName,
                        productName=mapped.productName or mapped.serviceName,
                        skuName=mapped.skuName or "Standard",
                        tierMinimumUnits=tier.start / mapped.per,
                    )
                )  # fmt: skip
    for i, row in enumerate(machine_rows(book, "azure-vm")):
        if row.region in set(regions):
            base = {"serviceName": names.machines_service_name, "armSkuName": row.machine,
                    "meterName": row.machine[9:], "unitOfMeasure": "1 Hour"}  # fmt: skip
            series = f"Virtual Machines {row.machine[9:11]} Series"
            items += [
                _azure_item(row.region, row.usd_per_hour, f"VM{i}", productName=series,
                            skuName=row.machine[9:], **base),
                _azure_item(row.region, row.usd_per_hour * 1.9, f"VM{i}W",
                            productName=series + " Windows", skuName=row.machine[9:], **base),
                _azure_item(row.region, row.usd_per_hour * 0.2, f"VM{i}L", productName=series,
                            skuName=row.machine[9:] + " Low Priority", **base),
            ]  # fmt: skip

    answers: dict[str, list[dict[str, Any]]] = {}

    def matching(text: str) -> list[dict[str, Any]]:
        wanted = dict(re.findall(r"(\w+) eq '([^']*)'", text))
        wanted["type"] = wanted.pop("priceType", "Consumption")
        return [i for i in items if all(i.get(k) == v for k, v in wanted.items())]

    def search(asked: Asked) -> Answer:
        text = asked.query["$filter"]
        found = answers.setdefault(text, []) or matching(text)
        answers[text] = found
        skip = int(asked.query.get("$skip", 0))
        link = None
        if skip + page_size < len(found):
            query = asked.query["$filter"].replace(" ", "%20").replace("'", "%27")
            link = f"{vendor.url}{asked.path}?$filter={query}&$skip={skip + page_size}"
        page = {"BillingCurrency": "USD", "Items": found[skip : skip + page_size],
                "NextPageLink": link, "Count": page_size}  # fmt: skip
        return Answer(json.dumps(page).encode())

    vendor.routes["/api/retail/prices"] = search
    vendor.items = items  # type: ignore[attr-defined]
    return vendor


def _azure_item(region: str, usd: float, sku: str, **fields: Any) -> dict[str, Any]:
    return {
        "currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": float(f"{usd:.12g}"),
        "unitPrice": usd, "armRegionName": region, "skuId": sku, "type": "Consumption",
        "unitOfMeasure": "1", "isPrimaryMeterRegion": True,
        "effectiveStartDate": "2024-01-01T00:00:00Z",
    } | fields  # fmt: skip


def gcp(book: PriceBook, regions: Iterable[str], page_size: int = 200) -> Vendor:
    """The Cloud Billing Catalog: services, and SKUs paged by nextPageToken."""
    vendor, names, regions = Vendor(), mapping.gcp(), list(regions)
    numbers = {name: number or f"TEST-{i:04}-0000" for i, (name, number)
               in enumerate(names.services.items())}  # fmt: skip
    listed: dict[str, list[dict[str, Any]]] = {name: [] for name in numbers}
    listed["Compute Engine"] += _gcp_parts(book, regions)
    for sku, mapped in names.rates.items():
        for rate in (r for r in book.rates if r.sku == sku):
            pairs = [(t.start, t.unit_price_usd) for t in rate.tiers]
            if sku == "gcp.log_ingest_gb":  # a free allowance comes first
                pairs = [(0.0, 0.0), (50.0, pairs[0][1])]
            places = ["global"] if rate.region == "*" else [rate.region]
            listed[mapped.service].append(
                _gcp_sku(f"{mapped.description} in a place", places, pairs, group=mapped.group)
            )
    route_pages(
        vendor, "/v1/services", "services",
        [{"name": f"services/{n}", "serviceId": n, "displayName": d} for d, n in numbers.items()],
        page_size,
    )  # fmt: skip
    for name, number in numbers.items():
        route_pages(vendor, f"/v1/services/{number}/skus", "skus", listed[name], page_size)
    vendor.listed = listed  # type: ignore[attr-defined]
    return vendor


def route_pages(vendor: Vendor, path: str, name: str, rows: list[Any], page_size: int) -> None:
    def page(asked: Asked) -> Answer:
        if asked.headers.get("x-goog-api-key") != "a-test-key":
            return Answer(b'{"error": {"message": "API key not valid"}}', 400)
        start = int(asked.query.get("pageToken", 0))
        answer = {name: rows[start : start + page_size]}
        more = start + page_size < len(rows)
        return Answer(
            json.dumps(answer | {"nextPageToken": str(start + page_size) if more else ""}).encode()
        )

    vendor.routes[path] = page


_USAGE = {
    "usd_per_hour": ("OnDemand", "{} running in Somewhere"),
    "spot_usd_per_hour": ("Preemptible", "Spot Preemptible {} running in Somewhere"),
    "commit_1y_usd_per_hour": ("Commit1Yr", "Commitment v1: {} in Somewhere for 1 Year"),
    "commit_3y_usd_per_hour": ("Commit3Yr", "Commitment v1: {} in Somewhere for 3 Year"),
}


def _gcp_parts(book: PriceBook, regions: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Prices of cores, memory and GPUs from which the book's machines can be composed."""
    names = mapping.gcp()
    for region in regions:
        table = book.machines("gce", region)
        for family, parts in names.families.items():
            rows = [table.row(i) for i in np.flatnonzero(table.family == family)]
            rows = [r for r in rows if not any(w in r.name for w in names.leave_out)]
            if not rows:
                continue
            sizes = np.array([(r.vcpu, r.memory_gib, r.gpu_count) for r in rows])
            for column, (usage, text) in _USAGE.items():
                usd = [getattr(r, column) for r in rows]
                if any(value is None for value in usd):
                    continue
                solved = np.linalg.lstsq(sizes, np.array(usd), rcond=None)[0]
                commit = usage.startswith("Commit")
                if commit and family.startswith("t2a"):
                    continue
                core = f"{parts.commit} Cpu".strip() if commit else parts.core
                ram = f"{parts.commit} Ram".strip() if commit else parts.ram
                for part, price in zip((core, ram), solved, strict=False):
                    yield _gcp_sku(text.format(part), [region], [(0, price)], usage)
                gpus = {r.gpu_name for r in rows if r.gpu_name}
                for gpu in gpus:
                    spot = "{} attached to Spot Preemptible VMs running in Somewhere"
                    shape = spot if usage == "Preemptible" else text
                    yield _gcp_sku(shape.format(names.gpus[gpu]), [region], [(0, solved[2])], usage)


def _gcp_sku(
    description: str,
    places: list[str],
    pairs: Iterable[tuple[float, float]],
    usage: str = "OnDemand",
    currency: str = "USD",
    group: str = "",
) -> dict[str, Any]:
    tiers = []
    for start, usd in pairs:
        nanos = round(usd * 1e9)
        money = {"currencyCode": currency, "units": str(nanos // 10**9), "nanos": nanos % 10**9}
        tiers.append({"startUsageAmount": start, "unitPrice": money})
    return {
        "skuId": f"{abs(hash((description, *places))) & 0xFFFFFFFF:08X}", "description": description,
        "category": {"resourceFamily": "Compute", "resourceGroup": group, "usageType": usage},
        "serviceRegions": places,
        "pricingInfo": [{"pricingExpression": {"usageUnit": "h", "tieredRates": tiers}}],
    }  # fmt: skip


def _own(book: PriceBook, sku: str, region: str) -> Rate | None:
    return next((r for r in book.rates if r.sku == sku and r.region == region), None)


def decimal(value: float) -> str:
    return np.format_float_positional(value, precision=12, trim="-")
