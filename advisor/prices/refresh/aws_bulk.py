"""AWS prices from the public bulk files, without an account.

Offer index, then the region index of each offer, then one CSV file an offer and region. The EC2
files have hundreds of MB: they are downloaded to disk and read row by row.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from advisor.errors import PriceFeedError
from advisor.prices.refresh import mapping, savings_plans
from advisor.prices.refresh.aws_items import Collector, Item, column_titles, key, tier_start
from advisor.prices.refresh.feed import Feed, RateQuote, Report, Step
from advisor.prices.refresh.web import Web
from advisor.prices.store import MachineRow

ENDPOINT = "https://pricing.us-east-1.amazonaws.com"
ENDPOINT_VARIABLE = "ADVISOR_PRICES_AWS_URL"
_INDEX = "/offers/v1.0/aws/index.json"
_NEEDED = ("sku", "termtype", "startingrange", "unit", "priceperunit", "currency", "usagetype")
_TOLD_BYTES = 4_000_000
_ROWS_BETWEEN_LOOKS = 20_000


def read(
    web: Web,
    endpoint: str,
    regions: Sequence[str],
    needed: Mapping[str, set[str]],
    downloads: Path,
    today: date,
    report: Report,
) -> Feed:
    """The prices of all offers in `regions`; `needed` maps an offer to the regions that the book
    prices with it, which must be in the list. Raises PriceRefreshError."""
    offers = _index(web.json(endpoint + _INDEX), "offers", endpoint + _INDEX)
    feed = Feed()
    files: list[tuple[str, str, str]] = []
    plans = {}
    for name, offer in mapping.aws().offers.items():
        plans[name] = savings_plans.lists(web, endpoint, offer, regions, feed)
        found, lacking = _files(web, endpoint, offers, name, regions)
        files += [(name, region, url) for region, url in found.items()]
        for region in lacking & needed.get(name, set()):
            feed.findings.append(
                f"{name} lists no prices in {region}, where the book has some; a region is lost"
            )
    for i, (name, region, url) in enumerate(files):
        what = f"{name} {region}"
        report(Step(i, len(files), what))
        web.on_bytes = _loaded(report, i, len(files), what)
        feed.merge(_file(web, name, region, url, plans.get(name, {}), downloads, today))
    report(Step(len(files), len(files), "all lists read"))
    return feed


def items(path: Path, wants: Collector, web: Web) -> Iterator[Item]:
    """The rows of a price list that may matter. Raises PriceFeedError for a damaged file."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        titles = column_titles(rows, path)
        at = {key(title): i for i, title in enumerate(titles)}
        if lacking := [name for name in _NEEDED if name not in at]:
            raise PriceFeedError(
                f"the price list {wants.source} has no column {', '.join(lacking)}; its layout "
                "has changed, so nothing was taken from it"
            )
        usage = at["usagetype"]
        try:
            for number, row in enumerate(rows):
                if number % _ROWS_BETWEEN_LOOKS == 0:
                    web.check()
                if not row:
                    continue
                if len(row) != len(titles):
                    raise PriceFeedError(
                        f"row {number + 1} of the price list {wants.source} has {len(row)} of "
                        f"{len(titles)} columns: the file is cut short or damaged; refresh again"
                    )
                if wants.wants(row[usage]):
                    yield _item(row, at)
        except csv.Error as error:
            raise PriceFeedError(
                f"the price list {wants.source} is damaged ({error}); refresh again"
            ) from None


def _file(
    web: Web,
    name: str,
    region: str,
    url: str,
    plan_lists: Mapping[str, str],
    downloads: Path,
    today: date,
) -> Feed:
    """One list; what was read of it is kept until the refresh ends, so that a killed one goes on
    where it was."""
    offer = mapping.aws().offers[name]
    known = hashlib.sha256(f"{url} {offer.model_dump_json()}".encode()).hexdigest()[:16]
    kept = downloads / f"{known}.json"
    if kept.exists():
        return _recall(kept)
    plans = savings_plans.read(web, offer, plan_lists.get(region, ""), downloads)
    path = web.download(url, downloads)
    try:
        source = f"AWS Price List {name} {region}{_published(path)}, {url}"
        collector = Collector(name, offer, region, source, today.isoformat())
        for item in items(path, collector, web):
            collector.take(item)
        for sku, term, usd in plans:
            collector.commit(sku, term, usd)
    except (PriceFeedError, UnicodeDecodeError) as error:
        # A damaged file must not be found again by the next refresh.
        path.unlink(missing_ok=True)
        raise PriceFeedError(str(error)) from None
    feed = collector.feed()
    _remember(feed, kept)
    path.unlink()
    return feed


