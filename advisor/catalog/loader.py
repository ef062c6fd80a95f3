"""Reading the comparison table: each file once, checked whole, kept for the process."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from advisor.catalog.schema import LEVELS, Assumption, Estimate, Fact, FactKind, Option, Source
from advisor.catalog.shared import (
    AssumptionsFile,
    FactsFile,
    GeographiesFile,
    PeopleFile,
    WeightsFile,
)
from advisor.errors import CatalogError, InputError

FOLDER = Path(__file__).parent
OPTIONS = FOLDER / "options"

# The order of the options everywhere: managed before self-hosted, AWS before the others.
ORDER = (
    "sagemaker-realtime", "sagemaker-serverless", "sagemaker-async", "sagemaker-batch",
    "vertex-online", "vertex-batch", "azureml-online", "azureml-batch",
    "lambda-apigateway", "lambda-url", "ecs-fargate", "ecs-ec2", "eks", "ec2", "aws-batch",
    "kubernetes", "docker-host",
)  # fmt: skip

# libyaml reads the table ten times as fast as pure Python; both are safe loaders.
QUICK_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

File = TypeVar("File", bound=BaseModel)


@cache
def load_options() -> Mapping[str, Option]:
    """Every option by id, in the order in which they are shown; new ones come last.

    Raises CatalogError naming the file that is damaged.
    """
    found = {path.stem: path for path in OPTIONS.glob("*.yaml")}
    ids = [i for i in ORDER if i in found] + sorted(set(found) - set(ORDER))
    return MappingProxyType({i: load_option(found[i]) for i in ids})


def option(option_id: str) -> Option:
    """One option. Raises InputError naming the closest ids."""
    known = load_options()
    if option_id not in known:
        close = difflib.get_close_matches(option_id, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(close)}?" if close else f"use {', '.join(known)}"
        raise InputError(f"there is no option {option_id!r}; {hint}")
    return known[option_id]


def comparison_table() -> list[dict[str, Any]]:
    """All options x all facts, flat: a row for each, ready for a page, a CSV or a terminal.

    `value` is plain data (number, bool, text, list, or {low, expected, high}); `shown` is the
    value for people, without its unit.
    """
    kinds, groups = fact_kinds(), read(FOLDER / "facts.yaml", FactsFile).groups
    return [
        {
            "option": option.id,
            "name": option.name,
            "kind": option.kind,
            "cloud": option.cloud.value,
            "group": groups[kinds[name].group],
            "fact": name,
            "label": kinds[name].label,
            "value": fact.value.model_dump() if isinstance(fact.value, Estimate) else fact.value,
            "shown": fact.shown(),
            "unit": fact.unit,
            "confidence": fact.confidence,
            "source": fact.source,
            "checked": fact.checked.isoformat(),
            "note": fact.note,
        }
        for option in load_options().values()
        for name, fact in option.facts.items()
    ]


@cache
def fact_kinds() -> Mapping[str, FactKind]:
    """The columns of the comparison table, in their order."""
    return MappingProxyType(read(FOLDER / "facts.yaml", FactsFile).facts)


@cache
def sources() -> Mapping[str, Source]:
    """Every source by its key."""
    path = FOLDER / "sources.yaml"
    return MappingProxyType(
        {key: _validated(path, Source, row, key) for key, row in _yaml(path).items()}
    )


@cache
def assumptions() -> AssumptionsFile:
    """Shared figures, sku names, and the thresholds of the rules."""
    return read(FOLDER / "assumptions.yaml", AssumptionsFile)


@cache
def people() -> PeopleFile:
    """People's time: hours by option, skill factors, and what bounds them."""
    return read(FOLDER / "people.yaml", PeopleFile)


@cache
def weights() -> WeightsFile:
    """The levels of every option."""
    return read(FOLDER / "weights.yaml", WeightsFile)


@cache
def geographies() -> GeographiesFile:
    """Groups of countries that data residency may name."""
    return read(FOLDER / "geographies.yaml", GeographiesFile)


@cache
def cite(key: str) -> str:
    """The citation of a source. Raises CatalogError for a key that sources.yaml does not have."""
    try:
        return sources()[key].cite()
    except KeyError:
        raise CatalogError(f"sources.yaml has no source {key!r}; add it there") from None


