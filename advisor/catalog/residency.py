"""Which regions an option may run in: of its cloud, where data may lie, where it is offered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from advisor.catalog.loader import geographies
from advisor.catalog.schema import Option
from advisor.prices import Region, load_book
from advisor.requirements import Cloud, Placement, Requirements

CLOUDS_WITH_REGIONS = (Cloud.aws, Cloud.gcp, Cloud.azure)


def asked_regions(option: Option, place: Placement) -> tuple[str, ...]:
    """The regions asked for in the option's cloud, else the cloud's default; none where a cloud
    has no regions (a cluster or hardware of your own).

    Raises InputError for a region that no cloud has.
    """
    if option.cloud not in CLOUDS_WITH_REGIONS:
        return ()
    book = load_book()
    cloud = option.cloud.value
    asked = tuple(region for region in place.regions if book.cloud_of(region) == cloud)
    return asked or (book.default_region(cloud),)


def usable_regions(
    option: Option, need: Requirements, regions: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Those of `regions` (left out: the asked ones) where data may lie and the option is offered.

    Raises InputError for a region that no cloud has.
    """
    if option.cloud not in CLOUDS_WITH_REGIONS:
        return tuple(regions or ())
    among = asked_regions(option, need.placement) if regions is None else tuple(regions)
    return tuple(r for r in among if is_resident(r, need) and is_offered(option, r))


def is_resident(region: str, need: Requirements) -> bool:
    """Whether data in the region lie where `control.data_residency` wants them.

    A region matches when its name begins so ("eu", "ap-southeast-2") or when it stands in a
    country of that name or group. Raises InputError for a region that no cloud has.
    """
    wanted = need.control.data_residency
    if wanted is None:
        return True
    wanted = wanted.strip().lower()
    return region.startswith(wanted) or _stands_in(load_book().region(region), wanted)


def region_instead(option: Option, need: Requirements) -> str:
    """Where none of the asked regions is where data have to lie: the region of the option's cloud
    that is, and is offered, with the most known prices; empty where there is none or none is needed."""
    asked = asked_regions(option, need.placement)
    if not asked or any(is_resident(region, need) for region in asked):
        return ""
    book = load_book()
    known = Counter(rate.region for rate in book.rates)
    usable = usable_regions(option, need, book.regions(option.cloud.value))
    return max(usable, key=lambda region: (known[region], region), default="")


def is_resident_by_name_alone(region: str, need: Requirements) -> bool:
    """Whether the name of the region begins as asked though it stands in another territory."""
    wanted = (need.control.data_residency or "").strip().lower()
    if wanted not in geographies().geographies or not region.startswith(wanted):
        return False
    return not _stands_in(load_book().region(region), wanted)


def is_offered(option: Option, region: str) -> bool:
    """Whether the provider offers the option in the region, as far as the table knows."""
    for name, offered in (("regions_offered", True), ("regions_missing", False)):
        fact = option.facts.get(name)
        if fact is not None and isinstance(fact.value, tuple):
            return (region in fact.value) is offered
    return True


def _stands_in(region: Region, wanted: str) -> bool:
    group = geographies().geographies.get(wanted)
    countries = group.countries if group else frozenset({wanted.upper()})
    return region.country in countries
