"""Application Load Balancer: its hours, and capacity units by the dimension that is used most.

One LCU covers 25 new connections a second, 3,000 active ones a minute and 1 GB an hour
(aws.amazon.com/elasticloadbalancing/pricing). Clients are assumed to keep connections open.
"""

from __future__ import annotations

import numpy as np

from advisor.costs.bill import Bill
from advisor.recommendation import CostLine


def lines(bill: Bill) -> list[CostLine]:
    if bill.sized.replicas_max < 2 and not bill.option.flag("always_balanced"):
        return []
    return [
        *bill.line("Load balancer", "alb.hour", bill.hours),
        *bill.line("Load balancer capacity", "alb.lcu_hour", _lcu_hours(bill)),
    ]


def _lcu_hours(bill: Bill) -> float:
    traffic = bill.work.need.traffic
    mb = traffic.request_mb + traffic.response_mb
    reuse = bill.option.number("requests_per_connection")
    hourly = bill.work.rates * bill.volume
    by_connections = hourly / reuse / bill.metered("alb.lcu_new_connections_per_second")
    by_data = hourly * 3600 * mb / 1024 / bill.metered("alb.lcu_gb_per_hour.ec2")
    return float(np.maximum(by_connections, by_data).mean() * bill.hours)
