"""A Kubernetes control plane, unless a cluster is there already and paid for by others."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    if bill.work.need.placement.existing_cluster:
        return []
    return bill.line("Cluster control plane", bill.option.text("control_plane_sku"), bill.hours)
