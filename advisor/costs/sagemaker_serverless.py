"""SageMaker Serverless Inference: seconds at the memory tier, cold starts included, and instances
kept ready."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    sized, option = bill.sized, bill.option
    tier = round(float(sized.memory_mb) / 1024)
    return [
        *bill.line(
            f"Instances kept ready at {tier} GB",
            option.ready_sku.format(gb=tier, arch="x86"),
            sized.ready_seconds,
        ),
        *bill.line(
            f"Seconds on instances kept ready at {tier} GB",
            option.ready_work_sku.format(gb=tier, arch="x86"),
            sized.ready_work_seconds,
        ),
        *bill.line(
            f"Serverless seconds at {tier} GB",
            option.gb_second_sku.format(gb=tier, arch="x86"),
            sized.billed_seconds,
        ),
    ]