def _loaded(report: Report, done: int, files: int, what: str) -> Callable[[int, int], None]:
    """Tells how much of a large file is there, each time that another part has come."""
    told = 0

    def on_bytes(loaded: int, total: int) -> None:
        nonlocal told
        if loaded // _TOLD_BYTES > told:
            told = loaded // _TOLD_BYTES
            of = f" of {total / 1e6:,.0f}" if total else ""
            report(Step(done, files, f"{what}, {loaded / 1e6:,.0f}{of} MB"))

    return on_bytes


def _files(
    web: Web, endpoint: str, offers: Mapping[str, Any], name: str, regions: Iterable[str]
) -> tuple[dict[str, str], set[str]]:
    """Region -> address of the list, and the regions that the offer does not have."""
    if name not in offers:
        raise PriceFeedError(
            f"the offer index of AWS has no {name} any more; update the product or use --via api"
        )
    url = endpoint + str(offers[name].get("currentRegionIndexUrl", ""))
    listed = _index(web.json(url), "regions", url)
    found = {}
    for region in regions:
        entry = listed.get(region)
        if entry:
            found[region] = endpoint + str(entry["currentVersionUrl"]).replace(".json", ".csv")
    return found, set(regions) - set(found)


def _index(data: Any, name: str, url: str) -> Mapping[str, Any]:
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, dict) or not found:
        raise PriceFeedError(f"{url} holds no {name}; its layout has changed or it is cut short")
    return found


def _published(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        for row, _limit in zip(csv.reader(file), range(8), strict=False):
            if len(row) == 2 and row[0] == "Publication Date":
                return f" published {row[1][:10]}"
    return ""


def _item(row: Sequence[str], at: Mapping[str, int]) -> Item:
    def cell(name: str) -> str:
        return row[at[name]]

    return Item(
        cell("sku"), cell("termtype"), tier_start(cell("startingrange")), cell("priceperunit"),
        cell("currency"), cell("unit"), _Row(row, at),
    )  # fmt: skip


class _Row:
    """A row by its titles, without copying ninety cells for each of a million rows."""

    __slots__ = ("at", "row")

    def __init__(self, row: Sequence[str], at: Mapping[str, int]) -> None:
        self.row, self.at = row, at

    def get(self, name: str, default: str, /) -> str:
        i = self.at.get(name)
        return default if i is None else self.row[i]


def _remember(feed: Feed, path: Path) -> None:
    aside = path.with_suffix(".tmp")
    text = json.dumps(
        {
            "rates": [asdict(q) for q in feed.rates.values()],
            "machines": [[service, *row] for (service, _r, _m), row in feed.machines.items()],
            "answered": sorted(feed.answered),
            "untouched": sorted(feed.untouched),
            "findings": feed.findings,
            "notes": feed.notes,
        }
    )
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def _recall(path: Path) -> Feed:
    data = json.loads(path.read_text(encoding="utf-8"))
    feed = Feed(findings=data["findings"], notes=data["notes"])
    for rate in data["rates"]:
        rate["tiers"] = tuple(tuple(tier) for tier in rate["tiers"])
        feed.rates[rate["sku"], rate["region"]] = RateQuote(**rate)
    for service, *cells in data["machines"]:
        row = MachineRow(*cells)
        feed.machines[service, row.region, row.machine] = row
    feed.answered = {(service, region) for service, region in data["answered"]}
    feed.untouched = {(service, region, name) for service, region, name in data["untouched"]}
    return feed
