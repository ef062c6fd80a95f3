"""Properties against a CloudFormation registry schema: what the real service would refuse."""

from __future__ import annotations

import re
from typing import Any

from jsonschema import Draft7Validator

SEGMENT = "/properties/"


class Schema:
    """One resource type's registry schema, ready to check properties that a template resolved to."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = _usable(document)
        self.type = document["typeName"]
        self.read_only = _names(_whole(document.get("readOnlyProperties", [])))
        create_only = document.get("createOnlyProperties", [])
        self.create_only = _names(_whole(create_only))
        self._fixed_parts = [p for p in create_only if p not in _whole(create_only)]
        self.identifier = _names(document.get("primaryIdentifier", []))
        self.tag_property = document.get("tagging", {}).get("tagProperty", "").rpartition("/")[2]
        tags = document["properties"].get(self.tag_property, {})
        self.tags_are_a_map = tags.get("type") == "object"
        self._validator = Draft7Validator(self.document)

    def checked(self, properties: dict[str, Any]) -> dict[str, Any]:
        """The properties with numbers and booleans as the schema has them.

        Raises ValueError with every complaint, as CloudFormation words a model validation failure.
        """
        given = self._coerced(properties, self.document)
        given = {k: v for k, v in given.items() if k not in self.read_only}
        problems = [
            f"#/{'/'.join(str(p) for p in e.absolute_path)}: {e.message[:200]}"
            for e in self._validator.iter_errors(given)
        ]
        if problems:
            raise ValueError(f"Model validation failed ({'; '.join(problems[:5])})")
        return given

    def check_parts(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        """Raises ValueError where a part changed that only a new resource could have otherwise."""
        for pointer in self._fixed_parts:
            path = pointer.removeprefix(SEGMENT).split("/")
            if _at(old, path) != _at(new, path):
                raise ValueError(f"{'.'.join(path)} of {self.type} changed: that replaces it")

    def _coerced(self, value: Any, schema: Any) -> Any:
        """Parameters arrive as strings; CloudFormation turns them into what the type wants."""
        schema = self._resolved(schema)
        kind = schema.get("type")
        if isinstance(value, dict):
            inner = schema.get("properties", {})
            return {k: self._coerced(v, inner.get(k, {})) for k, v in value.items()}
        if isinstance(value, list):
            return [self._coerced(v, schema.get("items", {})) for v in value]
        if not isinstance(value, str):
            if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
                return str(value)
            return value
        if kind == "boolean" and value in ("true", "false"):
            return value == "true"
        if kind == "integer" and re.fullmatch(r"-?\d+", value):
            return int(value)
        if kind == "number" and re.fullmatch(r"-?\d+(\.\d+)?([eE]-?\d+)?", value):
            return float(value)
        return value

    def _resolved(self, schema: Any) -> dict[str, Any]:
        while isinstance(schema, dict) and "$ref" in schema:
            node: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                node = node[part]
            schema = node
        return schema if isinstance(schema, dict) else {}


def _whole(pointers: list[str]) -> list[str]:
    """Whole properties only: a part that is read-only does not make the rest so."""
    return [p for p in pointers if p.count("/") == SEGMENT.count("/")]


def _at(properties: Any, path: list[str]) -> Any:
    for part in path:
        properties = properties.get(part) if isinstance(properties, dict) else None
    return properties


def _names(pointers: list[str]) -> list[str]:
    return [p.removeprefix(SEGMENT).split("/")[0] for p in pointers]


def _usable(node: Any) -> Any:
    """Without patterns that only a Java regular expression engine reads, and without cfn-lint's
    own `format`s; `required` of one property is then all that is left to the top level."""
    if isinstance(node, dict):
        out = {k: _usable(v) for k, v in node.items()}
        pattern = out.get("pattern")
        if isinstance(pattern, str) and not _compiles(pattern):
            del out["pattern"]
        return out
    return [_usable(v) for v in node] if isinstance(node, list) else node


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
