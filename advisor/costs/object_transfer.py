"""Requests and answers that travel through object storage, as queued and batch work does."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line
from advisor.requirements import Mode

KEPT_MONTHS = 0.25  # a week until a lifecycle rule removes them


def lines(bill: Bill) -> list[Line]:
    traffic = bill.work.need.traffic
    gb = bill.requests * (traffic.request_mb + traffic.response_mb) / 1024
    # A batch reads and writes large files; queued requests are an object each.
    objects = bill.requests if traffic.mode is Mode.asynchronous else gb * 1024 / 64
    return [
        *bill.line("Objects written", bill.option.text("object_write_sku"), objects * 2),
        *bill.line("Objects read", bill.option.text("object_read_sku"), objects * 2),
        *bill.line(
            "Requests and answers stored", bill.option.text("storage_sku"), gb * KEPT_MONTHS
        ),
    ]
