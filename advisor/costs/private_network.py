"""A private network: interface endpoints in two zones for the services the option calls."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.recommendation import CostLine

ZONES = 2


def lines(bill: Bill) -> list[CostLine]:
    if not bill.is_private:
        return []
    traffic = bill.work.need.traffic
    count = bill.option.number("private_endpoints")
    gb = bill.requests * (traffic.request_mb + traffic.response_mb) / 1024
    through = gb if bill.option.flag("requests_through_endpoint") else 0.0
    return [
        *bill.line("Interface endpoints", "vpce.hour", count * ZONES * bill.hours),
        *bill.line("Data through endpoints", "vpce.gb", through),
    ]
