"""The queue that asynchronous requests wait in: sent, received and deleted, in steps of 64 KB.

A message carries at most 256 KB; a larger request is put into object storage and its address sent.
"""

from __future__ import annotations

import math

from advisor.costs.bill import Bill
from advisor.costs.line import Line
from advisor.requirements import Mode


def lines(bill: Bill) -> list[Line]:
    traffic = bill.work.need.traffic
    if traffic.mode is not Mode.asynchronous:
        return []
    request_kb = traffic.request_mb * 1024
    in_storage = request_kb > bill.metered("sqs.largest_message_kb")
    steps = 1 if in_storage else max(1, math.ceil(request_kb / bill.metered("sqs.step_kb")))
    out = bill.line("Queue requests", "sqs.request", bill.requests * (2 * steps + 1))
    if in_storage:
        out += bill.line("Objects written", bill.option.text("object_write_sku"), bill.requests)
        out += bill.line("Objects read", bill.option.text("object_read_sku"), bill.requests)
    return out
