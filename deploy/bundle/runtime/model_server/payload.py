"""From the bytes of a request to validated rows, with an error that names what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from . import npy
from .errors import RequestError
from .parsing import csv_body, parse_json
from .rows import Rows
from .values import Batch, Method
from .wording import named

JSON_TYPES = frozenset({"", "application/json", "text/json", "application/vnd.api+json"})
LINE_TYPES = frozenset(
    {"application/jsonlines", "application/x-jsonlines", "application/x-ndjson",
     "application/jsonl"}
)  # fmt: skip
NPY_TYPES = frozenset({npy.TYPE.decode()})
CSV_TYPES = frozenset({"text/csv", "application/csv"})
PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # gzip and zstd by content
TAKEN_ENCODINGS = {"accept-encoding": "identity"}
METHODS = ("default", "predict", "predict_proba")


@dataclass
class Request:
    """Validated rows, what is asked of them, and how the answer is to be wrapped."""

    batch: Batch
    method: Method = "default"
    envelope: bool = False  # answer {"predictions": [...]}


class Decoder(Rows):
    """Reads requests for one model."""

    def decode(self, body: bytes, content_type: str) -> Request:
        """Raises RequestError: 400 for what cannot be read, 415 for other content types, 422 for
        values that do not fit the model."""
        if not body.strip():
            raise RequestError(
                400, "empty_body", 'the request body is empty; send {"instances": [[...], ...]}'
            )
        if body.startswith(PACKED):
            raise RequestError(
                415, "compressed", "the body is compressed; send it as it is", TAKEN_ENCODINGS
            )
        kind = content_type.split(";", 1)[0].strip().lower()
        if kind in JSON_TYPES:
            return self._json(body)
        if kind in CSV_TYPES:
            return Request(self.batch(csv_body(body, self.signature)))
        if kind in LINE_TYPES:
            lines = [line for line in body.splitlines() if line.strip()]
            return Request(self.batch([parse_json(line, f"line {i}: ")
                                       for i, line in enumerate(lines, 1)]))  # fmt: skip
        if kind in NPY_TYPES:
            return Request(self._npy(body))
        if body.startswith(npy.MAGIC):
            hint = "; the body is a NumPy file: add -H 'Content-Type: application/x-npy'"
        elif kind.startswith("multipart/"):
            hint = "; send the rows as the body itself, not as a form (curl: --data-binary @FILE)"
        elif "form" in kind:
            hint = (
                "; curl sends that unless told otherwise: add -H 'Content-Type: application/json'"
            )
        else:
            hint = ""
        raise RequestError(
            415, "content_type",
            f"the content type {kind[:80]!r} is not taken; send application/json, text/csv, "
            f"application/jsonlines or application/x-npy{hint}",
        )  # fmt: skip

    def _json(self, body: bytes) -> Request:
        found = parse_json(body)
        if isinstance(found, dict):
            if "instances" in found:
                rows = found["instances"]
                if not isinstance(rows, list):
                    raise RequestError(
                        422, "instances", f"instances is {named(rows)}; it is a list of rows"
                    )
                return Request(self.batch(rows), self.method(found.get("parameters")), True)
            self._check_envelope(found)
            return Request(self.batch([found]))
        if not isinstance(found, list):
            if self.numbers.dtype is None and isinstance(found, str):
                return Request(self.batch([found]))
            raise RequestError(
                422, "shape", f"the body is {named(found)}; it is a row, a list of rows, or "
                'an object with "instances"',
            )  # fmt: skip
        return Request(self.batch([found] if self._is_single(found) else found))

    def _check_envelope(self, found: dict[str, Any]) -> None:
        """Raise RequestError for rows under a key of somebody else's ("data", "inputs")."""
        if self.signature.takes_records or any(name in self._index for name in found):
            return
        key = next((key for key, value in found.items() if isinstance(value, list)), None)
        if key is not None:
            raise RequestError(
                422, "envelope",
                f"the body has {key[:40]!r} and no \"instances\"; send {{\"instances\": [row, ...]}}, "
                f"or the list of rows alone",
            )  # fmt: skip

    def _npy(self, body: bytes) -> Batch:
        """An array of numbers goes in as it is; anything else the way its rows would as JSON."""
        found = npy.read(body)
        if not len(found):
            return self.batch([])
        if self.numbers.takes(found) and not (self.signature.needs_frame or self.signature.columns):
            return Batch("array", self.numbers.read(found), len(found))
        if found.dtype.kind == "S":
            found = np.char.decode(found, "utf-8", "replace")
        rows = found.tolist()
        return self.batch([rows] if self._is_single(rows) else rows)

    def _is_single(self, found: list[Any]) -> bool:
        """One row without a list around it, told by how deep it is nested."""
        if not found or isinstance(found[0], dict) or self._tensors:
            return False
        if self.numbers.dtype is None and not (
            self.signature.needs_frame or self.signature.columns
        ):
            return self.signature.n_features is not None and not isinstance(found[0], list)
        depth, inner = 1, found[0]
        while isinstance(inner, list):
            depth, inner = depth + 1, inner[0] if inner else None
        return depth < (self.numbers.rank or 2)

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


def check_encoding(encoding: str) -> None:
    """Raises RequestError 415 for a body that came packed."""
    if encoding.strip().lower() not in ("", "identity"):
        raise RequestError(
            415, "encoding",
            f"the body is sent with Content-Encoding {encoding[:40]!r}, which is not unpacked here; "
            "send it as it is, without that header",
            TAKEN_ENCODINGS,
        )  # fmt: skip
