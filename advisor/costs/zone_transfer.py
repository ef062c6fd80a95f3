"""Requests and answers that change zones behind the load balancer, billed in each direction.

The balancer's own way to a replica in another zone is free on AWS; what a cluster then passes on
to a pod on another node is not.
"""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line
from advisor.sizing.balancer import between_zones_gb, is_wanted


def lines(bill: Bill) -> list[Line]:
    if not is_wanted(bill.work.need):
        return []
    gb = between_zones_gb(bill.option, bill.work.need, bill.requests)
    several = bill.sized.replicas_max >= 2
    return bill.line("Data between zones", "data_inter_az.gb", gb * several)
