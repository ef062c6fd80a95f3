"""How refusals name what a client sent."""

from __future__ import annotations

from typing import Any


def named(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"a text ({value[:30]!r})"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"


def lists(missing: list[str], unknown: list[Any]) -> str:
    def few(names: list[Any]) -> str:
        return ", ".join(repr(n)[:60] for n in names[:5]) + (", …" if len(names) > 5 else "")

    parts = []
    if missing:
        parts.append(f"lacks {len(missing)} feature(s): {few(missing)}")
    if unknown:
        parts.append(f"has {len(unknown)} unknown feature(s): {few(unknown)}")
    return " and ".join(parts)
