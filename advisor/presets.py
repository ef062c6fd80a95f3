"""Worked starting points: a preset is a full set of answers with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from advisor.errors import InputError
from advisor.requirements import Requirements, parse

PRESETS = Path(__file__).with_name("presets.yaml")


@dataclass(frozen=True)
class Preset:
    id: str
    name: str
    description: str
    requirements: Requirements


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by id, in the order in which they are offered."""
    rows = yaml.safe_load(PRESETS.read_text(encoding="utf-8"))
    return {
        row["id"]: Preset(
            row["id"], row["name"], row["description"], parse(row["requirements"])
        )
        for row in rows
    }  # fmt: skip


def preset(preset_id: str) -> Preset:
    """One preset. Raises InputError naming those that exist."""
    known = presets()
    if preset_id not in known:
        raise InputError(f"there is no preset {preset_id!r}; choose one of {', '.join(known)}")
    return known[preset_id]
