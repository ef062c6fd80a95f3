"""Machines by the hour: every replica for every hour that it runs.

Under a commitment the committed replicas are paid in every hour, used or not, and the ones above
them on demand; as spot, all of them at the spot price.
"""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Amount, Line, unknown
from advisor.prices.rates import Tier

# Machines cost no tiers: what an hour costs is its share of a dollar.
DOLLAR = (Tier(0.0, 1.0),)


def lines(bill: Bill) -> list[Line]:
    sized, bought = bill.sized, bill.sized.bought
    name = f"{sized.machine} machines"
    if sized.usd_per_hour is None:
        return [
            unknown(
                name, sized.replica_hours, "machine-hour",
                "give placement.node_hourly_usd, what an hour of your own node costs",
            )
        ]  # fmt: skip
    if bought is None:
        return [_line(bill, name, sized.replica_hours, sized.usd_per_hour)]
    if bought.term == "spot":  # the machine's price is the spot price already
        return [_line(bill, f"{name}, spot", bought.discounted, sized.usd_per_hour)]
    committed = _line(
        bill, f"{name}, {bought.label}", bought.discounted, sized.usd_per_hour * bought.share
    )._replace(
        source=f"{1 - bought.share:.1%} off {sized.price_source}; {bought.source}",
        as_of=bill.book.oldest((sized.price_as_of, bought.as_of)),
    )
    above = _line(bill, f"{name}, on demand above it", bought.on_demand, sized.usd_per_hour)
    return [committed, above] if bought.on_demand > 0 else [committed]


def _line(bill: Bill, name: str, hours: Amount, usd_per_hour: Amount) -> Line:
    sized = bill.sized
    return Line(
        name, hours, "machine-hour", DOLLAR, sized.price_source, sized.price_as_of, usd_per_hour
    )
