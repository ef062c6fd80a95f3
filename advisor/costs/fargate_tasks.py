"""Fargate: vCPU-hours and GB-hours of every task."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    sized = bill.sized
    arch = "arm" if sized.arch == "arm64" else "x86"
    return [
        *bill.bought_lines(
            "Task vCPU", f"fargate.vcpu_hour.{arch}", sized.replica_hours * sized.vcpu
        ),
        *bill.bought_lines(
            "Task memory", f"fargate.gb_hour.{arch}", sized.replica_hours * sized.memory_mb / 1024
        ),
    ]
