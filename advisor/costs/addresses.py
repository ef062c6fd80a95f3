"""Public IPv4 addresses: two of a load balancer, else one for each replica."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Amount, Line
from advisor.costs.load_balancer import balanced
from advisor.sizing.balancer import BALANCER_ZONES


def lines(bill: Bill) -> list[Line]:
    if bill.is_private:
        return []
    hours: Amount = bill.sized.replica_hours
    if "load_balancer" in bill.option.bill:
        hours = hours + BALANCER_ZONES * bill.hours * balanced(bill)
    return bill.line("Public IPv4 addresses", "ipv4.hour", hours)
