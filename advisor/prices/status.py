"""How complete and how old the price book is, and the mark that an old price carries."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from advisor.errors import PriceBookError
from advisor.prices.store import UNDATED

STALE_AFTER_DAYS = 90
REFRESHED = "refreshed.json"  # in a refreshed book: provider -> when and how


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
class ProviderStatus:
    """Prices of one cloud. `age_days` is the age of the newest, None when nothing is dated;
    `source` is the most frequent source, `refreshed` the day of the last refresh or ""."""

    cloud: str
    rows: int
    oldest: str
    newest: str
    age_days: int | None
    stale_rows: int
    source: str
    refreshed: str


@dataclass(frozen=True, slots=True)
class PriceStatus:
    """The whole book: the date of its newest price, its age, each provider and each service.

    `stale` says that even the newest price is past the limit. `directory` is where the book is.
    """

    as_of: str
    age_days: int
    stale_after_days: int
    stale: bool
    services: tuple[ServiceStatus, ...]
    providers: tuple[ProviderStatus, ...] = ()
    directory: str = ""


def is_stale(as_of: str, today: date | None = None) -> bool:
    """Older than 90 days, or of a date that nobody knows. "" (no price at all) is not stale."""
    if not as_of:
        return False
    age = age_days(as_of, today)
    return age is None or age > STALE_AFTER_DAYS


def mark(as_of: str, today: date | None = None) -> str:
    """What to say beside a price of that date: "" while it is fresh, "STALE, 120 days old", or
    "STALE, undated". `today` is the day in UTC unless given."""
    if not is_stale(as_of, today):
        return ""
    age = age_days(as_of, today)
    return "STALE, undated" if age is None else f"STALE, {age} days old"


def dated(as_of: str, today: date | None = None) -> str:
    """The date of a price as it is shown everywhere: with its mark once it is stale."""
    said = mark(as_of, today)
    if not said:
        return as_of
    return f"{as_of}: {said}" if age_days(as_of, today) is not None else said


def stale_note(as_ofs: Iterable[str], today: date | None = None) -> str:
    """One sentence for a bill with stale prices in it; "" when all of them are fresh."""
    stale, dated_ones = stale_count(as_ofs, today)
    if not stale:
        return ""
    return (
        f"{stale} of {dated_ones} unit prices are older than {STALE_AFTER_DAYS} days or undated; "
        "refresh them before you rely on the figures (python -m advisor prices refresh)."
    )


def stale_count(as_ofs: Iterable[str], today: date | None = None) -> tuple[int, int]:
    """How many of these prices are stale, and how many prices there are."""
    dates = [as_of for as_of in as_ofs if as_of]
    return sum(is_stale(as_of, today) for as_of in dates), len(dates)


def oldest(as_ofs: Iterable[str]) -> str:
    """The oldest of these dates; "undated" when one of them is, "" when there are none."""
    dates = set(as_ofs) - {""}
    return UNDATED if UNDATED in dates else min(dates, default="")


def age_days(as_of: str, today: date | None = None) -> int | None:
    """Days since that date, None for "undated" and anything else that is no date."""
    try:
        day = date.fromisoformat(as_of[:10])
    except ValueError:
        return None
    return ((today or datetime.now(UTC).date()) - day).days


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


def by_provider(
    services: Iterable[ServiceStatus],
    sources: Mapping[str, Counter[str]],
    directory: Path,
    today: date,
) -> tuple[ProviderStatus, ...]:
    """Sum services up by cloud. Raises PriceBookError for a damaged note of the refreshes."""
    refreshed = _refreshed(directory / REFRESHED)
    rows: dict[str, list[ServiceStatus]] = {}
    for service in services:
        rows.setdefault(service.cloud, []).append(service)
    out = []
    for cloud, group in rows.items():
        newest = max((s.newest for s in group), default="")
        out.append(
            ProviderStatus(
                cloud=cloud,
                rows=sum(s.rows for s in group),
                oldest=min((s.oldest for s in group if s.oldest), default=""),
                newest=newest,
                age_days=age_days(newest, today),
                stale_rows=sum(s.stale_rows for s in group),
                source=max(sources[cloud], key=lambda text: sources[cloud][text]),
                refreshed=str(refreshed.get(cloud, {}).get("as_of", "")),
            )
        )
    return tuple(out)


def _refreshed(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise PriceBookError(f"cannot read {path} ({error}); refresh the prices again") from None
    return data if isinstance(data, dict) else {}
