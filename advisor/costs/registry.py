"""The container image in the registry: runtime of the format, and the model where it is baked in.

Azure bills a registry by the day and includes some storage; the others bill the storage alone.
"""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line

INCLUDED = "azure.acr_basic_included_gb"


def lines(bill: Bill) -> list[Line]:
    need = bill.work.need
    image_gb = bill.option.image_mb(need.model, need.control.models_per_endpoint) / 1024
    gb = image_gb * bill.option.number("images_kept")
    out: list[Line] = []
    if day_sku := bill.option.text("registry_day_sku"):
        out += bill.line("Container registry", day_sku, bill.hours / 24)
        gb = max(gb - bill.metered(INCLUDED), 0.0)
    return out + bill.line("Container images", bill.option.text("registry_sku"), gb)
