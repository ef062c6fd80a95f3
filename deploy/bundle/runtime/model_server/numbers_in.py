"""Rows of numbers as one array, each value checked; only on trouble is each looked at."""

from __future__ import annotations

import math
import warnings
from typing import Any, cast

import numpy as np

from .errors import RequestError
from .signature import Signature
from .wording import named


class Numbers:
    """Reads rows of numbers for one model. `dtype` is None where the model takes something else."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        # What overflows is told by _check_finite; numpy's own warning would only fill the log.
        warnings.filterwarnings("ignore", message="overflow encountered in cast")
        self.dtype = np.dtype(signature.input_dtype) if _is_numeric(signature) else None
        shape = signature.input_shape
        self._row_shape = tuple(shape[1:]) if shape and len(shape) > 1 else None
        self.rank = len(shape) if shape else None
        self._exact = self._row_shape if self._row_shape and None not in self._row_shape else None
        # What says nothing of its shape (TorchScript) takes rows of any.
        self._any_shape = shape is None and signature.n_features is None
        self._names = signature.feature_names
        coded = signature.coded or {}
        self._coded = [(j, coded[n]) for j, n in enumerate(self._names or []) if coded.get(n)]

    def takes(self, found: np.ndarray) -> bool:
        """Whether `read` takes an array as it is."""
        fits = self.dtype is not None and found.dtype.kind in "fiub"
        return fits and not self.is_bent(found.ndim)

    def read(self, rows: list[Any] | np.ndarray) -> np.ndarray:
        """The fast path: numpy reads the numbers; only on trouble is each value looked at."""
        try:
            found = np.array(rows)
        except (ValueError, TypeError, OverflowError):
            found = None
        if found is None or found.dtype.kind not in "fiub" or self.is_bent(found.ndim):
            found = self._slowly(list(rows))
        if found.shape[1:] != self._exact:
            self._check_shape(found)
        dtype = cast("np.dtype[Any]", self.dtype)
        if found.dtype == dtype:
            array = found
        elif dtype.kind == "f":
            array = found.astype(dtype)
        else:
            array = self.whole(found, dtype)
        # A finite sum means finite values; an infinite one may still be rounding up.
        if dtype.kind == "f" and not math.isfinite(np.add.reduce(array, axis=None)):
            self._check_finite(array)
        for column, count in self._coded:
            self._check_codes(array[:, column], column, count)
        return array

    def is_bent(self, ndim: int) -> bool:
        return ndim < 2 if self._any_shape else ndim != (self.rank or 2)

    def whole(
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
        where = f"position {at[1:]}" if column is None else self.feature(column)
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

    def _slowly(self, rows: list[Any]) -> np.ndarray:
        if self.rank is not None and self.rank != 2:
            raise RequestError(
                422, "shape",
                f"each instance is {'a value' if self.rank == 1 else 'nested lists of numbers'} "
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
                    422, "shape", f"row {i} is {named(row)}; it is a list of numbers"
                )
            self.check_width(i, len(row))
            if len(row) != len(rows[0]):
                raise RequestError(
                    422, "shape", f"row {i} has {len(row)} values and row 0 has {len(rows[0])}; "
                    "rows of one request are equally long: pad them, or send them apart",
                )  # fmt: skip
            plain.append([self.number(i, j, value) for j, value in enumerate(row)])
        return np.array(plain, dtype=np.float64)

    def number(self, row: int, column: int, value: Any) -> float:
        if value is None:
            if self._signature.allows_missing:
                return math.nan
            raise RequestError(
                422, "missing",
                f"row {row}, {self.feature(column)} is null and the model takes no missing values",
            )  # fmt: skip
        if isinstance(value, (int, float)):
            return float(value)
        coded = self._names and self._names[column] in (self._signature.coded or ())
        raise RequestError(
            422, "type", f"row {row}, {self.feature(column)} is {named(value)}; it is a number"
            + (": that of the category in the order of training, from 0, for the model file does "
               "not tell their names" if coded else ""),
        )  # fmt: skip

    def _check_shape(self, array: np.ndarray) -> None:
        if self._row_shape is None:
            if not array.size:
                raise RequestError(422, "shape", "row 0 is empty; send its values")
            return
        if array.ndim != len(self._row_shape) + 1 or any(
            wanted is not None and wanted != got
            for wanted, got in zip(self._row_shape, array.shape[1:], strict=True)
        ):
            if len(self._row_shape) == 1 and array.ndim == 2:
                self.check_width(0, array.shape[1])
            raise RequestError(
                422, "shape",
                f"each instance has shape {'x'.join(map(str, array.shape[1:])) or 'of one value'}; "
                f"the model takes {self._shape_text()}",
            )  # fmt: skip

    def check_width(self, row: int, got: int) -> None:
        wanted = self._signature.n_features
        if wanted is not None and got != wanted:
            names = ""
            if self._names:
                names = ": " + ", ".join(self._names[:5]) + (", …" if wanted > 5 else "")
            raise RequestError(
                422,
                "features",
                f"row {row} has {got or 'no'} feature{'' if got == 1 else 's'}; "
                f"the model takes {wanted}{names}",
            )

    def _check_finite(self, array: np.ndarray) -> None:
        """Missing values pass where the model takes them; infinity never does."""
        bad = np.isinf(array) if self._signature.allows_missing else ~np.isfinite(array)
        if not bad.any():
            return
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        where = self.feature(at[1]) if len(at) == 2 else f"position {at[1:]}"
        what = "missing (NaN)" if np.isnan(array[at]) else "infinite or too large"
        raise RequestError(
            422, "not_finite", f"row {at[0]}, {where} is {what}; the model takes finite numbers"
        )

    def _check_codes(self, codes: np.ndarray, column: int, count: int) -> None:
        """A category's value in the place of its code would be answered, and wrongly."""
        with np.errstate(invalid="ignore"):
            wrong = ~np.isnan(codes) & ((codes < 0) | (codes >= count) | (codes % 1 != 0))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise RequestError(
                422, "range", f"row {row}, {self.feature(column)} is {codes[row]:g}; it is the "
                f"category's number in the order of training, from 0 to {count - 1}",
            )  # fmt: skip

    def feature(self, column: int) -> str:
        name = f" ({self._names[column]!r})" if self._names and column < len(self._names) else ""
        return f"feature {column}{name}"

    def _shape_text(self) -> str:
        return (
            "x".join("any" if n is None else str(n) for n in self._row_shape or ()) or "one value"
        )


def _is_nested(row: Any) -> bool:
    return isinstance(row, list) and any(isinstance(value, list) for value in row)


def _is_numeric(signature: Signature) -> bool:
    if signature.input_dtype is None:
        return signature.n_features is not None or signature.input_shape is not None
    return signature.input_dtype not in ("str", "object")
