"""What rules may speak of: every answer, fact and plan figure as a flat, typed field.

`need.*` are the answers and what follows from them, `option.*` the comparison table, `plan.*` the
sized and priced plan, `assume.*` the thresholds in `catalog/assumptions.yaml`. A number that was
left out, or a limit that nobody published, is infinite and has `<name>_known` false; an unknown
figure of a plan is NaN, so that no comparison with it holds.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from advisor.catalog import loader
from advisor.recommendation import Range
from advisor.requirements import Cloud, Mode, ModelFormat, Pattern, Requirements
from advisor.sizing.sized import Sized, Term

FieldType = Literal["number", "flag", "text", "list"]
Value = float | bool | str | list[str]

CUSTOM_PATTERN = "custom"

# What follows from the answers; the first two are answers that are resolved first.
_DERIVED: Mapping[str, FieldType] = {
    "service_time_ms": "number",
    "max_processing_s": "number",
    "mean_per_s": "number",
    "peak_per_s": "number",
    "peak_to_mean": "number",
    "peak_mb_per_s": "number",
    "requests_per_day": "number",
    "concurrency_peak": "number",
    "busy_percent": "number",
    "work_vcpu_hours": "number",
    "run_vcpu_hours": "number",
    "skill_rank": "number",
    "level_rank": "number",
}
_OPTION: Mapping[str, FieldType] = {
    "id": "text",
    "name": "text",
    "kind": "text",
    "cloud": "text",
    "machines": "text",
    "scaling": "text",
    "modes": "list",
    "formats": "list",
    # of the option for this workload
    "image_gb": "number",
    "call_vcpu_hours": "number",
    "weeks_needed": "number",
    "regions_asked": "list",
    "regions_resident": "list",
    "regions_usable": "list",
    "regions_by_name_alone": "list",
    "region_instead": "text",
}
PLAN: Mapping[str, FieldType] = {
    "p95_ms": "number",
    "min_p95_ms": "number",
    "monthly_usd": "number",
    "total_monthly_usd": "number",
    "replicas_min": "number",
    "replicas_max": "number",
    "memory_mb": "number",
    "vcpu": "number",
    "total_vcpu": "number",
    "machine": "text",
    "utilisation": "number",
    "utilisation_percent": "number",
    "cold_start_share": "number",
    "cold_start_percent": "number",
    "finish_h": "number",
    "replica_hours": "number",
    "gpu_cards": "number",
    "infeasible": "flag",
    "infeasible_because": "text",
    "purchase": "text",
    "purchase_note": "text",
}


@dataclass(frozen=True)
class PlanFacts:
    """What rules of the plan phase look at; None where there is no such figure."""

    p95_ms: float | None = None
    min_p95_ms: float | None = None  # the best that any machine of the option gives
    monthly_usd: float | None = None  # cloud bill
    total_monthly_usd: float | None = None  # and people's time
    replicas_min: int = 0
    replicas_max: int = 0
    memory_mb: float | None = None
    vcpu: float | None = None
    machine: str = ""
    utilisation: float = 0.0
    cold_start_share: float = 0.0
    finish_h: float | None = None
    replica_hours: float = 0.0
    gpu_cards: int = 1  # that one copy of the model takes
    infeasible_because: str = ""
    purchase: Term = "on-demand"
    purchase_note: str = ""  # why it is not bought as was asked

    @property
    def infeasible(self) -> bool:
        return bool(self.infeasible_because)

    @property
    def total_vcpu(self) -> float | None:
        """vCPU of all replicas in the busiest hour."""
        return None if self.vcpu is None else self.vcpu * self.replicas_max

    @classmethod
    def of(
        cls,
        sized: Sized,
        monthly: Range | None = None,
        total: Range | None = None,
        purchase_note: str = "",
    ) -> PlanFacts:
        """The facts of a sized option, and of its bill where it has one (expected values)."""
        return cls(
            p95_ms=sized.p95_ms,
            min_p95_ms=sized.min_p95_ms,
            monthly_usd=monthly.expected if monthly else None,
            total_monthly_usd=total.expected if total else None,
            replicas_min=sized.replicas_min,
            replicas_max=sized.replicas_max,
            memory_mb=sized.memory_mb,
            vcpu=sized.vcpu,
            machine=sized.machine,
            utilisation=sized.utilisation,
            cold_start_share=sized.cold_start_share,
            finish_h=sized.finish_h,
            replica_hours=sized.replica_hours,
            gpu_cards=sized.gpu_cards,
            infeasible_because=sized.infeasible or "",
            purchase=sized.bought.term if sized.bought else "on-demand",
            purchase_note=purchase_note,
        )


@cache
def fields() -> Mapping[str, FieldType]:
    """Every field that a rule may name, with its type."""
    out: dict[str, FieldType] = {}
    for name, answer in answers().items():
        out[f"need.{name}"] = answer.type
        if answer.optional:
            out[f"need.{name}_known"] = "flag"
    out |= {f"need.{name}": kind for name, kind in _DERIVED.items()}
    out |= {f"option.{name}": kind for name, kind in _OPTION.items()}
    for name, column in loader.fact_kinds().items():
        match column.type:
            case "number":
                out |= {f"option.{name}": "number", f"option.{name}_known": "flag"}
            case "estimate":
                out |= {f"option.{name}{end}": "number" for end in ("", "_low", "_high")}
            case "flag" | "text" | "list":
                out[f"option.{name}"] = column.type
    out |= {f"option.level_{name}": "number" for name in level_names()}
    out |= {f"plan.{name}": kind for name, kind in PLAN.items()}
    out |= {f"plan.{name}_known": "flag" for name in optional_plan_fields()}
    out |= {f"assume.{name}": "number" for name in thresholds()}
    return types.MappingProxyType(out)


@cache
def known_texts() -> Mapping[str, frozenset[str]]:
    """The values that a text or list field can have, where they are few: a rule that compares
    with another one could never be true."""
    out = {
        f"need.{name}": frozenset(answer.choices)
        for name, answer in answers().items()
        if answer.choices
    }
    options = loader.load_options().values()
    return types.MappingProxyType(
        out
        | {
            "need.pattern": frozenset({p.value for p in Pattern} | {CUSTOM_PATTERN}),
            "option.id": frozenset(o.id for o in options),
            "option.kind": frozenset({"managed", "self-hosted"}),
            "option.cloud": frozenset(c.value for c in Cloud),
            "option.machines": frozenset(o.machines for o in options),
            "option.scaling": frozenset({"autoscaled", "fixed", "per-request", "job"}),
            "option.modes": frozenset(m.value for m in Mode),
            "option.formats": frozenset(f.value for f in ModelFormat),
            "plan.purchase": frozenset(get_args(Term)),
        }
    )


def answer_type(path: str) -> tuple[FieldType, bool, bool] | None:
    """Of a requirement by its path, "traffic.request_mb": (type, may be left out, is whole)."""
    for answer in answers().values():
        if answer.path == path:
            return answer.type, answer.optional, answer.whole
    return None


def answer_paths() -> tuple[str, ...]:
    """The paths of all answers that a rule may relax."""
    return tuple(answer.path for answer in answers().values())


@dataclass(frozen=True)
class Answer:
    """A requirement as a field: `whole` numbers have no decimals, `choices` are its only values."""

    path: str
    type: FieldType
    optional: bool
    whole: bool
    choices: tuple[str, ...]


@cache
def answers() -> Mapping[str, Answer]:
    """Field name (the answer's own, or section_answer where two sections share it) to answer."""
    found = [
        (section, name, field.annotation)
        for section, outer in Requirements.model_fields.items()
        if isinstance(outer.annotation, type) and issubclass(outer.annotation, BaseModel)
        for name, field in outer.annotation.model_fields.items()
    ]
    names = [name for _, name, _ in found]
    out: dict[str, Answer] = {}
    for section, name, annotation in found:
        path = f"{section}.{name}"
        answer = _answer(path, annotation)
        if answer is not None:
            out[name if names.count(name) == 1 else f"{section}_{name}"] = answer
    return out


def _answer(path: str, annotation: Any) -> Answer | None:
    parts = get_args(annotation) if _is_union(annotation) else (annotation,)
    optional = type(None) in parts
    inner = next(p for p in parts if p is not type(None))
    if get_origin(inner) is dict:
        return None
    if get_origin(inner) is tuple:
        return Answer(path, "list", optional, False, _choices(get_args(inner)[0]))
    if inner is bool:
        return Answer(path, "flag", optional, False, ())
    if inner in (int, float):
        return Answer(path, "number", optional, inner is int, ())
    return Answer(path, "text", optional, False, _choices(inner))


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _choices(kind: Any) -> tuple[str, ...]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(member.value) for member in kind)
    return ()


@cache
def thresholds() -> Mapping[str, float]:
    """The numbers of assumptions.yaml that rules may name as `assume.*`."""
    shared = loader.assumptions()
    return {
        name: float(row.value)
        for name, row in {**shared.defaults, **shared.thresholds}.items()
        if isinstance(row.value, float) and not isinstance(row.value, bool)
    }


def level_names() -> tuple[str, ...]:
    """Names of the levels, which rules name as `option.level_*`."""
    return tuple(next(iter(loader.load_options().values())).levels)


def optional_plan_fields() -> tuple[str, ...]:
    """Figures of a plan that may be missing."""
    return (
        "p95_ms",
        "min_p95_ms",
        "monthly_usd",
        "total_monthly_usd",
        "memory_mb",
        "vcpu",
        "finish_h",
    )
