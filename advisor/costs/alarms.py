"""Alarms: errors, latency, saturation."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.recommendation import CostLine


def lines(bill: Bill) -> list[CostLine]:
    return bill.line("Alarms", bill.option.text("alarm_sku"), bill.option.number("alarms"))
