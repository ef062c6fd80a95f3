"""One refresh from beginning to end: read, write aside, check, swap in whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from advisor.errors import InputError, PriceRefreshError, PricesRefusedError
from advisor.prices import shelf as shelves
from advisor.prices.book import PriceBook, load_book
from advisor.prices.checks import jumps, problems
from advisor.prices.rates import EVERYWHERE
from advisor.prices.refresh import aws_bulk, azure, gcp, mapping, merge
from advisor.prices.refresh.feed import Feed, Report, Step
from advisor.prices.refresh.lock import locked
from advisor.prices.refresh.web import Web, never

PROVIDERS = ("aws", "azure", "gcp")
WAYS = ("bulk", "api")
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a refresh has done. `kept` names rates that stay as they were, `accepted` what was
    taken in spite of the checks, `notes` what the lists held beyond that."""

    provider: str
    directory: Path
    as_of: str
    rates: int
    machines: int
    kept: tuple[str, ...]
    kept_machines: int
    accepted: tuple[str, ...]
    notes: tuple[str, ...]


def silent(step: Step) -> None:
    """The progress of a refresh that nobody watches."""


def refresh(
    provider: str,
    *,
    regions: Sequence[str] = (),
    via: str = "bulk",
    out: Path | None = None,
    accept_jumps: bool = False,
    endpoint: str | None = None,
    report: Report = silent,
    cancelled: Callable[[], bool] = never,
    today: date | None = None,
    web: Web | None = None,
) -> Outcome:
    """Renew the prices of a provider (aws, azure, gcp), of all its regions or of `regions`.

    `via` matters for AWS: bulk (public files) or api (the query API, with credentials). `out` is
    the shelf to put the new book on, by default the one that `load_book` reads from. `endpoint`
    replaces the vendor's address. Blocks, for minutes to hours. Raises InputError (wrong
    arguments), PriceFeedError (a list that cannot be used), PricesRefusedError (a jump, a lost
    region), RefreshCancelledError, PriceRefreshError (anything else); the old book then stays.
    """
    shelf = out or shelves.default_shelf()
    day = today or datetime.now(UTC).date()
    if provider not in PROVIDERS:
        raise InputError(f"provider {provider!r} is not known; use " + ", ".join(PROVIDERS))
    if via not in WAYS or (via == "api" and provider != "aws"):
        raise InputError(f"--via {via} is not a way to read {provider}; leave it out")
    shelves.check_shelf(shelf)
    try:
        (shelf / "downloads").mkdir(parents=True, exist_ok=True)
        (shelf / "books").mkdir(exist_ok=True)
        with locked(shelf):
            old = _old_book(shelf, out)
            asked = _regions(old, provider, regions)
            with web or Web(cancelled=cancelled) as client:
                feed = _read(client, provider, via, endpoint, asked, old, shelf, day, report)
            return _swap(old, feed, shelf, provider, via, asked, accept_jumps, day)
    except OSError as error:
        raise PriceRefreshError(
            f"cannot keep refreshed prices in {shelf}: {error.strerror or error}; free some space, "
            "allow writing there or name another place with --out"
        ) from error


def _old_book(shelf: Path, out: Path | None) -> PriceBook:
    """What the new book begins with: the shelf's own, else the one in use."""
    on_shelf = shelves.current_book(shelf)
    if out is not None and on_shelf is not None:
        return load_book(on_shelf)
    return load_book()


def _regions(old: PriceBook, provider: str, wanted: Sequence[str]) -> tuple[str, ...]:
    for region in wanted:
        if old.cloud_of(region) != provider:
            raise InputError(
                f"region {region!r} is one of {old.cloud_of(region)}, not of {provider}; leave it "
                "out or refresh that provider"
            )
    return tuple(dict.fromkeys(wanted)) or old.regions(provider)


def _read(
    web: Web,
    provider: str,
    via: str,
    endpoint: str | None,
    regions: Sequence[str],
    old: PriceBook,
    shelf: Path,
    today: date,
    report: Report,
) -> Feed:
    def address(variable: str, usual: str) -> str:
        return (endpoint or os.environ.get(variable) or usual).rstrip("/")

    if provider == "azure":
        return azure.read(
            web, address(azure.ENDPOINT_VARIABLE, azure.ENDPOINT), regions, old, today, report
        )
    if provider == "gcp":
        return gcp.read(
            web, address(gcp.ENDPOINT_VARIABLE, gcp.ENDPOINT), regions, old, today, report
        )
    needed = _needed_of_aws(old, regions)
    if via == "api":
        from advisor.prices.refresh import aws_api  # boto3 takes a second to import

        url = address(aws_api.ENDPOINT_VARIABLE, "")
        return aws_api.read(web, url, regions, needed, today, report)
    return aws_bulk.read(
        web, address(aws_bulk.ENDPOINT_VARIABLE, aws_bulk.ENDPOINT), regions, needed,
        shelf / "downloads", today, report,
    )  # fmt: skip


def _needed_of_aws(old: PriceBook, regions: Sequence[str]) -> Mapping[str, set[str]]:
    """Offer -> the regions that the book prices with it; zones inside a region are not asked for
    by name."""
    whole = {r for r in regions if not any(r.startswith(f"{o}-") for o in regions)}
    out: dict[str, set[str]] = {}
    for name, offer in mapping.aws().offers.items():
        priced = {rate.region for rate in old.rates if rate.sku in offer.rates}
        if offer.machines:
            priced |= set(old.machine_prices(offer.machines.service).regions)
        out[name] = priced & whole
    return out


def _swap(
    old: PriceBook,
    feed: Feed,
    shelf: Path,
    provider: str,
    via: str,
    regions: Sequence[str],
    accept_jumps: bool,
    today: date,
) -> Outcome:
    if not feed.rates and not feed.machines:
        raise PriceRefreshError(f"the lists of {provider} held no price that the book knows")
    now = datetime.now(UTC)
    books = shelf / "books"
    for leftover in books.glob(".new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    aside = books / f".new-{os.getpid()}"
    told = {"at": now.isoformat(timespec="seconds"), "as_of": today.isoformat(), "via": via}
    try:
        merge.write_book(old, feed, aside, provider, told)
        new = PriceBook(aside)
        wrong = problems(new)
        if wrong:
            raise PriceRefreshError(
                f"the refreshed prices are not sound, so the old ones stay: {_some(wrong)}"
            )
        findings = [*feed.findings, *jumps(old, new)]
        if findings and not accept_jumps:
            raise PricesRefusedError(
                f"the prices of {provider} are not accepted unseen, so the old ones stay: "
                f"{_some(findings)}; look them up, then repeat with --accept-jumps",
                findings,
            )
        name = f"{now.strftime('%Y%m%dT%H%M%S%f')}-{provider}"
        directory = shelves.put(shelf, aside.rename(books / name))
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(shelf / "downloads", ignore_errors=True)
    everywhere = {EVERYWHERE} if set(regions) == set(old.regions(provider)) else set()
    return Outcome(
        provider=provider,
        directory=directory,
        as_of=today.isoformat(),
        rates=len(feed.rates),
        machines=len(feed.machines),
        kept=tuple(merge.kept_rates(old, feed, provider, set(regions) | everywhere)),
        kept_machines=merge.kept_machines(old, feed, provider),
        accepted=tuple(findings),
        notes=tuple(feed.notes),
    )


def _some(sentences: Sequence[str]) -> str:
    more = len(sentences) - _SHOWN
    return "; ".join(sentences[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
