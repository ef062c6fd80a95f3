"""Answers that leave for the internet; none when the endpoint is private, nor of a run, whose answers
stay in storage."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line
from advisor.requirements import Mode


def lines(bill: Bill) -> list[Line]:
    if bill.is_private or bill.work.need.traffic.mode is Mode.batch:
        return []
    gb = bill.requests * bill.work.need.traffic.response_mb / 1024
    return bill.line("Data out to the internet", bill.option.text("data_out_sku"), gb)
