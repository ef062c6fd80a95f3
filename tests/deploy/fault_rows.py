"""What the fault tests saw, a line each, for the table in docs/faults.md (tools/fault_table.py)."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

VARIABLE = "ADVISOR_FAULT_ROWS"
PRODUCT = Path(__file__).resolve().parents[2] / "deploy"
STATE_FILES = ("*.py", "*.yaml")


@dataclass(frozen=True)
class Row:
    """`where` is the call, the resource or the step; `said` the sentence that the user is told."""

    target: str
    fault: str
    verb: str
    where: str
    outcome: str
    said: str = ""


@cache
def state() -> str:
    """A mark of deploy/ as it is here: the first 12 hexadecimal digits of a sha256 of its files."""
    total = hashlib.sha256()
    for path in sorted(p for form in STATE_FILES for p in PRODUCT.rglob(form)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(PRODUCT).as_posix()}\0{content}\n".encode())
    return total.hexdigest()[:12]


def keep(*rows: Row) -> None:
    """Append to the file that the environment names; without one nothing is kept."""
    file = os.environ.get(VARIABLE)
    if file:
        with Path(file).open("a", encoding="utf-8") as out:
            when = {"day": f"{datetime.now(UTC):%Y-%m-%d}", "state": state()}
            out.writelines(json.dumps(asdict(row) | when) + "\n" for row in rows)
