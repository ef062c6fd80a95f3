"""Rows as a request carries them (lists, records by feature name, texts) as the model takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import RequestError
from .numbers_in import Numbers
from .signature import Signature
from .values import Batch
from .wording import lists, named


class Rows:
    """Reads rows for one model."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.numbers = Numbers(signature)
        self._names = signature.feature_names
        self._index = {n: i for i, n in enumerate(self._names)} if self._names else {}
        self._tensors = {n: _of_tensor(kind, s) for n, kind, s in signature.tensors or []}

    def batch(self, rows: list[Any]) -> Batch:
        """Rows (lists, records by feature name, texts) as the model takes them."""
        if not rows:
            raise RequestError(422, "no_rows", "the list of instances is empty; send at least one")
        if self.signature.needs_frame or self.signature.columns:
            return self._columns(rows)
        if self._tensors:
            return self._several(rows)
        if self.numbers.dtype is None:
            return self._items(rows)
        if isinstance(rows[0], dict):
            rows = [self._ordered(i, row) for i, row in enumerate(rows)]
        return Batch("array", self.numbers.read(rows), len(rows))

    def _ordered(self, i: int, row: Any) -> list[Any]:
        """A record by feature name as a list in the model's order."""
        if not isinstance(row, dict):
            raise RequestError(422, "shape", f"row {i} is {named(row)} and row 0 is an object")
        if not self._names:
            count = f"{self.signature.n_features} " if self.signature.n_features else ""
            raise RequestError(
                422, "names", "the model does not know feature names; send each row as a list of "
                f"{count}numbers",
            )  # fmt: skip
        if len(row) == len(self._names) and row.keys() == self._index.keys():
            return [row[name] for name in self._names]
        missing = [n for n in self._names if n not in row]
        unknown = [n for n in row if n not in self._index]
        raise RequestError(422, "names", f"row {i} " + lists(missing, unknown))

    def _columns(self, rows: list[Any]) -> Batch:
        """One array for each named column."""
        names = self._names or []
        records = [
            self._ordered(i, row) if isinstance(row, dict) else self._listed(i, row)
            for i, row in enumerate(rows)
        ]
        dtypes = dict(self.signature.columns or [])
        data = {
            name: self._column(name, j, [record[j] for record in records], dtypes.get(name, "any"))
            for j, name in enumerate(names)
        }
        return Batch("columns", data, len(rows))

    def _several(self, rows: list[Any]) -> Batch:
        """One array for each tensor: records by the tensors' names, or lists in their order."""
        records = [
            self._ordered(i, row) if isinstance(row, dict) else self._listed(i, row)
            for i, row in enumerate(rows)
        ]
        data = {}
        for j, (name, decoder) in enumerate(self._tensors.items()):
            try:
                values = decoder.batch([record[j] for record in records]).data
            except RequestError as wrong:
                raise RequestError(wrong.status, wrong.code, f"{name}: {wrong.message}") from wrong
            data[name] = np.array(values, dtype=object) if isinstance(values, list) else values
        return Batch("columns", data, len(rows))

    def _listed(self, i: int, row: Any) -> list[Any]:
        if not isinstance(row, list):
            raise RequestError(422, "shape", f"row {i} is {named(row)}; it is a list or an object")
        self.numbers.check_width(i, len(row))
        return row

    def _column(self, name: str, j: int, values: list[Any], dtype: str) -> np.ndarray:
        if dtype in ("str", "object"):
            for i, value in enumerate(values):
                if value is None and self.signature.allows_missing:
                    continue
                if not isinstance(value, str):
                    raise RequestError(
                        422, "type", f"row {i}, {name!r} is {named(value)}; it is a text"
                    )
            return np.array(values, dtype=object)
        if dtype == "category" and any(isinstance(v, (list, dict)) for v in values):
            raise RequestError(422, "type", f"{name!r} holds a list or an object; it is a value")
        if dtype in ("any", "category"):
            found = np.empty(len(values), dtype=object)
            found[:] = values
            return found
        plain = [self.numbers.number(i, j, v) for i, v in enumerate(values)]
        kind = np.dtype(dtype)
        if kind.kind != "f":
            # Of the values themselves: as fractions whole numbers are exact up to 2**53 alone.
            return self.numbers.whole(np.array(plain if None in values else values), kind, j)
        numbers = np.array(plain).astype(kind)
        if np.isinf(numbers).any():
            row = int(np.argwhere(np.isinf(numbers))[0][0])
            raise RequestError(
                422, "not_finite", f"row {row}, {name!r} is infinite or too large for {dtype}"
            )
        return numbers

    def _items(self, rows: list[Any]) -> Batch:
        if self.signature.input_dtype == "str" and self.signature.n_features is None:
            for i, row in enumerate(rows):
                if not isinstance(row, str):
                    raise RequestError(422, "type", f"row {i} is {named(row)}; it is a text")
            return Batch("items", rows, len(rows))
        if self.signature.n_features is not None:
            records = [
                self._ordered(i, r) if isinstance(r, dict) else self._listed(i, r)
                for i, r in enumerate(rows)
            ]
            return Batch("array", np.array(records, dtype=object), len(rows))
        if self.signature.takes_records:
            for i, row in enumerate(rows):
                if not isinstance(row, dict):
                    raise RequestError(
                        422, "type", f"row {i} is {named(row)}; it is an object of feature names"
                    )
        return Batch("items", rows, len(rows))


def _of_tensor(dtype: str, shape: list[int | None] | None) -> Rows:
    """Reads one of several tensors."""
    width = shape[1] if shape and len(shape) == 2 else None
    return Rows(Signature(input_dtype=dtype, input_shape=shape, n_features=width))
