"""Whether exporting the model to ONNX is worth more than any choice of service."""

from __future__ import annotations

from advisor.requirements import Requirements
from advisor.sizing.performance_data import class_rows


def export_note(need: Requirements) -> str | None:
    """The sentence from the data, for a tree ensemble by class or a slow file that may be one."""
    data = class_rows()
    held, rows = data.conversion, {row.name: row for row in data.classes}
    to_ms = rows[held.to].service_time_ms
    model = need.model
    # `other` may hold anything; ONNX and torch files are not made by these libraries.
    if model.gpu or model.format.value not in held.formats:
        return None
    if model.service_time_ms is not None:
        if model.service_time_ms < held.least_ms:
            return None
        return held.given.format(
            from_ms=f"{model.service_time_ms:,.3g}", format=model.format.value, to_ms=f"{to_ms:g}"
        )
    row = rows.get(model.model_class or "")
    if row is None or row.name not in held.classes:
        return None
    if row.service_time_ms < held.least_gain * to_ms:
        return None
    said = held.declared.format(
        label=row.label, from_ms=f"{row.service_time_ms:g}", to_ms=f"{to_ms:g}"
    )
    return f"{said} {held.directly}" if row.name in held.asked_directly else said
