"""Requests and answers that change zones behind the load balancer, billed in each direction.

The balancer's own way to a replica in another zone is free on AWS; what a cluster then passes on
to a pod on another node is not.
"""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line

DIRECTIONS = 2  # out of one zone and into the other


def lines(bill: Bill) -> list[Line]:
    traffic = bill.work.need.traffic
    gb = bill.requests * (traffic.request_mb + traffic.response_mb) / 1024
    share = bill.option.number("cross_zone_share")
    several = bill.sized.replicas_max >= 2
    return bill.line("Data between zones", "data_inter_az.gb", gb * share * DIRECTIONS * several)
