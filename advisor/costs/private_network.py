"""A private network: private endpoints for the services the option calls, and for its callers.

A NAT gateway would let machines out to the internet as well; nothing here needs that.
"""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line, unknown


def lines(bill: Bill) -> list[Line]:
    if not bill.is_private:
        return []
    option, traffic = bill.option, bill.work.need.traffic
    hours = option.number("private_endpoints") * option.number("private_endpoint_zones")
    gb = bill.requests * (traffic.request_mb + traffic.response_mb) / 1024
    through = gb if option.flag("requests_through_endpoint") else 0.0
    sku = option.text("endpoint_hour_sku")
    if not sku:
        # The provider bills it, and no price of it was read.
        return [
            unknown(
                "Private endpoints", hours * bill.hours, "hour",
                f"no price of a private endpoint of {option.cloud.value} is in the book",
            )
        ]  # fmt: skip
    return [
        *bill.line("Private endpoints", sku, hours * bill.hours),
        *bill.line("Data through endpoints", option.text("endpoint_gb_sku"), through),
    ]
