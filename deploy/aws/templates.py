"""The CloudFormation templates that ship with the product, read as data."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from advisor.errors import DeployError

DIRECTORY = Path(__file__).resolve().parent.parent / "templates"


SECTIONS = ("Parameters", "Mappings", "Conditions", "Resources", "Outputs")
FILES = 64  # templates kept in memory: more than ship with the product


@dataclass(frozen=True)
class Template:
    """One template: its text as sent, and its content with !Ref and !Sub in the long form.

    A template may name parts (`Metadata: ModelDeploymentAdvisor: Parts`): files beside it whose
    sections are added to its own, so that what several stacks share is written once; and what a
    part's resource waits for in this template (`After`, logical ids by logical id).
    """

    name: str
    text: str
    # Of a template in parts: what each role grants, by logical id, which is not sent.
    notes: Mapping[str, list[str]] = field(default_factory=dict, compare=False)

    @property
    def digest(self) -> str:
        """sha256 of the text, first 12 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @cached_property
    def content(self) -> dict[str, Any]:
        """Not to be changed: it is everybody's; `extended` gives a copy."""
        loaded: dict[str, Any] = yaml.load(self.text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        return loaded

    @property
    def expected_minutes(self) -> float:
        """How long the template itself says that it takes; an assumption, labelled there."""
        return float(self.content["Metadata"]["ModelDeploymentAdvisor"]["ExpectedMinutes"])

    def grants(self) -> list[str]:
        """What the template's roles may do, in the words written beside them."""
        return [sentence for role in self.grants_of_roles().values() for sentence in role]

    def grants_of_roles(self) -> Mapping[str, list[str]]:
        """The same by the role's logical id."""
        return self.notes or _grants(self.content)

    def bounded(self, parameter: str, value: float) -> int:
        """The value, kept within the parameter's MinValue and MaxValue, as a whole number."""
        bounds = self.content["Parameters"][parameter]
        low, high = float(bounds.get("MinValue", value)), float(bounds.get("MaxValue", value))
        return round(min(max(value, low), high))

    def resources(self, parameters: dict[str, str]) -> list[tuple[str, str]]:
        """(logical id, type) of everything the template makes under these parameters."""
        return [
            (logical_id, resource["Type"])
            for logical_id, resource in self.content["Resources"].items()
            if self._holds(resource.get("Condition"), parameters)
        ]

    def extended(self, additions: Mapping[str, Mapping[str, Any]]) -> Template:
        """The template with properties added to its resources, by logical id: what no parameter can
        carry, such as a list whose length the sizing decides. Itself when there is nothing to add.
        """
        if not additions:
            return self
        content = copy.deepcopy(self.content)
        for logical_id, properties in additions.items():
            content["Resources"][logical_id]["Properties"] |= properties
        return Template(self.name, _compact(content), self.notes)

    def sent_to(self, arn: str, region: str, tags: Mapping[str, str]) -> str:
        """The text for the one account and region that `arn` (of anything in it) and `region` name.

        Partition, region and account are written out, and tags are left to the stack's own `tags`,
        which CloudFormation gives to all that can carry them: a tenth shorter, and the same stack.
        """
        _, partition, _, _, account, _ = arn.split(":", 5)
        known = {
            "AWS::Partition": partition, "AWS::Region": region, "AWS::AccountId": account,
        }  # fmt: skip
        content = self.content | {"Resources": _written_out(self.content["Resources"], known)}
        del content["Metadata"]  # for people and for us
        for resource in content["Resources"].values():
            own = resource["Properties"].get("Tags", [])
            if {tag["Key"] for tag in own} <= tags.keys():
                resource["Properties"].pop("Tags", None)
        return _compact(content)

    def part_digest(self, *logical_ids: str) -> str:
        """sha256 of these resources' definitions, hexadecimal."""
        parts = [self.content["Resources"][logical_id] for logical_id in logical_ids]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _holds(self, condition: str | None, parameters: dict[str, str]) -> bool:
        if condition is None:
            return True
        return bool(self._value(self.content["Conditions"][condition], parameters))

    def _value(self, node: Any, parameters: dict[str, str]) -> Any:
        """The few functions that the conditions here are made of."""
        if not isinstance(node, dict):
            return str(node)
        ((function, argument),) = node.items()
        if function == "Ref":
            default = self.content["Parameters"][argument].get("Default", "")
            return str(parameters.get(argument, default))
        if function == "Fn::Equals":
            left, right = (self._value(a, parameters) for a in argument)
            return left == right
        if function == "Fn::Not":
            return not self._value(argument[0], parameters)
        if function in ("Fn::And", "Fn::Or"):
            parts = [bool(self._value(a, parameters)) for a in argument]
            return all(parts) if function == "Fn::And" else any(parts)
        if function == "Condition":
            return self._holds(argument, parameters)
        raise DeployError(f"{self.name} uses {function} in a condition, which is not known here")


def load(name: str) -> Template:
    """A shipped template by file name. Raises DeployError when the installation lacks it."""
    return _loaded(name, _as_they_are(DIRECTORY))


@lru_cache(maxsize=FILES)
def _loaded(name: str, files: frozenset[tuple[str, int, int]]) -> Template:
    """Parsed once for the files as they are: that takes a good part of a second."""
    text = _read(name)
    content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    own = content["Metadata"]["ModelDeploymentAdvisor"]
    parts, after = own.pop("Parts", []), own.pop("After", {})
    if not parts:
        return Template(name, text)
    for part in parts:
        added = yaml.load(_read(part), Loader=_Loader)  # noqa: S506 - a SafeLoader
        for section in SECTIONS:
            if section not in added:
                continue
            twice = content.setdefault(section, {}).keys() & added[section].keys()
            if twice:
                raise DeployError(f"{name} and {part} both have {section} {', '.join(twice)}")
            content[section] |= added[section]
    for logical_id, waits_for in after.items():
        content["Resources"][logical_id].setdefault("DependsOn", []).extend(waits_for)
    return Template(name, _compact(content), _grants(content))


def _as_they_are(directory: Path) -> frozenset[tuple[str, int, int]]:
    """(path, time of change in ns, bytes) of every template: a newer installation is noticed."""
    found = ((path, path.stat()) for path in directory.glob("*.yaml"))
    return frozenset((str(path), seen.st_mtime_ns, seen.st_size) for path, seen in found)


def _grants(content: dict[str, Any]) -> dict[str, list[str]]:
    return {
        name: [" ".join(sentence.split()) for sentence in resource["Metadata"]["Grants"]]
        for name, resource in content["Resources"].items()
        if "Grants" in resource.get("Metadata", {})
    }


def _read(name: str) -> str:
    path = DIRECTORY / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeployError(
            f"the template {path} cannot be read ({error.strerror}); install the product again"
        ) from None


def _compact(content: dict[str, Any]) -> str:
    """JSON, a line for each parameter and resource: a request takes 51,200 bytes of template.

    What is written for people stays in the files: of parameters and outputs, what roles grant, and
    the names of a policy's statements.
    """
    content = content | {
        section: {
            name: {k: v for k, v in given.items() if k != "Description"}
            for name, given in content[section].items()
        }
        for section in ("Parameters", "Outputs")
        if section in content
    }
    content["Resources"] = {
        name: _unnamed({k: v for k, v in given.items() if k != "Metadata" or set(v) != {"Grants"}})
        for name, given in content["Resources"].items()
    }
    parts = [
        f"{_json(key)}:{_json(value)}" for key, value in content.items() if key not in SECTIONS
    ]
    for section in SECTIONS:
        if content.get(section):
            lines = (f"{_json(key)}:{_json(value)}" for key, value in content[section].items())
            parts.append(f"{_json(section)}:{{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _written_out(node: Any, known: Mapping[str, str]) -> Any:
    """A copy with these pseudo parameters' values in the place of references to them."""
    if isinstance(node, list):
        return [_written_out(value, known) for value in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"} and node["Ref"] in known:
        return known[node["Ref"]]
    if node.keys() == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):
        text = node["Fn::Sub"]
        for name, value in known.items():
            text = text.replace(f"${{{name}}}", value)
        return {"Fn::Sub": text} if "${" in text else text
    return {key: _written_out(value, known) for key, value in node.items()}


def _unnamed(node: Any) -> Any:
    """The same without `Sid`, which only policy statements have."""
    if isinstance(node, dict):
        return {k: _unnamed(v) for k, v in node.items() if k != "Sid"}
    return [_unnamed(v) for v in node] if isinstance(node, list) else node


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SAFE):  # type: ignore[misc]
    """YAML with CloudFormation's short forms; a date is left the text that it is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
