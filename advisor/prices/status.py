"""How complete and how old the price book is, service by service."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from advisor.prices.store import UNDATED


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """Prices of one service. `oldest` and `newest` are ISO dates, "" when nothing is dated.

    `stale_rows` counts rows past the limit or undated; `stale` says that there are any. Rows
    count prices of machines, or skus with all their tiers; a "*" row counts as one region.
    """

    cloud: str
    service: str
    rows: int
    regions: int
    oldest: str
    newest: str
    undated_rows: int
    stale_rows: int
    stale: bool


@dataclass(frozen=True, slots=True)
class PriceStatus:
    """The whole book: the date of its newest price, its age, and each service.

    `stale` says that even the newest price is past the limit.
    """

    as_of: str
    age_days: int
    stale_after_days: int
    stale: bool
    services: tuple[ServiceStatus, ...]


def summarise(
    cloud: str,
    service: str,
    regions: Collection[str],
    as_ofs: Sequence[str],
    stale: Callable[[str], bool],
) -> ServiceStatus:
    """Count rows by age; `as_ofs` has one entry a row."""
    distinct = {as_of: stale(as_of) for as_of in set(as_ofs)}
    dates = sorted(set(distinct) - {UNDATED})
    stale_rows = sum(distinct[as_of] for as_of in as_ofs)
    return ServiceStatus(
        cloud=cloud,
        service=service,
        rows=len(as_ofs),
        regions=len(regions),
        oldest=dates[0] if dates else "",
        newest=dates[-1] if dates else "",
        undated_rows=sum(as_of == UNDATED for as_of in as_ofs),
        stale_rows=stale_rows,
        stale=stale_rows > 0,
    )
