"""The questions of the page, read from the fields of `advisor.requirements`.

A field added there is asked here with no edit. Nothing in this file knows Streamlit.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from advisor.requirements import Pattern, Requirements

Kind = Literal["number", "integer", "switch", "choice", "choices", "texts", "text", "week", "hours"]


@dataclass(frozen=True)
class Question:
    """One field of the requirements, as the form needs it."""

    path: str  # "model.size_mb"
    section: str
    name: str
    kind: Kind
    optional: bool
    required: bool
    default: Any  # plain value; None for a required field
    title: str
    help: str
    unit: str
    ask: str
    depends_on: tuple[str, tuple[str, ...]] | None
    options: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def label(self) -> str:
        """The question with its unit, unless the unit repeats the question's own words."""
        word = self.unit.split("/")[0].lower()
        if word in ("", "ratio") or word in self.title.lower().split():
            return self.title
        return f"{self.title} ({self.unit})"


@cache
def questions() -> Mapping[str, Question]:
    """All questions by path, in the order of the requirements."""
    out = {}
    for section, holder in Requirements.model_fields.items():
        model = section_model(holder)
        for name, info in model.model_fields.items():
            question = _question(section, name, info)
            out[question.path] = question
    return out


def section_help(section: str) -> str:
    """The one line that introduces a section."""
    return (section_model(Requirements.model_fields[section]).__doc__ or "").strip()


def describe(path: str) -> str:
    """The question behind a path, for a sentence on the page; the path itself if none."""
    question = questions().get(path)
    return question.title if question else path


def unit(path: str) -> str:
    """The unit to write behind an answer, with its space; empty where there is none to say."""
    question = questions().get(path)
    said = question.unit if question else ""
    # "5 million requests/month" would say twice what the question says already.
    return "" if said in ("", "ratio", "requests/month") else f" {said}"


def section_model(info: FieldInfo) -> type[BaseModel]:
    assert isinstance(info.annotation, type)  # noqa: S101 - a section is a model by definition
    return info.annotation


def _question(section: str, name: str, info: FieldInfo) -> Question:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    inner, optional = _unwrap(info.annotation)
    kind, options = _kind(inner)
    path, _, wanted = str(extra.get("depends_on", "")).partition("=")
    default = None if info.is_required() else _plain(info.get_default(call_default_factory=True))
    low, high = _bounds(info)
    return Question(
        path=f"{section}.{name}",
        section=section,
        name=name,
        kind=kind,
        optional=optional,
        required=info.is_required(),
        default=default,
        title=info.title or name,
        help=info.description or "",
        unit=str(extra.get("unit", "")),
        ask=str(extra.get("ask", "detail")),
        depends_on=(path, tuple(wanted.split("|"))) if path else None,
        options=options,
        low=low,
        high=high,
    )


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [a for a in get_args(annotation) if a is not type(None)]
        return inner[0], len(inner) < len(get_args(annotation))
    return annotation, False


def _kind(inner: Any) -> tuple[Kind, tuple[str, ...]]:
    if inner is bool:
        return "switch", ()
    if inner is int:
        return "integer", ()
    if inner is float:
        return "number", ()
    if inner is str:
        return "text", ()
    if inner is Pattern:
        return "week", tuple(p.value for p in Pattern)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return "choice", tuple(str(m.value) for m in inner)
    if get_origin(inner) is tuple:
        item = get_args(inner)[0]
        if isinstance(item, type) and issubclass(item, Enum):
            return "choices", tuple(str(m.value) for m in item)
        return "texts", ()
    if get_origin(inner) is dict:
        return "hours", ()
    raise TypeError(f"the form has no widget for a field of type {inner!r}; add one here")


def _bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    low: Any = None
    high: Any = None
    for item in info.metadata:
        if isinstance(item, Ge):
            low = item.ge
        elif isinstance(item, Gt):
            low = item.gt
        elif isinstance(item, Le):
            high = item.le
        elif isinstance(item, Lt):
            high = item.lt
    return low, high


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
