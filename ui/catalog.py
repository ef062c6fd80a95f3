"""Names and choices from the comparison table and the price book."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from advisor.catalog.loader import load_options
from advisor.prices import load_book
from advisor.sizing.performance import model_classes

CLOUDS_WITH_REGIONS = ("aws", "gcp", "azure")


@cache
def names() -> Mapping[str, str]:
    """Option id -> name."""
    return {option.id: option.name for option in load_options().values()}


@cache
def choices() -> Mapping[str, Callable[[], Mapping[str, str]]]:
    """For questions whose options are data: path -> options with their labels."""
    return {
        "model.model_class": lambda: {c.name: c.label for c in model_classes().values()},
        "today.option": names,
        "placement.regions": _regions,
        "team.assumptions": names,
    }


@cache
def _regions() -> Mapping[str, str]:
    book = load_book()
    return {region: region for cloud in CLOUDS_WITH_REGIONS for region in book.regions(cloud)}
