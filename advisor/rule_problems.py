"""What is wrong with a rule file, as one sentence that names the rule, the line and the way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from advisor.rule_yaml import Read

FILE_KEYS = ("name", "rules")
RULE_KEYS = (
    "id", "kind", "phase", "options", "kinds", "clouds", "except", "when", "that", "figure",
    "at_most", "because", "source", "points", "criterion", "relax",
)  # fmt: skip
RELAX_KEYS = ("field", "to", "when")


def first_problem(error: ValidationError, read: Read) -> str:
    """The first problem of the file: "rule 'x': wehn is not a known key; did you mean when?"."""
    found = error.errors()
    # A misspelt key is also a missing one; the misspelling is the cause.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    loc: list[Any] = list(first["loc"])
    line = read.line(tuple(loc))
    rule = ""
    if len(loc) >= 2 and loc[0] == "rules" and isinstance(loc[1], int):
        written = read.data["rules"][loc[1]]
        known = written.get("id") if isinstance(written, dict) else None
        rule = f"rule {known!r}: " if known else f"rule number {loc[1] + 1}: "
        loc = loc[2:]
    where = ".".join(str(part) for part in loc)
    return f"{rule}{_sentence(first, where, loc, bool(rule))}{f' (line {line})' if line else ''}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A suggestion, or the whole list where nothing is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"


def _sentence(problem: Any, where: str, loc: list[Any], in_rule: bool) -> str:
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        keys = RELAX_KEYS if "relax" in loc[:-1] else RULE_KEYS if in_rule else FILE_KEYS
        return f"{where} is not a known key; {did_you_mean(str(loc[-1]), keys)}"
    if kind == "missing":
        return f"{where} is missing; it is required"
    if kind == "literal_error" or kind == "enum":
        known = re.findall(r"'([^']+)'", problem["ctx"]["expected"])
        return f"{where} is {_short(value)}; {did_you_mean(str(value), known)}"
    said = problem["msg"].removeprefix("Value error, ")
    given = f" ({_short(value)})" if not isinstance(value, (dict, list)) else ""
    return f"{where + ': ' if where else ''}{said[:1].lower() + said[1:]}{given}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
