"""What the fault tests saw, a line each, for the table in docs/faults.md (tools/fault_table.py)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "ADVISOR_FAULT_ROWS"


@dataclass(frozen=True)
class Row:
    """`where` is the call, the resource or the step; `said` the sentence that the user is told."""

    target: str
    fault: str
    verb: str
    where: str
    outcome: str
    said: str = ""


def keep(*rows: Row) -> None:
    """Append to the file that the environment names; without one nothing is kept."""
    file = os.environ.get(VARIABLE)
    if file:
        with Path(file).open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
