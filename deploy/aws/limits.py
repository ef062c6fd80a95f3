"""Limits of services that only a plan meets, as data with source and date."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml


def limit(name: str) -> float:
    """The figure of that name in limits.yaml. Raises KeyError for one that is not there."""
    return float(_limits()[name]["value"])


@cache
def _limits() -> dict[str, Any]:
    path = Path(__file__).with_name("limits.yaml")
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded
