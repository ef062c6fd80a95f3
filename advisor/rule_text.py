"""Sentences with numbers in them: the `because` of a rule."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml

from advisor.rule_fields import Value

FIELD = re.compile(r"\{([a-z_]+\.[a-z0-9_]+)\}")
BRACES = re.compile(r"[{}]")
DIGITS = (3, 5, 8)
# Fields whose values have names of their own; a machine or a region is said as it is.
_NAMED = frozenset(
    (
        "cloud", "clouds", "mode", "modes", "format", "formats", "pattern", "purchase",
        "data_residency",
    )
)  # fmt: skip
_WORDS = Path(__file__).parent / "catalog" / "words.yaml"


def names_in(template: str) -> tuple[str, ...]:
    """The fields that a template names: "{need.request_mb} MB" names need.request_mb."""
    return tuple(FIELD.findall(template))


def stray_brace(template: str) -> bool:
    """Whether a brace is left that belongs to no field."""
    return BRACES.search(FIELD.sub("", template)) is not None


def render(template: str, values: Mapping[str, Value]) -> str:
    """The sentence with its numbers, for people: 10240.0 is "10,240", true is "yes".

    Computed numbers have three digits, and more where two different ones would read the same
    ("100.41 s > 100.4 s", not "100 s > 100 s"); short ones are written out.
    """
    shown = {name: values[name] for name in names_in(template)}
    numbers = {v for v in shown.values() if isinstance(v, float)}
    for digits in DIGITS:
        if len({plain(v, digits) for v in numbers}) == len(numbers):
            break
    return FIELD.sub(lambda match: plain(_said(match[1], shown[match[1]]), digits), template)


def spoken(value: str) -> str:
    """A value of an answer as people say it: "gcp" is "Google Cloud"."""
    return words().get(value, value)


@cache
def words() -> Mapping[str, str]:
    """Values that have a name: catalog/words.yaml."""
    found: dict[str, str] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return found


def plain(value: Value, digits: int = DIGITS[0]) -> str:
    """A value as people write it; a whole or a short number keeps all its digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return ", ".join(value) if value else "none"
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "unlimited"
    if value == int(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    if float(f"{value:.6g}") == value:  # given by a person: 99.95 is not 99.9
        return f"{value:,.6g}" if abs(value) >= 1e-4 else f"{value:.6g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    rounded = f"{value:,.{decimals}f}"
    return rounded.rstrip("0").rstrip(".") if "." in rounded else rounded


def _said(field: str, value: Value) -> Value:
    if field.partition(".")[2] not in _NAMED:
        return value
    if isinstance(value, str):
        return spoken(value)
    return [spoken(v) for v in value] if isinstance(value, Sequence) else value
