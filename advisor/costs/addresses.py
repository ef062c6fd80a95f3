"""Public IPv4 addresses: two of a load balancer, else one for each replica."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.load_balancer import lines as balancer_lines
from advisor.recommendation import CostLine

BALANCER_ZONES = 2


def lines(bill: Bill) -> list[CostLine]:
    if bill.is_private:
        return []
    hours = bill.sized.replica_hours
    if "load_balancer" in bill.option.bill and balancer_lines(bill):
        hours += BALANCER_ZONES * bill.hours
    return bill.line("Public IPv4 addresses", "ipv4.hour", hours)
