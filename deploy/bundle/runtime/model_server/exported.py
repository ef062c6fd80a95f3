"""What ONNX and PyTorch programs share: a number of rows they were exported for, answers by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import ModelError, RequestError
from .values import Batch, Method, Output


def row_by_row(
    predict: Callable[[Batch, Method], Output], size: int, batch: Batch, method: Method
) -> Output:
    """Answer with a model for exactly `size` rows; only of one row can it be asked repeatedly."""
    if size != 1:
        raise RequestError(
            422, "fixed_batch",
            f"the model was exported for exactly {size} rows a request and got {batch.rows}; "
            "send that many, or export it with a free first dimension",
        )  # fmt: skip
    parts = [predict(batch.part(i, i + 1), method) for i in range(batch.rows)]
    values = None if parts[0].values is None else np.concatenate([p.values for p in parts])
    scores = None
    if parts[0].probabilities is not None:
        scores = np.concatenate([p.probabilities for p in parts])
    return Output(values, scores, parts[0].keys)


def by_row(values: Any, rows: int) -> Any:
    """The answers, one a row: a single column loses its brackets. Raises ModelError for a model
    that answers otherwise: its answers could not be told apart."""
    if values.ndim == 0 or len(values) != rows:
        raise ModelError(
            f"the model answers {rows} row(s) with an array of shape {list(values.shape)}, not "
            "with an answer a row; export it so that the first dimension is the row"
        )
    return values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values
