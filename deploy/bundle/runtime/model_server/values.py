"""Rows on their way in and predictions on their way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Method = Literal["default", "predict", "predict_proba"]


@dataclass
class Batch:
    """Validated rows: an array, one array for each column, or plain items (texts, records)."""

    kind: Literal["array", "columns", "items"]
    data: Any  # ndarray | dict[str, ndarray] | list
    rows: int

    def part(self, start: int, stop: int) -> Batch:
        if self.kind == "columns":
            data: Any = {name: column[start:stop] for name, column in self.data.items()}
        else:
            data = self.data[start:stop]
        return Batch(self.kind, data, stop - start)


def joined(batches: list[Batch]) -> Batch:
    """Batches of one kind as one."""
    if len(batches) == 1:
        return batches[0]
    kind, rows = batches[0].kind, sum(b.rows for b in batches)
    if kind == "array":
        return Batch(kind, np.concatenate([b.data for b in batches]), rows)
    if kind == "columns":
        names = batches[0].data
        merged = {n: np.concatenate([b.data[n] for b in batches]) for n in names}
        return Batch(kind, merged, rows)
    return Batch(kind, [item for b in batches for item in b.data], rows)


@dataclass
class Output:
    """Predictions of a batch: labels or values, and for classifiers the probabilities.

    `values` may be None when only probabilities were asked for, and the other way round.
    """

    values: Any  # ndarray (rows, ...) or None
    probabilities: Any = None  # ndarray (rows, classes) or None
    keys: list[str] | None = None  # the classes as JSON object keys

    def part(self, start: int, stop: int) -> Output:
        return Output(
            None if self.values is None else self.values[start:stop],
            None if self.probabilities is None else self.probabilities[start:stop],
            self.keys,
        )

    def as_json(self) -> list[Any]:
        """One element a row: a value, a list of probabilities, or {"label", "probabilities"}."""
        values = None if self.values is None else _plain(self.values)
        if self.probabilities is None:
            return values or []
        rows: list[list[float]] = self.probabilities.tolist()
        if values is None:
            return rows
        keys = self.keys or [str(i) for i in range(len(rows[0]))] if rows else []
        return [
            {"label": label, "probabilities": dict(zip(keys, row, strict=True))}
            for label, row in zip(values, rows, strict=True)
        ]

    def as_csv(self) -> bytes:
        """One line a row: the label or value, then the probabilities in class order."""
        lines = []
        for item in self.as_json():
            if isinstance(item, dict):
                cells = [item["label"], *item["probabilities"].values()]
            else:
                cells = item if isinstance(item, list) else [item]
            lines.append(",".join(_cell(c) for c in cells))
        return ("\n".join(lines) + "\n").encode() if lines else b""


def _plain(values: Any) -> list[Any]:
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    if any(c in text for c in ',"\n\r'):
        text = '"' + text.replace('"', '""') + '"'
    return text
