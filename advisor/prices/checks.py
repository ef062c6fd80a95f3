"""What must hold in any price book, the shipped one and a refreshed one before it is swapped in.

Each check yields one sentence for each problem. The rules are about data only: whether a price
makes sense, not whether it is the price of today.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date

import numpy as np

from advisor.prices.book import PriceBook
from advisor.prices.commitments import USABLE
from advisor.prices.rates import EVERYWHERE
from advisor.prices.store import KINDS, MACHINE_SERVICES, UNDATED, MachinePrices

ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
ARCHITECTURES = ("x86_64", "arm64")
LARGEST_JUMP = 3.0  # a refresh that moves a price further must be looked at by a person
LARGEST_LOSS = 0.25  # so must one that drops a larger share of a region's machines


def problems(book: PriceBook) -> list[str]:
    """Everything that is wrong with a book, one sentence each; an empty list is a sound book."""
    wrong_regions = list(_regions(book))
    return [
        *wrong_regions,
        *_rates(book),
        *([] if wrong_regions else _completeness(book)),
        *_machines(book),
        *_specs(book),
        *_commitments(book),
    ]


def jumps(old: PriceBook, new: PriceBook) -> list[str]:
    """What a new book changes that nobody should accept unseen: a price that moves by more than
    three times, a region or a sku that is lost, more than a quarter of a region's machines."""
    return [*_rate_jumps(old, new), *_machine_jumps(old, new)]


def _rates(book: PriceBook) -> Iterator[str]:
    for rate in book.rates:
        where = f"{rate.sku} in {rate.region}"
        yield from _row(where, rate.kind, rate.source, rate.as_of)
        prices = [tier.unit_price_usd for tier in rate.tiers]
        if min(prices) <= 0:
            yield f"{where} has a price of {min(prices)}; a price is above 0"
        if prices != sorted(prices, reverse=True):
            yield f"{where} gets dearer with volume: {prices}"
        if rate.region != EVERYWHERE and rate.region not in book.known_regions:
            yield f"{where}: the region is not in regions.csv"
        elif rate.region != EVERYWHERE and (
            book.cloud_of(rate.region) != book.skus[rate.sku].cloud
        ):
            yield f"{where}: the region is another cloud's"
    for fact in book.metering_facts:
        yield from _row(fact.fact, "list", fact.source, fact.as_of)
        if fact.value <= 0:
            yield f"{fact.fact} is {fact.value}; it is above 0"
    for allowance in book.allowances:
        yield from _row(allowance.allowance, "list", allowance.source, allowance.as_of)
        for sku in allowance.skus:
            if sku not in book.skus:
                yield f"{allowance.allowance} is for {sku}, which is not a sku"


def _completeness(book: PriceBook) -> Iterator[str]:
    """Each cloud's default region has every sku of that cloud."""
    priced = {(rate.sku, rate.region) for rate in book.rates}
    for sku in book.skus.values():
        home = book.default_region(sku.cloud)
        if not {(sku.sku, home), (sku.sku, EVERYWHERE)} & priced:
            yield f"{sku.sku} has no price in {home}"
        if not (sku.name and sku.unit and sku.page.startswith("https://")):
            yield f"{sku.sku} lacks its name, its unit or its vendor's page"


def _machines(book: PriceBook) -> Iterator[str]:
    for service, cloud in MACHINE_SERVICES.items():
        prices = book.machine_prices(service)
        if not (prices.usd_per_hour > 0).all():
            yield f"{service} has a price that is not above 0"
        for name in ("spot_usd_per_hour", "commit_1y_usd_per_hour", "commit_3y_usd_per_hour"):
            values = getattr(prices, name)
            known = np.isfinite(values)
            if not (values[known] > 0).all():
                yield f"{service} has a {name} that is not above 0"
            if (values[known] > prices.usd_per_hour[known]).any():
                yield f"{service} has a {name} above the price on demand"
        keys = Counter(_keys(prices))
        yield from (f"{service} prices {key} {n} times" for key, n in keys.items() if n > 1)
        for kind in prices.kinds:
            if kind not in KINDS:
                yield f"{service} has rows of the kind {kind!r}"
        if not all(prices.sources):
            yield f"{service} has a row without a source"
        yield from (f"{service}: {e}" for as_of in prices.as_ofs if (e := _bad_date(as_of)))
        for region in prices.regions:
            if region not in book.known_regions or book.cloud_of(region) != cloud:
                yield f"{service} has prices in {region}, which is not a region of {cloud}"


