"""Logs, kept for the retention time: a line for each request; a run logs its progress and no records.
No payloads are logged."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Amount, Line
from advisor.requirements import Mode


def lines(bill: Bill) -> list[Line]:
    gb = _kilobytes(bill) / 1024 / 1024
    months = bill.option.number("log_retention_days") / 30.4
    return [
        *bill.line("Log ingestion", bill.option.text("log_ingest_sku"), gb),
        *bill.line("Log storage", bill.option.text("log_storage_sku"), gb * months),
    ]


def _kilobytes(bill: Bill) -> Amount:
    option, sized = bill.option, bill.sized
    if bill.work.need.traffic.mode is not Mode.batch:
        return (bill.requests + sized.warm_up_calls) * option.number("log_kb_per_request")
    if sized.strategy == "functions":  # each invocation is a request with many records
        return sized.requests * option.number("log_kb_per_request")
    return bill.requests * option.number("log_kb_per_record")
