"""The shape of a rule file: the built-in rules, and the policies that a team adds on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from advisor.catalog.loader import QUICK_LOADER
from advisor.catalog.schema import Kind, Option, Strict
from advisor.errors import RuleError
from advisor.requirements import Cloud

MAX_FILE_BYTES = 1_000_000
FACT_SOURCE = "fact:"  # "fact:max_request_mb" cites what the option's own fact cites

Criterion = Literal[
    "cost", "latency", "control", "operations", "launch", "portability", "elasticity", "resilience",
]  # fmt: skip


class Relax(Strict):
    """A change of an answer that helps to keep the rule from firing."""

    field: str = Field(description="Path of a requirement, such as traffic.request_mb.")
    to: str = Field(description="CEL expression that gives its new value.")
    when: str | None = Field(None, description="CEL condition; left out: always.")


class Rule(Strict):
    """One rule. Filters are narrowed by each other; without any the rule is for all options."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)
    kind: Literal["exclude", "warn", "prefer"]
    phase: Literal["need", "plan"] = Field(
        "need", description="need: asked before sizing. plan: asked once sized and priced."
    )
    options: tuple[str, ...] = Field((), description="Option ids.")
    kinds: tuple[Kind, ...] = Field((), description="managed, self-hosted")
    clouds: tuple[Cloud, ...] = Field((), description="aws, gcp, azure, kubernetes, own-hardware")
    except_: tuple[str, ...] = Field((), alias="except", description="Option ids left out.")
    when: str = Field(description="CEL condition over need.*, option.*, assume.* and plan.*.")
    because: str = Field(
        min_length=1, description="Sentence for people, with {need.request_mb} and the like."
    )
    source: str = Field("", description="A source of sources.yaml, fact:<name>, or free text.")
    points: float = Field(0.0, ge=-1, le=1, description="prefer only: for (+) or against (-).")
    criterion: Criterion | None = Field(None, description="prefer only: what it is about.")
    relax: tuple[Relax, ...] = Field(
        (), description="exclude only: changes which, made together, keep it from firing."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Rule:
        if (self.kind == "prefer") != (self.points != 0):
            wants = "needs points other than 0" if self.kind == "prefer" else "cannot have points"
            raise ValueError(f"a rule of kind {self.kind} {wants}")
        if self.kind != "exclude" and self.relax:
            raise ValueError(f"a rule of kind {self.kind} cannot have relax")
        if self.kind != "prefer" and self.criterion:
            raise ValueError(f"a rule of kind {self.kind} cannot have a criterion")
        return self

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
    rules: tuple[Rule, ...] = Field(min_length=1)


def read_rules(path: Path) -> PolicyFile:
    """A rule file. Raises RuleError naming the file, the rule and what is wrong with it."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RuleError(f"{path.name} is larger than 1 MB; rules are a few lines each")
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=QUICK_LOADER)  # noqa: S506 - safe
    except OSError as error:
        raise RuleError(f"cannot read {path}: {error.strerror}; name a YAML file") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, RuleError):
            raise
        where = " ".join(str(error).split())[:200]
        raise RuleError(f"{path.name} is not valid YAML: {where}; correct it") from None
    try:
        read = PolicyFile.model_validate(data)
        return read if read.name else read.model_copy(update={"name": path.stem})
    except ValidationError as error:
        raise RuleError(f"{path.name}: {_first_problem(error, data)}") from None


def _first_problem(error: ValidationError, data: Any) -> str:
    first = error.errors()[0]
    loc = list(first["loc"])
    rule = ""
    if len(loc) >= 2 and loc[0] == "rules" and isinstance(loc[1], int):
        written = data["rules"][loc[1]]
        known = written.get("id") if isinstance(written, dict) else None
        rule = f"rule {known!r}: " if known else f"rule number {loc[1] + 1}: "
        loc = loc[2:]
    where = ".".join(str(part) for part in loc)
    said = first["msg"].removeprefix("Value error, ")
    value = repr(first["input"])
    given = f" ({value[:60]})" if not isinstance(first["input"], (dict, list)) else ""
    return f"{rule}{where + ': ' if where else ''}{said[:1].lower() + said[1:]}{given}"
