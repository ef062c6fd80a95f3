"""Machines by the hour: every replica for every hour that it runs."""

from __future__ import annotations

from advisor.costs.bill import Bill, unknown
from advisor.recommendation import CostLine


def lines(bill: Bill) -> list[CostLine]:
    sized = bill.sized
    name = f"{sized.machine} machines"
    if sized.usd_per_hour is None:
        return [
            unknown(
                name, sized.replica_hours, "machine-hour",
                "give placement.node_hourly_usd, what an hour of your own node costs",
            )
        ]  # fmt: skip
    return [
        CostLine(
            name=name,
            quantity=sized.replica_hours,
            unit="machine-hour",
            unit_price_usd=sized.usd_per_hour,
            usd=sized.replica_hours * sized.usd_per_hour,
            source=sized.price_source,
            as_of=sized.price_as_of,
        )
    ]
