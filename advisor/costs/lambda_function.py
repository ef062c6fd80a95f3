"""Lambda: a fee for each request and gigabyte-seconds of duration, cold starts included.

Since August 2025 AWS bills the initialisation phase of container images like the rest.
"""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.recommendation import CostLine


def lines(bill: Bill) -> list[CostLine]:
    sized = bill.sized
    arch = "arm" if sized.arch == "arm64" else "x86"
    return [
        *bill.line("Function requests", "lambda.request", sized.requests),
        *bill.bought_lines("Function duration", f"lambda.gb_second.{arch}", sized.gb_seconds),
    ]
