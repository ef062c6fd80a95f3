"""A scenario: requirements with a name and notes. Its file is the requirements file plus the two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from advisor import requirements
from advisor.errors import RequirementsError
from advisor.plain_text import lines, one_line
from advisor.requirements import LABELS, Requirements

MAX_NAME = 80  # characters
MAX_NOTES = 4000


@dataclass(frozen=True)
class Scenario:
    """A name may be empty: a requirements file need not have one."""

    requirements: Requirements
    name: str = ""
    notes: str = ""


def load(path: str | Path) -> Scenario:
    """A scenario from a YAML or JSON file: requirements, or a decision record.

    Raises RequirementsError.
    """
    return loads(requirements.read_file(path), name=str(path))


def loads(text: str, name: str = "the scenario") -> Scenario:
    """A scenario from YAML or JSON text. Raises RequirementsError."""
    data = requirements.read(text, name)
    labels = _labels(data)
    return Scenario(requirements.parse(requirements.answers_in(data)), *labels)


def dumps(scenario: Scenario) -> str:
    """YAML that `loads` reads back: the labels that are given, then the requirements."""
    labels = {"name": one_line(scenario.name), "notes": lines(scenario.notes)}
    given = {key: value for key, value in labels.items() if value}
    head = yaml.safe_dump(given, sort_keys=False, allow_unicode=True) if given else ""
    return head + requirements.dumps(scenario.requirements)


def schema() -> dict[str, Any]:
    """JSON Schema of the requirements file with its labels."""
    out = Requirements.model_json_schema()
    text = {
        "name": ("What the scenario is called.", MAX_NAME),
        "notes": ("What the team wants to remember; it goes into the record.", MAX_NOTES),
    }
    for key, (said, limit) in text.items():
        out["properties"][key] = {
            "type": "string", "maxLength": limit, "description": said, "default": "",
        }  # fmt: skip
    return out


def _labels(data: Any) -> tuple[str, str]:
    if not isinstance(data, dict):
        return "", ""
    if isinstance(record := data.get("record"), dict):
        return one_line(str(record.get("name", "")))[:MAX_NAME], lines(str(record.get("notes", "")))
    name, notes = (data.get(key) or "" for key in LABELS)
    for key, value, limit in (("name", name, MAX_NAME), ("notes", notes, MAX_NOTES)):
        if not isinstance(value, str):
            raise RequirementsError([f"{key} is {value!r:.40}; it must be text, so quote it"])
        if len(value) > limit:
            raise RequirementsError([f"{key} has {len(value):,} characters; at most {limit:,}"])
    return one_line(name), lines(notes)
