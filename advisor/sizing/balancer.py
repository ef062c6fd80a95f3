"""What comes with a load balancer: its capacity units, and the price of having one at all."""

from __future__ import annotations

import contextlib

import numpy as np

from advisor.catalog.schema import Option
from advisor.errors import UnknownPriceError
from advisor.memo import Same
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH
from advisor.volumes import Array, Volumes
from advisor.workload import Workload


def from_second(option: Option) -> bool:
    """Whether a load balancer is paid for only where there is more than one machine."""
    return "load_balancer" in option.bill and not option.flag("always_balanced")


def lcu_hours(
    option: Option, work: Workload | Volumes, book: PriceBook, volume: float = 1.0
) -> float | Array:
    """Capacity units times the hours of a month, by the dimension that is used most; an array for
    many volumes.

    Raises UnknownPriceError when the book does not say how they are counted.
    """
    key = ("lcu_hours", Same(option), Same(book), volume)
    found: float | Array | None = work.kept.get(key)
    if found is None:
        found = work.kept[key] = _lcu_hours(option, work, book, volume)
    return found


def _lcu_hours(
    option: Option, work: Workload | Volumes, book: PriceBook, volume: float
) -> float | Array:
    traffic = work.need.traffic
    mb = traffic.request_mb + traffic.response_mb
    reuse = option.number("requests_per_connection")
    hourly = work.rates * volume
    by_connections = hourly / reuse / book.metering("alb.lcu_new_connections_per_second").value
    by_data = hourly * 3600 * mb / 1024 / book.metering("alb.lcu_gb_per_hour.ec2").value
    hours: float | Array = np.maximum(by_connections, by_data).mean(axis=-1) * HOURS_IN_MONTH
    return hours


def month_usd(
    option: Option, work: Workload | Volumes, book: PriceBook, region: str
) -> float | Array:
    """A month of a load balancer; what has no price counts nothing, the bill's own line says so."""
    usd: float | Array = 0.0
    with contextlib.suppress(UnknownPriceError):
        usd += book.rate("alb.hour", region).tiers[0].unit_price_usd * HOURS_IN_MONTH
        capacity = lcu_hours(option, work, book)
        usd = usd + book.rate("alb.lcu_hour", region).tiers[0].unit_price_usd * capacity
    return usd
