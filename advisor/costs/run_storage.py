"""A run's records and answers in object storage, where the option's other requests do not travel
through it."""

from __future__ import annotations

from advisor.costs import object_transfer
from advisor.costs.bill import Bill
from advisor.costs.line import Line
from advisor.requirements import Mode


def lines(bill: Bill) -> list[Line]:
    if bill.work.need.traffic.mode is not Mode.batch:
        return []
    return object_transfer.lines(bill)
