"""Alarms: errors, latency, saturation."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    return bill.line("Alarms", bill.option.text("alarm_sku"), bill.option.number("alarms"))
