"""What comes with a load balancer: its capacity units, and the price of having one at all."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.errors import UnknownPriceError
from advisor.memo import Same
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH, Mode, Requirements
from advisor.volumes import Array, Volumes
from advisor.workload import Workload

Amount = float | NDArray[np.floating[Any]]

BALANCER_ZONES = 2  # and as many public addresses
DIRECTIONS = 2  # out of one zone and into the other


def is_wanted(need: Requirements) -> bool:
    """Whether callers wait for an answer: queued requests are fetched by the workers, and runs read
    their records from storage."""
    return need.traffic.mode is Mode.realtime


def from_second(option: Option) -> bool:
    """Whether a load balancer is paid for only where there is more than one machine."""
    return "load_balancer" in option.bill and not option.flag("always_balanced")


def price_usd(book: PriceBook, sku: str, region: str) -> float:
    """The first tier's price; of the cloud's default region where it is not known here, as the ranking
    reckons it, and 0 where nobody knows it. In no bill: that line says that it is unknown."""
    for where in (region, book.default_region(book.skus[sku].cloud)):
        with contextlib.suppress(UnknownPriceError):
            return book.rate(sku, where).tiers[0].unit_price_usd
    return 0.0


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


def second_usd(option: Option, work: Workload | Volumes, book: PriceBook, region: str) -> Amount:
    """A month of what is paid for only where there is more than one machine: the load balancer and
    its addresses, and data between zones. An array for many volumes."""
    need = work.need

    def price(sku: str) -> float:
        return price_usd(book, sku, region)

    out: Amount = 0.0
    if not is_wanted(need):
        return out
    if from_second(option):
        out = out + price("alb.hour") * HOURS_IN_MONTH
        out = out + price("alb.lcu_hour") * lcu_hours(option, work, book)
        if "addresses" in option.bill and not need.control.private_network:
            out = out + price("ipv4.hour") * BALANCER_ZONES * HOURS_IN_MONTH
    if "zone_transfer" in option.bill:
        requests = work.requests if isinstance(work, Volumes) else need.traffic.requests_per_month
        out = out + price("data_inter_az.gb") * between_zones_gb(option, need, requests)
    return out


def between_zones_gb(option: Option, need: Requirements, requests: Amount) -> Amount:
    """Gigabytes a month that change zones behind the load balancer, counted in each direction."""
    gb = requests * (need.traffic.request_mb + need.traffic.response_mb) / 1024
    return gb * option.number("cross_zone_share") * DIRECTIONS
