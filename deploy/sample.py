"""A request that a model should be able to answer, made from its signature alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from deploy.artifact import Signature

TEXT_DTYPES = ("str", "object", "string")


@dataclass(frozen=True)
class Sample:
    """One request of one row, and a sentence about where its values come from."""

    body: bytes
    content_type: str
    note: str


def sample_request(signature: Signature | None) -> Sample | None:
    """Zeros (empty texts for text inputs) in the shape the model takes; None if it tells no shape.

    It proves that the endpoint answers, not that the answer means anything.
    """
    instance, note = _instance(signature) if signature is not None else (None, "")
    if instance is None:
        return None
    return Sample(json.dumps({"instances": [instance]}).encode(), "application/json", note)


def _instance(signature: Signature) -> tuple[Any, str]:
    if signature.columns:
        row = {name: _zero(dtype) for name, dtype in signature.columns}
        return row, f"a row of zeros in {len(row)} named columns"
    if signature.needs_frame and signature.feature_names:
        return dict.fromkeys(signature.feature_names, 0.0), (
            f"a row of zeros in {len(signature.feature_names)} named columns"
        )
    zero = _zero(signature.input_dtype or "float64")
    shape = signature.input_shape
    if shape is not None and len(shape) > 2 and all(shape[1:]):
        return _filled([size or 1 for size in shape[1:]], zero), (
            f"zeros of shape {'x'.join(str(size) for size in shape[1:])}"
        )
    if signature.n_features:
        return [zero] * signature.n_features, f"a row of {signature.n_features} zeros"
    return None, ""


def _zero(dtype: str) -> Any:
    if dtype.startswith(TEXT_DTYPES):
        return ""
    if dtype.startswith("bool"):
        return False
    return 0 if dtype.startswith(("int", "uint")) else 0.0


def _filled(shape: list[int], value: Any) -> Any:
    if not shape:
        return value
    return [_filled(shape[1:], value) for _ in range(shape[0])]
