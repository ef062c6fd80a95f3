"""YAML from people, read so that no file can harm: bounded nesting, no aliases, no key twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from advisor.catalog.loader import QUICK_LOADER
from advisor.errors import RuleError

MAX_DEPTH = 20  # far above what a rule needs; the C parser itself crashes at some ten thousand
_OPENS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSES = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
Path = tuple[int | str, ...]


@dataclass(frozen=True)
class Read:
    """Plain data, and the line (from 1) of every key and list item by its path."""

    data: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int | None:
        """The line of the path, or of the nearest part above it that has one."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return None


def read_yaml(text: str, name: str) -> Read:
    """The document's plain data. Raises RuleError naming the file, the line and what is wrong."""
    try:
        _check_events(text, name)
        loader = QUICK_LOADER(text)
        try:
            node = loader.get_single_node()
            lines: dict[Path, int] = {}
            if node is not None:
                _walk(node, (), lines, name)
            return Read(loader.construct_document(node) if node is not None else None, lines)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = error.problem or error.context or "it cannot be read"
        raise RuleError(f"{name} is not valid YAML{where}: {said}; correct it") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, RuleError):
            raise
        said = " ".join(str(error).split())[:200]
        raise RuleError(f"{name} is not valid YAML: {said}; correct it") from None


def _check_events(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=QUICK_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise RuleError(
                f"{name}, line {_line(event)}: refers to another part of the file "
                f"(*{event.anchor}); write it out"
            )
        if isinstance(event, _OPENS):
            depth += 1
            if depth > MAX_DEPTH:
                raise RuleError(
                    f"{name}, line {_line(event)}: is nested more than {MAX_DEPTH} "
                    "levels deep; a rule is two or three"
                )
        elif isinstance(event, _CLOSES):
            depth -= 1


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int], name: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*path, i)] = _line(item)
            _walk(item, (*path, i), lines, name)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            line = _line(key)
            if here in lines:
                raise RuleError(
                    f"{name}, line {line}: {key.value!r} stands there twice (first in line "
                    f"{lines[here]}); keep one"
                )
            lines[here] = line
            _walk(value, here, lines, name)


def _line(part: yaml.Node | yaml.Event) -> int:
    return part.start_mark.line + 1 if part.start_mark else 0
