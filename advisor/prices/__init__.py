"""Unit prices with source and date: rates of services, machines by the hour, commitments."""

from advisor.prices.book import PriceBook, load_book
from advisor.prices.commitments import Commitment
from advisor.prices.machines import Machine, MachineTable
from advisor.prices.rates import Allowance, Metering, Rate, Sku, Tier
from advisor.prices.regions import Region
from advisor.prices.status import PriceStatus, ServiceStatus

__all__ = [
    "Allowance",
    "Commitment",
    "Machine",
    "MachineTable",
    "Metering",
    "PriceBook",
    "PriceStatus",
    "Rate",
    "Region",
    "ServiceStatus",
    "Sku",
    "Tier",
    "load_book",
]
