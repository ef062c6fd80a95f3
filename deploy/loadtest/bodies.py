"""The requests that a load test sends: one row each, from a sample file or the plan."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from advisor.errors import InputError
from deploy.loadtest.roads import Road

MOST_BODIES = 256
MOST_BYTES = 10_000_000
Bodies = list[tuple[str, str]]  # (content, content type)


def bodies(road: Road, sample: Path | None) -> Bodies:
    """The requests, in turns. Raises InputError when nobody knows what a row looks like."""
    if sample is not None:
        return _of_file(sample)
    known = road.plan.parameters.get("sample") if road.plan is not None else None
    if isinstance(known, str) and known:
        return [(known, "application/json")]
    raise InputError(
        f"nobody knows what a request to {road.shown} looks like; give some with --sample "
        "rows.json, rows.jsonl or rows.csv"
    )


def _of_file(path: Path) -> Bodies:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"the sample {path.name} has more than 10 MB; some hundred rows do")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot read the sample {path}: {error.strerror}; check the path"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"the sample {path.name} is no UTF-8 text; save it as such") from None
    ending = path.suffix.lower()
    if ending == ".json":
        found = _json(path.name, text)
    elif ending in (".jsonl", ".ndjson"):
        found = [(ln, "application/jsonlines") for ln in text.splitlines() if ln.strip()]
    elif ending == ".csv":
        found = _csv(text)
    else:
        raise InputError(f"the sample {path.name} is no .json, .jsonl or .csv file")
    if not found:
        raise InputError(f"the sample {path.name} holds no row; put some in")
    return found[:MOST_BODIES]


def _json(name: str, text: str) -> Bodies:
    """Each row of `instances` is a request; another document is one as it stands."""
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"the sample {name} is no JSON; check it") from None
    rows = data.get("instances") if isinstance(data, dict) and set(data) == {"instances"} else None
    if isinstance(data, list):
        rows = data
    if isinstance(rows, list):
        return [(json.dumps({"instances": [row]}), "application/json") for row in rows]
    return [(text, "application/json")]


def _csv(text: str) -> Bodies:
    """Each line is a request, with the header before it if there is one."""
    lines = [ln for ln in text.splitlines() if ln.strip()]
    if not lines:
        return []
    first = next(csv.reader(io.StringIO(lines[0])), [])
    header = lines.pop(0) + "\n" if any(not _number(cell) for cell in first) else ""
    return [(f"{header}{line}\n", "text/csv") for line in lines]


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() == ""
    return True
