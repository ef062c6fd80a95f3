"""The model files in object storage, with the versions that are kept for roll-back."""

from __future__ import annotations

from advisor.costs.bill import Bill
from advisor.costs.line import Line


def lines(bill: Bill) -> list[Line]:
    need = bill.work.need
    gb = need.control.models_per_endpoint * need.model.size_mb / 1024
    gb *= bill.option.number("images_kept")
    return bill.line("Model files", bill.option.text("storage_sku"), gb)