def _specs(book: PriceBook) -> Iterator[str]:
    for cloud in dict.fromkeys(MACHINE_SERVICES.values()):
        for name, spec in book.specs(cloud).items():
            if not (spec.vcpu > 0 and spec.memory_gib > 0 and spec.family and spec.source):
                yield f"{name} lacks its vCPU, memory, family or source"
            if spec.arch not in ARCHITECTURES:
                yield f"{name} has the architecture {spec.arch!r}; use x86_64 or arm64"
            gpu = (spec.gpu_name, spec.gpu_vendor, spec.gpu_count, spec.gpu_mem_gib)
            if any(gpu) != all(gpu):
                yield f"{name} tells only part of its GPU: {gpu}"


def _commitments(book: PriceBook) -> Iterator[str]:
    keys = Counter(
        (c.service, c.programme, c.family, c.machine, c.region, c.term, c.payment)
        for c in book.commitments
    )
    yield from (f"the commitment {key} is there {n} times" for key, n in keys.items() if n > 1)
    for c in book.commitments:
        where = f"{c.programme} for {c.service} {c.family} {c.machine} {c.region} {c.term}"
        if c.kind not in (*USABLE, "max", "unknown"):
            yield f"{where} has the kind {c.kind!r}"
        if (c.discount_fraction is None) != (c.kind == "unknown"):
            yield f"{where} is {c.kind} but its discount is {c.discount_fraction}"
        if c.discount_fraction is not None and not 0 < c.discount_fraction < 1:
            yield f"{where} has a discount of {c.discount_fraction}; it is between 0 and 1"
        if not c.source or (e := _bad_date(c.as_of)):
            yield f"{where}: {'no source' if not c.source else e}"


def _regions(book: PriceBook) -> Iterator[str]:
    for cloud in book.known_regions.clouds():
        defaults = [r for r in book.known_regions if r.cloud == cloud and r.default]
        if len(defaults) != 1:
            yield f"{cloud} has {len(defaults)} default regions; it needs one"
    for region in book.known_regions:
        if not region.name or not re.fullmatch("[A-Z]{2}", region.country):
            yield f"{region.region} lacks its name or its country code"


def _rate_jumps(old: PriceBook, new: PriceBook) -> Iterator[str]:
    after = {(r.sku, r.region): r for r in new.rates}
    for rate in old.rates:
        found = after.get((rate.sku, rate.region))
        where = f"{rate.sku} in {rate.region}"
        if found is None:
            yield f"{where} is lost"
        elif _jumped(rate.unit_price_usd, found.unit_price_usd):
            yield f"{where} moves from {rate.unit_price_usd:g} to {found.unit_price_usd:g} USD"


def _machine_jumps(old: PriceBook, new: PriceBook) -> Iterator[str]:
    for service in MACHINE_SERVICES:
        before, after = old.machine_prices(service), new.machine_prices(service)
        for region in sorted(set(before.regions) - set(after.regions)):
            yield f"{service} loses the region {region}"
        yield from _losses(service, before, after)
        new_usd = dict(zip(_keys(after), after.usd_per_hour.tolist(), strict=True))
        for key, usd in zip(_keys(before), before.usd_per_hour.tolist(), strict=True):
            if key in new_usd and _jumped(usd, new_usd[key]):
                yield f"{service} {key[1]} in {key[0]} moves from {usd:g} to {new_usd[key]:g} USD"


def _losses(service: str, before: MachinePrices, after: MachinePrices) -> Iterator[str]:
    left = set(_keys(after))
    lost = Counter(region for region, name in _keys(before) if (region, name) not in left)
    for region in before.regions:
        rows = before.rows(region)
        had = rows.stop - rows.start
        if region in after.regions and lost[region] > had * LARGEST_LOSS:
            yield f"{service} loses {lost[region]} of {had} machines in {region}"


def _jumped(before: float, after: float) -> bool:
    return after > before * LARGEST_JUMP or after < before / LARGEST_JUMP


def _keys(prices: MachinePrices) -> Iterable[tuple[str, str]]:
    for region in prices.regions:
        for i in prices.machine[prices.rows(region)].tolist():
            yield region, prices.machines[i]


def _row(where: str, kind: str, source: str, as_of: str) -> Iterator[str]:
    if kind not in KINDS:
        yield f"{where} has the kind {kind!r}; use one of {', '.join(KINDS)}"
    if not source.strip():
        yield f"{where} has no source"
    problem = _bad_date(as_of)
    if problem:
        yield f"{where}: {problem}"


def _bad_date(as_of: str) -> str:
    """A sentence when it is neither a date nor "undated", else an empty one."""
    if as_of == UNDATED:
        return ""
    try:
        if ISO_DATE.fullmatch(as_of) and date.fromisoformat(as_of):
            return ""
    except ValueError:
        pass
    return f'the date {as_of!r} is neither YYYY-MM-DD nor "{UNDATED}"'
