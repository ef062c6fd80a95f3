"""The disk of each machine, for the hours it runs."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    gb_month = bill.option.number("disk_gb") * bill.sized.replica_hours / bill.hours
    return bill.line("Disks", bill.option.text("disk_sku"), gb_month)
