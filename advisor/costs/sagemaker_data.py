"""SageMaker hosting: data processed into and out of the endpoint."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    traffic = bill.work.need.traffic
    return [
        *bill.line(
            "Data into the endpoint",
            "sagemaker.data_in_gb",
            bill.requests * traffic.request_mb / 1024,
        ),
        *bill.line(
            "Data out of the endpoint",
            "sagemaker.data_out_gb",
            bill.requests * traffic.response_mb / 1024,
        ),
    ]
