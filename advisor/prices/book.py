"""The price book: every unit price the advisor knows, with its source and its date."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from advisor.errors import InputError, UnknownPriceError
from advisor.prices.commitments import Commitment, best, read_commitments
from advisor.prices.machines import Machine, MachineTable, build_kinds, build_table
from advisor.prices.rates import (
    EVERYWHERE,
    Allowance,
    Metering,
    Rate,
    Sku,
    read_allowances,
    read_metering,
    read_rates,
    read_skus,
)
from advisor.prices.regions import Region, Regions, read_regions
from advisor.prices.shelf import book_in_use
from advisor.prices.status import (
    STALE_AFTER_DAYS,
    PriceStatus,
    ServiceStatus,
    by_provider,
    is_stale,
    oldest,
    summarise,
)
from advisor.prices.store import (
    MACHINE_SERVICES,
    UNDATED,
    MachinePrices,
    Spec,
    read_machine_prices,
    read_specs,
)


def load_book(directory: Path | None = None) -> PriceBook:
    """The price book of `directory`, else the refreshed one ($ADVISOR_PRICES or the user's data
    directory, see `shelf.book_in_use`), else the one that ships.

    Reads nothing yet: each table is read when it is first asked for, and then kept. After a
    refresh the next call gives the new book.
    """
    return _book(directory or book_in_use())


MOST_ASKED = 20_000  # rates that are remembered; there are fewer skus times regions


@lru_cache(maxsize=4)
def _book(directory: Path) -> PriceBook:
    return PriceBook(directory)


class PriceBook:
    """Prices by sku and region, machines by service and region. Reading raises PriceBookError."""

    stale_after_days = STALE_AFTER_DAYS

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._tables: dict[tuple[str, str], MachineTable] = {}
        self._asked: dict[tuple[str, str], Rate | str] = {}  # str: why there is none
        self._machine_kinds: dict[str, MachineTable] = {}
        self._prices: dict[str, MachinePrices] = {}
        self._specs: dict[str, dict[str, Spec]] = {}

    # Rates

    def rate(self, sku: str, region: str) -> Rate:
        """The price of `sku` in `region`; a row that applies everywhere fills a missing region.

        Raises UnknownPriceError naming both. What was asked for once is found at once.
        """
        found = self._asked.get((sku, region))
        if found is None:
            try:
                found = self._find_rate(sku, region)
            except UnknownPriceError as error:
                found = str(error)
            if len(self._asked) >= MOST_ASKED:
                self._asked = {}
            self._asked[sku, region] = found
        if isinstance(found, str):
            raise UnknownPriceError(found)
        return found

    def _find_rate(self, sku: str, region: str) -> Rate:
        known = self.skus.get(sku)
        if known is None:
            close = difflib.get_close_matches(sku, self.skus, n=3)
            hint = "did you mean " + " or ".join(close) + "?" if close else "see docs/prices.md"
            raise UnknownPriceError(f"{sku!r} (asked for in {region}) is not a known sku; {hint}")
        if region not in self.known_regions:
            raise UnknownPriceError(
                f"no price of {sku} in {region!r}, which is not a known region; "
                + self.known_regions.hint(region)
            )
        found = self._rates.get((sku, region))
        if found:
            return found
        everywhere = self._rates.get((sku, EVERYWHERE))
        if everywhere and self.cloud_of(region) == known.cloud:
            return Rate(
                sku, region, everywhere.unit, everywhere.tiers, everywhere.source,
                everywhere.as_of, everywhere.kind,
            )  # fmt: skip
        places = sorted(r for s, r in self._rates if s == sku)
        where = ", ".join(places[:4]) + (" and others" if len(places) > 4 else "")
        raise UnknownPriceError(
            f"the price book has no price of {sku} in {region}, only in {where}; "
            "choose one of those regions or refresh the prices"
        )

    @cached_property
    def skus(self) -> dict[str, Sku]:
        """Everything that is billed by the unit, by name."""
        return read_skus(self.directory / "skus.csv")

    @cached_property
    def rates(self) -> tuple[Rate, ...]:
        """All rates as stored; `region` is "*" where a row applies everywhere."""
        return tuple(self._rates.values())

    def metering(self, fact: str) -> Metering:
        """How usage is counted, such as fargate.ephemeral_included_gb. Raises UnknownPriceError."""
        try:
            return self._metering[fact]
        except KeyError:
            close = difflib.get_close_matches(fact, self._metering, n=3)
            hint = "did you mean " + " or ".join(close) + "?" if close else "see docs/prices.md"
            raise UnknownPriceError(f"{fact!r} is not a known metering fact; {hint}") from None

    @cached_property
    def allowances(self) -> tuple[Allowance, ...]:
        """Monthly free quantities that do not end with a trial."""
        return tuple(read_allowances(self.directory / "allowances.csv").values())

    def allowance_for(self, sku: str) -> Allowance | None:
        """The free quantity that `sku` draws on, if any."""
        return next((a for a in self.allowances if sku in a.skus), None)

    @cached_property
    def metering_facts(self) -> tuple[Metering, ...]:
        return tuple(self._metering.values())

    # Machines

    def machines(self, service: str, region: str, *, sized: bool = True) -> MachineTable:
        """The machines of a service (ec2, sagemaker, gce, vertex, azure-vm) sold in a region.

        With `sized`, only those whose vCPU and memory are known. Raises UnknownPriceError for a
        region without machine prices and InputError for an unknown service.
        """
        table = self._table(service, region)
        return table.select((table.vcpu > 0) & (table.memory_gib > 0)) if sized else table

    def machine(self, service: str, region: str, name: str) -> Machine:
        """One machine by name, also one whose specification is unknown (vcpu 0).

        Raises UnknownPriceError (no such machine, no such region) and InputError (no such
        service).
        """
        return self._table(service, region).machine(name)

    def machine_kinds(self, service: str) -> MachineTable:
        """Every machine that the service sells in any region, once, in the order of
        `machine_prices(service).machines` and without prices (NaN). Raises InputError."""
        if service not in self._machine_kinds:
            prices = self.machine_prices(service)
            specs = self.specs(MACHINE_SERVICES[service])
            self._machine_kinds[service] = build_kinds(service, prices, specs)
        return self._machine_kinds[service]

    def knows_machine(self, service: str, name: str) -> bool:
        """Whether any region sells it. Raises InputError for an unknown service."""
        return name in self.machine_prices(service).machines

    def similar_machines(self, service: str, name: str) -> list[str]:
        """Up to three names like this one, for messages."""
        return difflib.get_close_matches(name, self.machine_prices(service).machines, n=3)

    def machine_prices(self, service: str) -> MachinePrices:
        """All prices of a service as stored. Raises InputError for an unknown service."""
        if service not in MACHINE_SERVICES:
            raise InputError(
                f"{service!r} is not a service with machines; use " + ", ".join(MACHINE_SERVICES)
            )
        if service not in self._prices:
            path = self.directory / "machines" / f"{service}.npz"
            self._prices[service] = read_machine_prices(path)
        return self._prices[service]

    def specs(self, cloud: str) -> dict[str, Spec]:
        """Machine name to specification. Raises InputError for an unknown cloud."""
        if cloud not in MACHINE_SERVICES.values():
            raise InputError(
                f"cloud {cloud!r} has no machines in the price book; use "
                + ", ".join(dict.fromkeys(MACHINE_SERVICES.values()))
            )
        if cloud not in self._specs:
            self._specs[cloud] = read_specs(self.directory / "specs" / f"{cloud}.csv")
        return self._specs[cloud]

    # Commitments

    @cached_property
    def commitments(self) -> tuple[Commitment, ...]:
        """Every published discount, also the "up to" figures that must not be applied."""
        return read_commitments(self.directory / "commitments.csv")

    def commitment(
        self,
        service: str,
        term: str,
        *,
        family: str = "",
        machine: str = "",
        region: str = "",
        cpu_only: bool = False,
        programmes: Collection[str] | None = None,
    ) -> Commitment | None:
        """The discount to apply: `term` is 1y, 3y, spot or automatic; `service` is a machine
        service, fargate or lambda; `cpu_only` says that the machine has no accelerator;
        `programmes` are those that may be used. None where no applicable figure was published."""
        return best(
            [
                c
                for c in self._commitments_of.get((service, term), ())
                if (programmes is None or c.programme in programmes)
                and c.matches(family, machine, region, cpu_only=cpu_only)
            ]
        )

    @cached_property
    def _commitments_of(self) -> dict[tuple[str, str], list[Commitment]]:
        out: dict[tuple[str, str], list[Commitment]] = {}
        for c in self.commitments:
            out.setdefault((c.service, c.term), []).append(c)
        return out

    # Regions

    @cached_property
    def known_regions(self) -> Regions:
        return read_regions(self.directory / "regions.csv")

    def regions(self, cloud: str) -> tuple[str, ...]:
        """The regions of aws, gcp or azure. Raises InputError for another cloud."""
        return self.known_regions.of(cloud)

    def region(self, region: str) -> Region:
        """Raises InputError naming close matches for a misspelt region."""
        return self.known_regions.get(region)

    def cloud_of(self, region: str) -> str:
        """Raises InputError naming close matches for a misspelt region."""
        return self.known_regions.get(region).cloud

    def default_region(self, cloud: str) -> str:
        """Raises InputError for a cloud without prices."""
        return self.known_regions.default(cloud)

    # Age

    @property
    def edition(self) -> str:
        """What to keep answers by: another edition is another book, if of the same date."""
        return f"{self.as_of} {self.directory.name}"

    @cached_property
    def as_of(self) -> str:
        """The date of the newest price in the book, YYYY-MM-DD."""
        dates = {rate.as_of for rate in self.rates}
        for service in MACHINE_SERVICES:
            dates.update(self.machine_prices(service).as_ofs)
        return max(dates - {UNDATED})

    def age_days(self, today: date) -> int:
        """Days since the newest price was read."""
        return (today - date.fromisoformat(self.as_of)).days

    def oldest(self, as_ofs: Iterable[str]) -> str:
        """The oldest of these dates; "undated" when one of them is, "" when there are none."""
        return oldest(as_ofs)

    def is_stale(self, as_of: str, today: date) -> bool:
        """Older than 90 days, or of unknown age."""
        return is_stale(as_of, today)

    def status(self, today: date) -> PriceStatus:
        """How many prices there are of each service and how old they are."""
        age_days = self.age_days(today)
        services = tuple(self._service_statuses(today))
        return PriceStatus(
            as_of=self.as_of,
            age_days=age_days,
            stale_after_days=self.stale_after_days,
            stale=age_days > self.stale_after_days,
            services=services,
            providers=by_provider(services, self._sources(), self.directory, today),
            directory=str(self.directory),
        )

    def _sources(self) -> dict[str, Counter[str]]:
        """Cloud -> source -> how many prices come from it."""
        out: dict[str, Counter[str]] = defaultdict(Counter)
        for service, cloud in MACHINE_SERVICES.items():
            prices = self.machine_prices(service)
            for i, count in enumerate(np.bincount(prices.source, minlength=len(prices.sources))):
                out[cloud][prices.sources[i]] += int(count)
        for rate in self.rates:
            out[self.skus[rate.sku].cloud][rate.source] += 1
        return out

    def _service_statuses(self, today: date) -> Iterable[ServiceStatus]:
        def stale(as_of: str) -> bool:
            return self.is_stale(as_of, today)

        for service, cloud in MACHINE_SERVICES.items():
            prices = self.machine_prices(service)
            as_ofs = [prices.as_ofs[i] for i in prices.as_of]
            yield summarise(cloud, service, prices.regions, as_ofs, stale)
        groups: dict[tuple[str, str], list[Rate]] = {}
        for rate in self.rates:
            key = (self.skus[rate.sku].cloud, rate.sku.split(".")[0])
            groups.setdefault(key, []).append(rate)
        for (cloud, service), rates in sorted(groups.items()):
            regions = {r.region for r in rates}
            yield summarise(cloud, service, regions, [r.as_of for r in rates], stale)

    def _table(self, service: str, region: str) -> MachineTable:
        key = (service, region)
        if key not in self._tables:
            prices = self.machine_prices(service)
            try:
                table = build_table(service, region, prices, self.specs(MACHINE_SERVICES[service]))
            except KeyError:
                if region not in self.known_regions:
                    problem = f"{region!r} is not a known region; {self.known_regions.hint(region)}"
                else:
                    sold = ", ".join(
                        difflib.get_close_matches(region, prices.regions, n=3, cutoff=0)
                    )
                    problem = f"it has none in {region}; regions with prices include {sold}"
                raise UnknownPriceError(
                    f"the price book holds {service} machines by region, and {problem}"
                ) from None
            self._tables[key] = table
        return self._tables[key]

    @cached_property
    def _rates(self) -> dict[tuple[str, str], Rate]:
        return read_rates(self.directory / "rates.csv", self.skus)

    @cached_property
    def _metering(self) -> dict[str, Metering]:
        return read_metering(self.directory / "metering.csv")
