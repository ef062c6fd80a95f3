"""The shape of a rule file: the built-in rules, and the policies that a team adds on top."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from advisor.catalog.schema import Kind, Option, Strict
from advisor.errors import RuleError
from advisor.requirements import Cloud
from advisor.rule_problems import first_problem
from advisor.rule_text import plain
from advisor.rule_yaml import read_yaml

MAX_FILE_BYTES = 1_000_000
MAX_RULES = 500
MAX_EXPRESSION = 2000  # characters; CEL bounds nesting and iterations itself
FACT_SOURCE = "fact:"  # "fact:max_request_mb" cites what the option's own fact cites

Criterion = Literal[
    "cost", "latency", "control", "operations", "launch", "portability", "elasticity", "resilience",
]  # fmt: skip

RuleKind = Literal["forbid", "require", "prefer", "cap", "exclude", "warn"]
EXCLUDING = frozenset({"forbid", "require", "cap", "exclude"})

_BELONGS_TO: Mapping[str, frozenset[str]] = {
    "points": frozenset({"prefer"}),
    "criterion": frozenset({"prefer"}),
    "relax": EXCLUDING,
    "that": frozenset({"require"}),
    "figure": frozenset({"cap"}),
    "at_most": frozenset({"cap"}),
}
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "prefer": ("points",),
    "require": ("that",),
    "cap": ("figure", "at_most"),
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_UNITS = {"usd": ("$", ""), "ms": ("", " ms"), "mb": ("", " MB"), "gb": ("", " GB"),
          "percent": ("", " %"), "h": ("", " h"), "s": ("", " s")}  # fmt: skip


class Relax(Strict):
    """A change of an answer that helps to keep the rule from firing."""

    field: str = Field(description="Path of a requirement, such as traffic.request_mb.")
    to: str = Field(description="CEL expression that gives its new value.")
    when: str | None = Field(None, description="CEL condition; left out: always.")


class Rule(Strict):
    """One rule. Filters are narrowed by each other; without any the rule is for all options."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)
    kind: RuleKind = Field(
        description="forbid (or exclude): rules out where `when` holds. require: rules out where "
        "`that` does not hold. cap: rules out where `figure` is above `at_most`. prefer: adds or "
        "takes points. warn: a sentence beside the option."
    )
    phase: Literal["need", "plan"] = Field(
        "need",
        description="need: asked before sizing. plan: asked once sized and priced (a cap on a "
        "figure of the plan always is).",
    )
    options: tuple[str, ...] = Field((), description="Option ids.")
    kinds: tuple[Kind, ...] = Field((), description="managed, self-hosted")
    clouds: tuple[Cloud, ...] = Field((), description="aws, gcp, azure, kubernetes, own-hardware")
    except_: tuple[str, ...] = Field((), alias="except", description="Option ids left out.")
    when: str = Field(
        "true",
        max_length=MAX_EXPRESSION,
        description="CEL condition over need.*, option.*, assume.* and plan.*; left out: always.",
    )
    that: str | None = Field(
        None,
        max_length=MAX_EXPRESSION,
        description="require only: CEL condition that has to hold.",
    )
    figure: str | None = Field(
        None, description="cap only: a number field, such as plan.monthly_usd."
    )
    at_most: float | None = Field(None, description="cap only: the highest value allowed.")
    because: str = Field(
        "",
        max_length=500,
        description="Sentence for people, with {need.request_mb} and the like; a cap has one of "
        "its own when it is left out.",
    )
    source: str = Field("", description="A source of sources.yaml, fact:<name>, or free text.")
    points: float = Field(0.0, ge=-1, le=1, description="prefer only: for (+) or against (-).")
    criterion: Criterion | None = Field(None, description="prefer only: what it is about.")
    relax: tuple[Relax, ...] = Field(
        (),
        description="Where a rule rules out: changes which, made together, keep it from firing.",
    )

    @model_validator(mode="before")
    @classmethod
    def _caps_of_a_plan_wait_for_it(cls, data: Any) -> Any:
        if isinstance(data, dict) and str(data.get("figure") or "").startswith("plan."):
            return {"phase": "plan", **data}
        return data

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Rule:
        given = {
            "points": self.points != 0,
            "criterion": self.criterion is not None,
            "relax": bool(self.relax),
            "that": self.that is not None,
            "figure": self.figure is not None,
            "at_most": self.at_most is not None,
        }
        for name, is_given in given.items():
            if is_given and self.kind not in _BELONGS_TO[name]:
                raise ValueError(f"a rule of kind {self.kind} cannot have {_said(name)}")
        for name in _NEEDED.get(self.kind, ()):
            if not given[name]:
                raise ValueError(f"a rule of kind {self.kind} needs {_said(name, needed=True)}")
        if not self.because.strip() and self.kind != "cap":
            raise ValueError("because is missing; say in a sentence why")
        if _CONTROL.search(self.because + self.source):
            raise ValueError("because or source holds a control character; write plain text")
        return self

    @property
    def excludes(self) -> bool:
        """Whether an option for which it fires is ruled out."""
        return self.kind in EXCLUDING

    @property
    def condition(self) -> str:
        """The CEL condition under which it fires; a line of its own for each part, so that a
        comment in one ends there."""
        if self.kind == "require":
            return f"({self.when}\n) && !({self.that}\n)"
        if self.kind == "cap":
            return f"({self.when}\n) && {self.figure} > {self.at_most!r}"
        return self.when

    @property
    def sentence(self) -> str:
        """The template of its reason."""
        if self.kind == "cap" and not self.because.strip():
            name, before, after = _unit_of(str(self.figure).split(".")[-1])
            return (
                f"{name} {before}{{{self.figure}}}{after} > cap of "
                f"{before}{plain(float(self.at_most or 0))}{after}"
            )
        return self.because

    def applies_to(self, option: Option) -> bool:
        """Whether the filters let the option through."""
        return (
            (not self.options or option.id in self.options)
            and (not self.kinds or option.kind in self.kinds)
            and (not self.clouds or option.cloud in self.clouds)
            and option.id not in self.except_
        )


