"""Commitments of the book from the hourly prices that were read: one discount a machine family."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from advisor.prices.book import PriceBook
from advisor.prices.commitments import ANY, COLUMNS
from advisor.prices.refresh import mapping
from advisor.prices.refresh.feed import Feed
from advisor.prices.store import read_csv

Cells = tuple[object, ...]
_TERMS = {"1y": "commit_1y_usd_per_hour", "3y": "commit_3y_usd_per_hour"}
_KEY = tuple(
    COLUMNS.index(name)
    for name in ("service", "programme", "family", "machine", "region", "term", "payment")
)


def renewed(old: PriceBook, feed: Feed) -> list[Cells]:
    """All rows of the book's commitments, those of the families that were read renewed; none
    when nothing about commitments was read."""
    new = _discounts(old, feed)
    if not new:
        return []
    rows: dict[Cells, Cells] = {}
    for row in read_csv(old.directory / "commitments.csv", COLUMNS):
        known: Cells = tuple(row[column] for column in COLUMNS)
        rows[tuple(known[i] for i in _KEY)] = known
    for cells in new:
        rows[tuple(cells[i] for i in _KEY)] = cells
    return sorted(rows.values(), key=str)


def _discounts(old: PriceBook, feed: Feed) -> list[Cells]:
    out: list[Cells] = []
    for offer in mapping.aws().offers.values():
        machines = offer.machines
        if machines is None or not machines.programmes:
            continue
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        days = set()
        specs = old.specs("aws")
        for (service, _region, name), row in feed.machines.items():
            spec = specs.get(name.removeprefix("ml."))
            if service != machines.service or spec is None:
                continue
            for term, column in _TERMS.items():
                share = 1 - getattr(row, column) / row.usd_per_hour
                if 0 < share < 1:  # false for NaN
                    found[spec.family, term].append(share)
                    days.add(row.as_of)
        for (family, term), shares in sorted(found.items()):
            low, high = min(shares), max(shares)
            for programme in machines.programmes:
                source = (
                    f"AWS price lists: hourly price without upfront over on demand, median of "
                    f"{len(shares)} machines of the family, {low:.3f} to {high:.3f}"
                )
                out.append(
                    (
                        "aws", machines.service, programme, family, ANY, ANY, term, "no upfront",
                        f"{median(shares):.4f}", "derived", min(days), source,
                    )
                )  # fmt: skip
    return out
