"""Answers that leave for the internet; none when the endpoint is private."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    if bill.is_private:
        return []
    gb = bill.requests * bill.work.need.traffic.response_mb / 1024
    return bill.line("Data out to the internet", bill.option.text("data_out_sku"), gb)
