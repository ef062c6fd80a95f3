"""JSON and CSV text to plain rows."""

from __future__ import annotations

import csv
import io
from typing import Any

import orjson

from .errors import RequestError
from .signature import Signature


def csv_body(body: bytes, signature: Signature) -> list[Any]:
    """The rows of a CSV body. Raises RequestError 400 when it is no CSV, 422 for a bad cell."""
    if signature.tensors:
        raise RequestError(
            422, "csv", f"the model takes {len(signature.tensors)} tensors, which have no form in "
            "CSV; send JSON",
        )  # fmt: skip
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        raise RequestError(
            400, "csv", f"the CSV is not UTF-8 text (byte {broken.start})"
        ) from broken
    try:
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except csv.Error as broken:
        raise RequestError(400, "csv", f"the CSV cannot be read: {broken}") from broken
    return csv_rows(lines, signature)


def parse_json(body: bytes, where: str = "") -> Any:
    """The JSON value; raises RequestError 400 with line, column and position of the fault."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as broken:
        word = _no_json(body, broken)
        if word is not None:
            raise RequestError(
                400, "json",
                f"{where}{word} at line {broken.lineno}, column {broken.colno} is no JSON; a missing "
                "value is null, and infinity is not taken",
            ) from broken  # fmt: skip
        if "UTF-8" in broken.msg:
            raise RequestError(
                400, "json", f"{where}the body is not UTF-8 text, which JSON is; encode it so"
            ) from broken
        raise RequestError(
            400, "json",
            f"{where}the JSON is malformed at line {broken.lineno}, column {broken.colno} "
            f"(position {broken.pos}): {broken.msg.split(':')[0]}",
        ) from broken  # fmt: skip


def csv_rows(lines: list[list[str]], signature: Signature) -> list[Any]:
    """CSV cells as rows; a first line of names makes records of the rest."""
    header = lines and _is_header(lines[0], signature)
    names, body = (lines[0], lines[1:]) if header else (None, lines)
    if signature.input_dtype == "str" and signature.n_features is None:
        return [line[0] for line in body]
    if signature.takes_records:
        return [_record(lines[0], line, i) for i, line in enumerate(lines[1:])]
    if len(signature.input_shape or ()) == 1:  # a value a row, no list of one
        return [_cell(line[0], i, 0, signature) for i, line in enumerate(body)]
    rows: list[Any] = []
    example = signature.example if isinstance(signature.example, list) else []
    if signature.input_dtype == "object" and any(isinstance(v, str) for v in example):
        # "75001" may be a category: what is a text in the example stays one.
        kept = {j for j, v in enumerate(example) if isinstance(v, str)}
    else:
        kept = set()
    texts = {n for n, d in signature.columns or [] if d in ("str", "object", "any")}
    order = signature.feature_names or []
    for i, line in enumerate(body):
        keys = names or order
        cells = [
            cell
            if j in kept or (j < len(keys) and keys[j] in texts)
            else _cell(cell, i, j, signature)
            for j, cell in enumerate(line)
        ]
        rows.append(dict(zip(names, cells, strict=False)) if names else cells)
    return rows


def _record(names: list[str], line: list[str], row: int) -> dict[str, Any]:
    """Numbers where they can be read as such, else texts; an empty cell is no feature."""
    if len(line) != len(names):
        raise RequestError(
            422,
            "features",
            f"CSV row {row} has {len(line)} cells; its first line names {len(names)}",
        )
    record: dict[str, Any] = {}
    for name, cell in zip(names, line, strict=True):
        try:
            record[name] = float(cell)
        except ValueError:
            if cell:
                record[name] = cell
    return record


def _no_json(body: bytes, broken: orjson.JSONDecodeError) -> str | None:
    """The word that Python and JavaScript write for a number that JSON does not have."""
    rest = broken.doc[max(broken.pos - 1, 0) : broken.pos + 9]
    return next((w for w in ("-Infinity", "Infinity", "NaN") if w in rest), None)


def _is_header(line: list[str], signature: Signature) -> bool:
    """A first line is one of names only when it holds names that the model knows."""
    return bool(set(line) & set(signature.feature_names or ()))


def _cell(cell: str, row: int, column: int, signature: Signature) -> Any:
    text = cell.strip()
    if not text or text.lower() in ("na", "nan", "null"):
        return None
    try:
        return float(text)
    except ValueError:
        if text.lower() in ("true", "false"):  # as pandas writes them
            return text.lower() == "true"
        if signature.input_dtype in ("object", "str"):
            return cell
        raise RequestError(
            422, "type", f"CSV row {row}, column {column} is {cell[:40]!r}; it is a number"
        ) from None
