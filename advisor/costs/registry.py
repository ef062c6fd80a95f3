"""The container image in the registry: runtime of the format, and the model where it is baked in."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.recommendation import CostLine


def lines(bill: Bill) -> list[CostLine]:
    need = bill.work.need
    image_gb = bill.option.image_mb(need.model, need.control.models_per_endpoint) / 1024
    kept = bill.option.number("images_kept")
    return bill.line("Container images", bill.option.text("registry_sku"), image_gb * kept)
