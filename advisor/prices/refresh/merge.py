"""A new price book: the old one with the prices that a feed has read."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from advisor.prices.book import PriceBook
from advisor.prices.commitments import COLUMNS
from advisor.prices.rates import RATE_COLUMNS
from advisor.prices.refresh import discounts
from advisor.prices.refresh.feed import Feed, RateQuote
from advisor.prices.shelf import SHIPPED, SNAPSHOT, snapshot_id
from advisor.prices.status import REFRESHED
from advisor.prices.store import (
    MACHINE_SERVICES,
    MachineRow,
    read_csv,
    write_csv,
    write_machine_prices,
)

Row = Mapping[str, str]


def write_book(
    old: PriceBook, feed: Feed, into: Path, provider: str, told: Mapping[str, str]
) -> None:
    """Write the new book into a directory that does not exist yet; `told` describes the refresh.

    Raises OSError when the disk refuses.
    """
    shutil.copytree(old.directory, into)
    if feed.rates:
        _write_rates(old, feed, into / "rates.csv")
    commitments = discounts.renewed(old, feed)
    if commitments:
        write_csv(into / "commitments.csv", COLUMNS, commitments)
    for service in sorted({service for service, _region in feed.answered}):
        path = into / "machines" / f"{service}.npz"
        write_machine_prices(path, _machine_rows(old, feed, service))
    if old.directory == SHIPPED:
        (into / SNAPSHOT).write_text(snapshot_id() + "\n", encoding="utf-8")
    known = into / REFRESHED
    done = json.loads(known.read_text(encoding="utf-8")) if known.exists() else {}
    done[provider] = dict(told)
    known.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")


def kept_rates(old: PriceBook, feed: Feed, provider: str, regions: set[str]) -> list[str]:
    """The rates of a provider that stay as they are, "sku in region"; only in these regions."""
    return [
        f"{rate.sku} in {rate.region}"
        for rate in old.rates
        if old.skus[rate.sku].cloud == provider
        and rate.region in regions
        and (rate.sku, rate.region) not in feed.rates
    ]


def kept_machines(old: PriceBook, feed: Feed, provider: str) -> int:
    """How many machine prices of a provider stay as they are."""
    count = 0
    for service, cloud in MACHINE_SERVICES.items():
        if cloud == provider:
            prices = old.machine_prices(service)
            for region in prices.regions:
                if (service, region) not in feed.answered:
                    rows = prices.rows(region)
                    count += rows.stop - rows.start
    return count


def machine_rows(book: PriceBook, service: str) -> Iterator[MachineRow]:
    """The stored rows of a service, as they are written."""
    prices = book.machine_prices(service)
    for region in prices.regions:
        rows = prices.rows(region)
        for i in range(rows.start, rows.stop):
            yield MachineRow(
                region,
                prices.machines[prices.machine[i]],
                float(prices.usd_per_hour[i]),
                prices.kinds[prices.kind[i]],
                prices.sources[prices.source[i]],
                prices.as_ofs[prices.as_of[i]],
                float(prices.spot_usd_per_hour[i]),
                float(prices.commit_1y_usd_per_hour[i]),
                float(prices.commit_3y_usd_per_hour[i]),
            )


def _machine_rows(old: PriceBook, feed: Feed, service: str) -> list[MachineRow]:
    kept = [
        row
        for row in machine_rows(old, service)
        if (service, row.region) not in feed.answered
        or (
            (service, row.region, row.machine) in feed.untouched
            and (service, row.region, row.machine) not in feed.machines
        )
    ]
    return kept + [row for (of, _region, _name), row in feed.machines.items() if of == service]


def _write_rates(old: PriceBook, feed: Feed, path: Path) -> None:
    """Replace whole rates, tier by tier; the order of skus stays, their regions are sorted."""
    by_sku: dict[str, dict[str, list[tuple[object, ...]]]] = defaultdict(dict)
    for row in read_csv(path, RATE_COLUMNS):
        cells = tuple(row[column] for column in RATE_COLUMNS)
        by_sku[row["sku"]].setdefault(row["region"], []).append(cells)
    for quote in feed.rates.values():
        by_sku[quote.sku][quote.region] = list(_tier_rows(quote))
    write_csv(
        path,
        RATE_COLUMNS,
        (
            cells
            for sku in old.skus
            for region in sorted(by_sku[sku])
            for cells in by_sku[sku][region]
        ),
    )


def _tier_rows(quote: RateQuote) -> Iterator[tuple[object, ...]]:
    for start, usd in quote.tiers:
        yield (
            quote.sku, quote.region, _plain(start), _plain(usd), "list", quote.as_of, quote.source,
        )  # fmt: skip


def _plain(value: float) -> str:
    """Digits without an exponent, as a person would write them."""
    return np.format_float_positional(value, trim="-")