def load_option(path: Path) -> Option:
    """One option file with what the shared files add to it.

    People's time and levels stand in people.yaml and weights.yaml, or in the option's own file
    under `people:` and `levels:`. Raises CatalogError.
    """
    raw = _yaml(path)
    shared, name = assumptions(), path.stem
    if raw.get("id") != name:
        raise CatalogError(f"{path.name} has the id {raw.get('id')!r}; call it {name!r}")
    hours = raw.get("people", people().options.get(name))
    levels = raw.get("levels", weights().levels.get(name))
    if hours is None or levels is None:
        missing = "people" if hours is None else "levels"
        raise CatalogError(f"option {name} has no {missing}; add {missing}: to {path.name}")
    own = {
        key: _validated(path, Assumption, row, f"assumptions.{key}")
        for key, row in (raw.get("assumptions") or {}).items()
    }
    facts = {key: _cited(path, key, row) for key, row in (raw.get("facts") or {}).items()}
    made = _validated(
        path,
        Option,
        raw
        | {
            "assumptions": {**shared.defaults, **own},
            "facts": facts,
            "levels": levels,
            "people": hours,
            "runtime_image": shared.runtime_image_mb,
            "skus": {},
        },
    )
    made = made.model_copy(update={"skus": dict(shared.skus.get(made.cloud, {}))})
    _check(made, path)
    return made


def read(path: Path, schema: type[File]) -> File:
    """A data file. Raises CatalogError naming the file and what is wrong in it."""
    return _validated(path, schema, _yaml(path))


def _cited(path: Path, name: str, row: Any) -> Fact:
    if not isinstance(row, dict) or "source" not in row:
        raise CatalogError(f"{path.name}: fact {name} has no source; name a key of sources.yaml")
    key = row["source"]
    cited = {"source_key": key, "source": cite(key), "also": [cite(k) for k in row.get("also", ())]}
    fact = _validated(path, Fact, row | cited, f"facts.{name}")
    kind = fact_kinds().get(name)
    if kind is None:
        raise CatalogError(f"{path.name}: {name} is not a fact of facts.yaml")
    if not _has_type(fact, kind):
        raise CatalogError(
            f"{path.name}: {name} is {fact.value!r}, not the {kind.type} that facts.yaml wants"
        )
    if fact.unit != (kind.unit or ""):
        raise CatalogError(
            f"{path.name}: {name} is in {fact.unit!r}, not in {kind.unit!r} as facts.yaml wants"
        )
    return fact


def _has_type(fact: Fact, kind: FactKind) -> bool:
    value = fact.value
    if value is None:
        return kind.type in ("number", "estimate") and bool(fact.text)
    if kind.type == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    wanted = {"flag": bool, "text": str, "list": tuple, "estimate": Estimate}[kind.type]
    return isinstance(value, wanted)


def _check(made: Option, path: Path) -> None:
    missing = [n for n, k in fact_kinds().items() if k.required and n not in made.facts]
    if missing:
        raise CatalogError(f"{path.name} lacks the facts {', '.join(missing)}; add them")
    if set(made.levels) != set(LEVELS):
        raise CatalogError(f"weights.yaml: {made.id} needs the levels {', '.join(LEVELS)}")
    for key in (a.source for a in made.assumptions.values()):
        cite(key)
    for key in (way.source for way in made.purchase):
        cite(key)


def _yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=QUICK_LOADER)  # noqa: S506 - safe
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogError(f"cannot read {path.name}: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise CatalogError(f"{path.name} holds {type(data).__name__}, not a mapping; restore it")
    return data


def _validated(path: Path, schema: type[File], data: Any, inside: str = "") -> File:
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        # Of a value that may be of several types, each type complains; say what is wrong with it.
        telling = ("value_error", "finite_number")
        problems = error.errors()
        first = next((p for p in problems if p["type"] in telling), problems[0])
        where = ".".join(str(part) for part in (inside, *first["loc"]) if part != "")
        raise CatalogError(f"{path.name}: {where}: {first['msg']}; correct it") from error
