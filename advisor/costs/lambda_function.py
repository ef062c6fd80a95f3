"""Lambda: a fee for each request and gigabyte-seconds of duration, cold starts included.

Since August 2025 AWS bills the initialisation phase of container images like the rest. Instances
kept ready cost by the gigabyte-second whether or not they work, and their work costs less.
"""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    sized = bill.sized
    arch, gb = "arm" if sized.arch == "arm64" else "x86", sized.memory_mb / 1024
    return [
        *bill.line("Function requests", "lambda.request", sized.requests),
        *bill.line(
            "Instances kept ready", f"lambda.provisioned_gb_second.{arch}", sized.ready_seconds * gb
        ),
        *bill.line(
            "Duration on instances kept ready",
            f"lambda.provisioned_duration_gb_second.{arch}",
            sized.ready_work_seconds * gb,
        ),
        *bill.bought_lines("Function duration", f"lambda.gb_second.{arch}", sized.gb_seconds),
    ]
