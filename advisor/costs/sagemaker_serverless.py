"""SageMaker Serverless Inference: seconds at the memory tier, cold starts included."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.recommendation import CostLine


def lines(bill: Bill) -> list[CostLine]:
    tier = round(bill.sized.memory_mb / 1024)
    return bill.line(
        f"Serverless seconds at {tier} GB",
        f"sagemaker.serverless_second.{tier}gb",
        bill.sized.billed_seconds,
    )
