"""YAML and JSON from people, read so that no file can stop the process or fill its memory.

Only plain data is taken: no tags, no anchors, a few levels, a few thousand values. That is looked at
event by event before anything is built, because building itself is where such files do harm.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from advisor.errors import InputError

MAX_DEPTH = 20
MAX_VALUES = 20_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# JSON writes a character beyond the first plane as two escapes; YAML knows it as one.
_PAIR = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE
)
_COLLECTION = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_END = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def read(text: str) -> Any:
    """Plain data from the text. Raises InputError: "is not valid YAML or JSON: …"."""
    text = _paired(text)
    try:
        _look(text)
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader, quick where there is one
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"is not valid YAML or JSON: {_where(error)}") from None


def _where(error: Exception) -> str:
    """What is wrong and at which line, without the parser's name for the text."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or not problem:
        return " ".join(str(error).split())[:200]
    return f"{problem} at line {mark.line + 1}, column {mark.column + 1}"


def _paired(text: str) -> str:
    """JSON with its pairs of surrogate escapes as one escape each; all else as it is."""
    if _PAIR.search(text) is None:
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text  # no JSON: YAML says what it thinks of it
    return _PAIR.sub(lambda m: f"{m[1]}\\U{_joined(m[2], m[3]):08x}", text)


def _joined(high: str, low: str) -> int:
    return 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)


def _look(text: str) -> None:
    depth = values = 0
    open_: list[_Open] = []
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError(
                f"is not plain data: line {_line(event)} has an anchor or an alias; write each "
                "value out"
            )
        if isinstance(event, _END):
            depth -= 1
            open_.pop()
            continue
        if isinstance(event, (*_COLLECTION, yaml.ScalarEvent)):
            values += 1
            if open_:
                open_[-1].take(event)
            if event.tag is not None:
                raise InputError(
                    f"is not plain data: line {_line(event)} has the tag {event.tag[:40]!r}; leave "
                    "it out"
                )
        if isinstance(event, _COLLECTION):
            depth += 1
            open_.append(_Open(isinstance(event, yaml.MappingStartEvent)))
        if depth > MAX_DEPTH:
            raise InputError(f"is too deep: more than {MAX_DEPTH} levels in line {_line(event)}")
        if values > MAX_VALUES:
            raise InputError(f"is too long: more than {MAX_VALUES:,} values")


class _Open:
    """A list or a mapping that is being read; a mapping has no key twice: the first would be lost."""

    def __init__(self, is_mapping: bool) -> None:
        self._key_next = is_mapping
        self._is_mapping = is_mapping
        self._first: dict[str, int] = {}

    def take(self, event: Any) -> None:
        """The next key, value or entry. Raises InputError."""
        if self._key_next and isinstance(event, yaml.ScalarEvent):
            name = event.value
            if name in self._first:
                raise InputError(
                    f"has {name[:60]!r} twice, in lines {self._first[name]} and {_line(event)}; "
                    "write it once"
                )
            self._first[name] = _line(event)
        self._key_next = self._is_mapping and not self._key_next


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
