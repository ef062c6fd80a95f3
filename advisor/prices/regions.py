"""Regions: which cloud a region belongs to, its name, its country, each cloud's default."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from advisor.errors import InputError, PriceBookError
from advisor.prices.store import read_csv

COLUMNS = ("region", "cloud", "name", "country", "default")


@dataclass(frozen=True, slots=True)
class Region:
    """A place where a cloud sells; `country` is the ISO 3166 code of where the machines stand."""

    region: str
    cloud: str
    name: str
    country: str
    default: bool


class Regions:
    """All regions of a price book."""

    def __init__(self, regions: list[Region]) -> None:
        self._by_id = {r.region: r for r in regions}
        self._of: dict[str, tuple[str, ...]] = {}

    def __iter__(self) -> Iterator[Region]:
        return iter(self._by_id.values())

    def __contains__(self, region: object) -> bool:
        return region in self._by_id

    def clouds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(r.cloud for r in self._by_id.values()))

    def of(self, cloud: str) -> tuple[str, ...]:
        """The regions of a cloud, sorted. Raises InputError for a cloud without prices."""
        found = self._of.get(cloud)
        if found is None:
            found = tuple(sorted(r.region for r in self._by_id.values() if r.cloud == cloud))
            self._of[cloud] = found
        if not found:
            raise InputError(
                f"cloud {cloud!r} has no regions in the price book; use " + ", ".join(self.clouds())
            )
        return found

    def get(self, region: str) -> Region:
        """Raises InputError naming close matches for a misspelt region."""
        try:
            return self._by_id[region]
        except KeyError:
            raise InputError(f"region {region!r} is not known; {self.hint(region)}") from None

    def default(self, cloud: str) -> str:
        """The region used when a cloud is asked for without one. Raises InputError for a cloud
        without prices, PriceBookError for a book in which the cloud has no default."""
        for region in self.of(cloud):
            if self._by_id[region].default:
                return region
        raise PriceBookError(
            f"the price book names no default region of {cloud}; refresh the prices"
        )

    def hint(self, region: str) -> str:
        """A few words that help with a misspelt region."""
        place = region.strip().casefold()
        there = [r.region for r in self._by_id.values() if place and place in r.name.casefold()]
        if there:
            return f"it is the place of {' and '.join(there[:4])}: name one of them"
        tidy = region.lower().replace(" ", "").replace("_", "-")
        close = difflib.get_close_matches(tidy, self._by_id, n=3, cutoff=0.6)
        if close:
            return "did you mean " + " or ".join(close) + "?"
        return "name one such as " + ", ".join(self.default(c) for c in self.clouds())


def read_regions(path: Path) -> Regions:
    """Raises PriceBookError when the file is missing or damaged."""
    return Regions(
        [
            Region(
                row["region"], row["cloud"], row["name"], row["country"], row["default"] == "yes"
            )
            for row in read_csv(path, COLUMNS)
        ]
    )
