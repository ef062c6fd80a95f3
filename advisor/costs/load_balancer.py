"""Application Load Balancer: its hours, and capacity units by the dimension that is used most.

One LCU covers 25 new connections a second, 3,000 active ones a minute and 1 GB an hour
(aws.amazon.com/elasticloadbalancing/pricing). Clients are assumed to keep connections open.
"""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Amount, Line
from advisor.sizing.balancer import from_second, is_wanted, lcu_hours


def lines(bill: Bill) -> list[Line]:
    if not is_wanted(bill.work.need):
        return []
    there = balanced(bill)
    capacity = lcu_hours(bill.option, bill.volumes or bill.work, bill.book, bill.volume)
    return [
        *bill.line("Load balancer", "alb.hour", bill.hours * there),
        *bill.line("Load balancer capacity", "alb.lcu_hour", capacity * there),
    ]


def balanced(bill: Bill) -> Amount:
    """1 where there is a load balancer, else 0."""
    if not is_wanted(bill.work.need):
        return 0.0
    return 1.0 * (bill.sized.replicas_max >= 2) if from_second(bill.option) else 1.0
