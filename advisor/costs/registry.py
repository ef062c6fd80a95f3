"""The container image in the registry: runtime of the format, and the model where it is baked in."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.recommendation import CostLine


def lines(bill: Bill) -> list[CostLine]:
    image_gb = bill.option.image_mb(bill.work.need.model) / 1024
    kept = bill.option.number("images_kept")
    return bill.line("Container images", bill.option.text("registry_sku"), image_gb * kept)
