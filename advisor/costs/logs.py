"""Logs: a line for each request, kept for the retention time. No payloads are logged."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    gb = (
        (bill.requests + bill.sized.warm_up_calls)
        * bill.option.number("log_kb_per_request")
        / 1024
        / 1024
    )
    months = bill.option.number("log_retention_days") / 30.4
    return [
        *bill.line("Log ingestion", bill.option.text("log_ingest_sku"), gb),
        *bill.line("Log storage", bill.option.text("log_storage_sku"), gb * months),
    ]
