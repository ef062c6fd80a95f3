"""From the bytes of a request to validated rows, with an error that names what is wrong."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from .errors import RequestError
from .parsing import csv_body, parse_json
from .signature import Signature
from .values import Batch, Method

JSON_TYPES = frozenset({"", "application/json", "text/json", "application/vnd.api+json"})
LINE_TYPES = frozenset(
    {"application/jsonlines", "application/x-jsonlines", "application/x-ndjson",
     "application/jsonl"}
)  # fmt: skip
CSV_TYPES = frozenset({"text/csv", "application/csv"})
METHODS = ("default", "predict", "predict_proba")


@dataclass
class Request:
    """Validated rows, what is asked of them, and how the answer is to be wrapped."""

    batch: Batch
    method: Method = "default"
    envelope: bool = False  # answer {"predictions": [...]}


class Decoder:
    """Reads requests for one model."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        # What overflows is told by _check_finite; numpy's own warning would only fill the log.
        warnings.filterwarnings("ignore", message="overflow encountered in cast")
        self._dtype = np.dtype(signature.input_dtype) if _is_numeric(signature) else None
        shape = signature.input_shape
        self._row_shape = tuple(shape[1:]) if shape and len(shape) > 1 else None
        self._rank = len(shape) if shape else None
        self._exact = self._row_shape if self._row_shape and None not in self._row_shape else None
        # What says nothing of its shape (TorchScript) takes rows of any.
        self._any_shape = shape is None and signature.n_features is None
        self._names = signature.feature_names
        self._index = {n: i for i, n in enumerate(self._names)} if self._names else {}
        self._tensors = {n: _of_tensor(kind, s) for n, kind, s in signature.tensors or []}

    def decode(self, body: bytes, content_type: str) -> Request:
        """Raises RequestError: 400 for what cannot be read, 415 for other content types, 422 for
        values that do not fit the model."""
        if not body.strip():
            raise RequestError(
                400, "empty_body", 'the request body is empty; send {"instances": [[...], ...]}'
            )
        if body.startswith(b"\x1f\x8b"):
            raise RequestError(415, "compressed", "the body is compressed; send it as it is")
        kind = content_type.split(";", 1)[0].strip().lower()
        if kind in JSON_TYPES:
            return self._json(body)
        if kind in CSV_TYPES:
            return Request(self.batch(csv_body(body, self.signature)))
        if kind in LINE_TYPES:
            lines = [line for line in body.splitlines() if line.strip()]
            return Request(self.batch([parse_json(line, f"line {i}: ")
                                       for i, line in enumerate(lines, 1)]))  # fmt: skip
        hint = (
            "; curl sends that unless told otherwise: add -H 'Content-Type: application/json'"
            if "form" in kind
            else ""
        )
        raise RequestError(
            415, "content_type",
            f"the content type {kind!r} is not taken; send application/json, text/csv or "
            f"application/jsonlines{hint}",
        )  # fmt: skip

    def batch(self, rows: list[Any]) -> Batch:
        """Rows (lists, records by feature name, texts) as the model takes them."""
        if not rows:
            raise RequestError(422, "no_rows", "the list of instances is empty; send at least one")
        if self.signature.needs_frame or self.signature.columns:
            return self._columns(rows)
        if self._tensors:
            return self._several(rows)
        if self._dtype is None:
            return self._items(rows)
        if isinstance(rows[0], dict):
            rows = [self._ordered(i, row) for i, row in enumerate(rows)]
        return Batch("array", self._array(rows), len(rows))

    def _json(self, body: bytes) -> Request:
        found = parse_json(body)
        if isinstance(found, dict):
            if "instances" in found:
                rows = found["instances"]
                if not isinstance(rows, list):
                    raise RequestError(
                        422, "instances", f"instances is {_named(rows)}; it is a list of rows"
                    )
                return Request(self.batch(rows), self.method(found.get("parameters")), True)
            return Request(self.batch([found]))
        if not isinstance(found, list):
            if self._dtype is None and isinstance(found, str):
                return Request(self.batch([found]))
            raise RequestError(
                422, "shape", f"the body is {_named(found)}; it is a row, a list of rows, or "
                'an object with "instances"',
            )  # fmt: skip
        return Request(self.batch([found] if self._is_single(found) else found))

    def _is_single(self, found: list[Any]) -> bool:
        """One row without a list around it, told by how deep it is nested."""
        if not found or isinstance(found[0], dict) or self._tensors:
            return False
        if self._dtype is None and not (self.signature.needs_frame or self.signature.columns):
            return self.signature.n_features is not None and not isinstance(found[0], list)
        depth, inner = 1, found[0]
        while isinstance(inner, list) and inner:
            depth, inner = depth + 1, inner[0]
        return depth < (self._rank or 2)

    @staticmethod
    def method(parameters: Any) -> Method:
        if parameters is None:
            return "default"
        if not isinstance(parameters, dict):
            raise RequestError(422, "parameters", "parameters is an object, or left out")
        method = parameters.get("method", "default")
        if method not in METHODS:
            raise RequestError(
                422, "parameters",
                f'parameters.method is {str(method)[:40]!r}; it is "predict" or "predict_proba"',
            )  # fmt: skip
        return cast(Method, method)

    def _array(self, rows: list[Any]) -> np.ndarray:
        """The fast path: numpy reads the numbers; only on trouble is each value looked at."""
        try:
            found = np.array(rows)
        except (ValueError, TypeError, OverflowError):
            found = None
        if found is None or found.dtype.kind not in "fiub" or self._is_bent(found.ndim):
            found = self._array_slowly(rows)
        if found.shape[1:] != self._exact:
            self._check_shape(found)
        dtype = cast("np.dtype[Any]", self._dtype)
        if found.dtype == dtype:
            array = found
        elif dtype.kind == "f":
            array = found.astype(dtype)
        else:
            array = self._whole(found, dtype)
        # A finite sum means finite values; an infinite one may still be rounding up.
        if dtype.kind == "f" and not math.isfinite(np.add.reduce(array, axis=None)):
            self._check_finite(array)
        return array

    def _is_bent(self, ndim: int) -> bool:
        return ndim < 2 if self._any_shape else ndim != (self._rank or 2)

    def _whole(
        self, found: np.ndarray, dtype: np.dtype[Any], column: int | None = None
    ) -> np.ndarray:
        """Whole numbers as the model holds them; a cast alone would wrap 300 to 44 unsaid."""
        with np.errstate(invalid="ignore"):
            array = found.astype(dtype)
        if not (wrong := array != found).any():
            return array
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        value = found[at].item()
        if column is None and len(at) == 2:
            column = at[1]
        where = f"position {at[1:]}" if column is None else self._feature(column)
        if value % 1 != 0:
            raise RequestError(
                422, "type", f"row {at[0]}, {where} is {value:g}; the model takes whole numbers "
                f"({dtype})",
            )  # fmt: skip
        least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        raise RequestError(
            422, "range", f"row {at[0]}, {where} is {value:.20g}; the model takes {least} to {most} "
            f"({dtype})",
        )  # fmt: skip

    def _array_slowly(self, rows: list[Any]) -> np.ndarray:
        if self._rank is not None and self._rank != 2:
            raise RequestError(
                422, "shape",
                f"each instance is {'a value' if self._rank == 1 else 'nested lists of numbers'} "
                f"of shape {self._shape_text()}; the rows sent do not have that shape",
            )  # fmt: skip
        if self._any_shape and _is_nested(rows[0]):
            raise RequestError(
                422, "shape", "the instances are nested lists of numbers of unequal shapes; send "
                "rows of one shape",
            )  # fmt: skip
        plain = []
        for i, row in enumerate(rows):
            if not isinstance(row, (list, tuple)):
                raise RequestError(
                    422, "shape", f"row {i} is {_named(row)}; it is a list of numbers"
                )
            self._check_width(i, len(row))
            if len(row) != len(rows[0]):
                raise RequestError(
                    422, "shape", f"row {i} has {len(row)} values and row 0 has {len(rows[0])}; "
                    "rows of one request are equally long: pad them, or send them apart",
                )  # fmt: skip
            plain.append([self._number(i, j, value) for j, value in enumerate(row)])
        return np.array(plain, dtype=np.float64)

    def _number(self, row: int, column: int, value: Any) -> float:
        if value is None:
            if self.signature.allows_missing:
                return math.nan
            raise RequestError(
                422, "missing",
                f"row {row}, {self._feature(column)} is null and the model takes no missing values",
            )  # fmt: skip
        if isinstance(value, (int, float)):
            return float(value)
        raise RequestError(
            422, "type", f"row {row}, {self._feature(column)} is {_named(value)}; it is a number"
        )

    def _check_shape(self, array: np.ndarray) -> None:
        if self._row_shape is None:
            return
        if array.ndim != len(self._row_shape) + 1 or any(
            wanted is not None and wanted != got
            for wanted, got in zip(self._row_shape, array.shape[1:], strict=True)
        ):
            if len(self._row_shape) == 1 and array.ndim == 2:
                self._check_width(0, array.shape[1])
            raise RequestError(
                422, "shape",
                f"each instance has shape {'x'.join(map(str, array.shape[1:])) or 'of one value'}; "
                f"the model takes {self._shape_text()}",
            )  # fmt: skip

    def _check_width(self, row: int, got: int) -> None:
        wanted = self.signature.n_features
        if wanted is not None and got != wanted:
            names = ""
            if self._names:
                names = ": " + ", ".join(self._names[:5]) + (", …" if wanted > 5 else "")
            raise RequestError(
                422, "features", f"row {row} has {got} features; the model takes {wanted}{names}"
            )

    def _check_finite(self, array: np.ndarray) -> None:
        """Missing values pass where the model takes them; infinity never does."""
        bad = np.isinf(array) if self.signature.allows_missing else ~np.isfinite(array)
        if not bad.any():
            return
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        where = self._feature(at[1]) if len(at) == 2 else f"position {at[1:]}"
        what = "missing (NaN)" if np.isnan(array[at]) else "infinite or too large"
        raise RequestError(
            422, "not_finite", f"row {at[0]}, {where} is {what}; the model takes finite numbers"
        )

    def _ordered(self, i: int, row: Any) -> list[Any]:
        """A record by feature name as a list in the model's order."""
        if not isinstance(row, dict):
            raise RequestError(422, "shape", f"row {i} is {_named(row)} and row 0 is an object")
        if not self._names:
            raise RequestError(
                422, "names",
                "the model does not know feature names; send each row as a list of "
                f"{self.signature.n_features} numbers",
            )  # fmt: skip
        if len(row) == len(self._names) and row.keys() == self._index.keys():
            return [row[name] for name in self._names]
        missing = [n for n in self._names if n not in row]
        unknown = [n for n in row if n not in self._index]
        raise RequestError(422, "names", f"row {i} " + _lists(missing, unknown))

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
            raise RequestError(422, "shape", f"row {i} is {_named(row)}; it is a list or an object")
        self._check_width(i, len(row))
        return row

    def _column(self, name: str, j: int, values: list[Any], dtype: str) -> np.ndarray:
        if dtype in ("str", "object"):
            for i, value in enumerate(values):
                if value is None and self.signature.allows_missing:
                    continue
                if not isinstance(value, str):
                    raise RequestError(
                        422, "type", f"row {i}, {name!r} is {_named(value)}; it is a text"
                    )
            return np.array(values, dtype=object)
        if dtype == "category" and any(isinstance(v, (list, dict)) for v in values):
            raise RequestError(422, "type", f"{name!r} holds a list or an object; it is a value")
        if dtype in ("any", "category"):
            found = np.empty(len(values), dtype=object)
            found[:] = values
            return found
        plain = [self._number(i, j, v) for i, v in enumerate(values)]
        kind = np.dtype(dtype)
        if kind.kind != "f":
            # Of the values themselves: as fractions whole numbers are exact up to 2**53 alone.
            return self._whole(np.array(plain if None in values else values), kind, j)
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
                    raise RequestError(422, "type", f"row {i} is {_named(row)}; it is a text")
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
                        422, "type", f"row {i} is {_named(row)}; it is an object of feature names"
                    )
        return Batch("items", rows, len(rows))

    def _feature(self, column: int) -> str:
        name = f" ({self._names[column]!r})" if self._names and column < len(self._names) else ""
        return f"feature {column}{name}"

    def _shape_text(self) -> str:
        return (
            "x".join("any" if n is None else str(n) for n in self._row_shape or ()) or "one value"
        )


def _is_nested(row: Any) -> bool:
    return isinstance(row, list) and any(isinstance(value, list) for value in row)


def _of_tensor(dtype: str, shape: list[int | None] | None) -> Decoder:
    """Reads one of several tensors."""
    width = shape[1] if shape and len(shape) == 2 else None
    return Decoder(Signature(input_dtype=dtype, input_shape=shape, n_features=width))


def _is_numeric(signature: Signature) -> bool:
    if signature.input_dtype is None:
        return signature.n_features is not None or signature.input_shape is not None
    return signature.input_dtype not in ("str", "object")


def _named(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"a text ({value[:30]!r})"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"


def _lists(missing: list[str], unknown: list[Any]) -> str:
    def few(names: list[Any]) -> str:
        return ", ".join(repr(n)[:60] for n in names[:5]) + (", …" if len(names) > 5 else "")

    parts = []
    if missing:
        parts.append(f"lacks {len(missing)} feature(s): {few(missing)}")
    if unknown:
        parts.append(f"has {len(unknown)} unknown feature(s): {few(unknown)}")
    return " and ".join(parts)
