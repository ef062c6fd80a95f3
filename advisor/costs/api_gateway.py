"""API Gateway: HTTP API on the internet; a private endpoint needs a REST API and a VPC endpoint.

HTTP APIs meter each request in steps of 512 KB, of the larger of request and response. A run calls
its function itself: a gateway gives up after half a minute.
"""

from __future__ import annotations

import math

from advisor.costs.bill import Bill
from advisor.costs.line import Line
from advisor.requirements import Mode


def lines(bill: Bill) -> list[Line]:
    traffic = bill.work.need.traffic
    if traffic.mode is Mode.batch:
        return []
    if bill.is_private:
        return bill.line("REST API requests", "apigw.rest_request", bill.requests)
    largest_kb = max(traffic.request_mb, traffic.response_mb) * 1024
    steps = max(1, math.ceil(largest_kb / bill.metered("apigw.http_step_kb")))
    return bill.line("HTTP API requests", "apigw.http_request", bill.requests * steps)