class PolicyFile(Strict):
    """A file of rules under a name that is shown in the reasons."""

    name: str = Field(
        "", max_length=80, description="Shown in the reasons; left out: the name of the file."
    )
    rules: tuple[Rule, ...] = Field(min_length=1, max_length=MAX_RULES)

    @model_validator(mode="after")
    def _plain_name(self) -> PolicyFile:
        if _CONTROL.search(self.name) or "\n" in self.name:
            raise ValueError("name holds a control character; write one line of plain text")
        return self


@dataclass(frozen=True)
class PolicyText:
    """A policy that came as text (pasted, uploaded) and not as a file of this machine."""

    name: str
    text: str


def read_rules(path: Path) -> PolicyFile:
    """A rule file. Raises RuleError naming the file, the rule and what is wrong with it."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RuleError(f"{path.name} is larger than 1 MB; rules are a few lines each")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RuleError(f"cannot read {path}: {error.strerror}; name a YAML file") from None
    except UnicodeDecodeError:
        raise RuleError(f"{path.name} is not UTF-8 text; save it as YAML") from None
    return parse_rules(text, path.name)


def parse_rules(text: str, name: str) -> PolicyFile:
    """Rules from text; `name` is what a reader knows it by. Raises RuleError as read_rules does."""
    if len(text.encode(errors="replace")) > MAX_FILE_BYTES:
        raise RuleError(f"{name} is larger than 1 MB; rules are a few lines each")
    read = read_yaml(text, name)
    if read.data is None:
        raise RuleError(f"{name} is empty; write rules: and a list of them below")
    if not isinstance(read.data, dict):
        raise RuleError(
            f"{name} is a {type(read.data).__name__}, not a mapping; write rules: and a list below"
        )
    try:
        policy = PolicyFile.model_validate(read.data)
    except ValidationError as error:
        raise RuleError(f"{name}: {first_problem(error, read)}") from None
    return policy if policy.name else policy.model_copy(update={"name": Path(name).stem})


def _said(name: str, *, needed: bool = False) -> str:
    if name == "points" and needed:
        return "points other than 0"
    return (
        f"a {name}" if name in ("criterion", "figure") else f"{name!r}" if name == "that" else name
    )


def _unit_of(field: str) -> tuple[str, str, str]:
    """Words, and what stands before and after the number: p95_ms is ("p95", "", " ms")."""
    words = field.split("_")
    before, after = _UNITS.get(words[-1], ("", ""))
    kept = words[:-1] if len(words) > 1 and words[-1] in _UNITS else words
    return " ".join(kept), before, after
