"""The values of the fields that rules may speak of, for a workload, an option and a plan."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from typing import Any

import numpy as np

from advisor.by_identity import ByIdentity
from advisor.catalog import loader, residency
from advisor.catalog.schema import Estimate, Option
from advisor.memo import Memo, Same
from advisor.requirements import ControlLevel, Section, Skill
from advisor.rule_fields import (
    CUSTOM_PATTERN,
    PLAN,
    FieldType,
    PlanFacts,
    Value,
    answers,
    level_names,
    optional_plan_fields,
    thresholds,
)
from advisor.volumes import Volumes
from advisor.workload import Workload

_SKILLS, _LEVELS = tuple(Skill), tuple(ControlLevel)
# Fields that change with every other volume; what looks at none of them is asked much less often.
OF_VOLUME = frozenset(
    f"need.{name}"
    for name in (
        "requests_per_month", "peak_requests_per_second", "mean_per_s", "peak_per_s",
        "peak_to_mean", "peak_mb_per_s",
        "requests_per_day", "concurrency_peak", "busy_percent", "work_vcpu_hours", "run_vcpu_hours",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Values:
    """Values of fields by name, as rules see them and so that they can be compared and hashed."""

    plain: Mapping[str, Value]
    comparable: Mapping[str, Hashable]


# Of no price book: where a region lies does not change with its prices.
_MATCHED: Memo[Values] = Memo()
_NEEDS = "need values"  # what a workload keeps them under


def need_values(work: Workload) -> Mapping[str, Value]:
    """The values of `need.*` and `assume.*`."""
    return of_need(work).plain


def of_need(work: Workload) -> Values:
    """`need_values`, kept for as long as the workload lives."""
    kept: Values | None = work.kept.get(_NEEDS)
    if kept is None:
        kept = work.kept[_NEEDS] = _need_values(work)
    return kept


def values_of(plain: Mapping[str, Value]) -> Values:
    comparable: dict[str, Hashable] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()
    }
    return Values(plain, comparable)


def option_values(option: Option) -> dict[str, Value]:
    """The values of `option.*` that are the same for every workload."""
    out: dict[str, Value] = {
        "option.id": option.id,
        "option.name": option.name,
        "option.kind": option.kind,
        "option.cloud": option.cloud.value,
        "option.machines": option.machines,
        "option.scaling": option.scaling,
        "option.modes": [m.value for m in option.modes],
        "option.formats": [f.value for f in option.formats],
    }
    for name, column in loader.fact_kinds().items():
        fact = option.facts.get(name)
        value = fact.value if fact else None
        match column.type:
            case "number":
                known = isinstance(value, (int, float))
                out[f"option.{name}"] = option.number(name) if known else math.inf
                out[f"option.{name}_known"] = known
            case "estimate":
                spread = value if isinstance(value, Estimate) else None
                out[f"option.{name}"] = spread.expected if spread else math.inf
                out[f"option.{name}_low"] = spread.low if spread else math.inf
                out[f"option.{name}_high"] = spread.high if spread else math.inf
            case "flag":
                out[f"option.{name}"] = value is True
            case "text":
                out[f"option.{name}"] = str(value or "")
            case "list":
                out[f"option.{name}"] = list(value) if isinstance(value, tuple) else []
    return out | {f"option.level_{name}": option.level(name) for name in level_names()}


def matched_values(option: Option, work: Workload) -> Mapping[str, Value]:
    """The values of `option.*` that depend on the workload as well.

    Raises InputError for a region that no cloud has.
    """
    return of_match(option, work).plain


def of_match(option: Option, work: Workload) -> Values:
    """`matched_values`, remembered as `advisor.memo` says. Raises as they do."""
    return _MATCHED.get(Same(option), work, lambda work: values_of(_matched_values(option, work)))


def _matched_values(option: Option, work: Workload) -> dict[str, Value]:
    need = work.need
    asked = residency.asked_regions(option, need.placement)
    _, setup = loader.people().hours(
        option, need.team.devops_skill, need.placement.existing_cluster
    )  # fmt: skip
    per_week = thresholds()["setup_hours_per_week"]
    call_s = option.number("max_invocation_s") if "max_invocation_s" in option.facts else math.inf
    return {
        "option.image_gb": option.image_mb(need.model, need.control.models_per_endpoint) / 1024,
        "option.call_vcpu_hours": option.number("max_vcpu") * call_s / 3600,
        "option.weeks_needed": max(
            loader.people().launch_weeks(option, need.placement.existing_cluster),
            setup.expected / per_week,
        ),
        "option.regions_asked": list(asked),
        "option.regions_resident": [r for r in asked if residency.is_resident(r, need)],
        "option.regions_usable": list(residency.usable_regions(option, need)),
        "option.region_instead": residency.region_instead(option, need),
        "option.regions_by_name_alone": [
            r for r in asked if residency.is_resident_by_name_alone(r, need)
        ],
    }


def plan_values(plan: PlanFacts) -> dict[str, Any]:
    """The values of `plan.*`; arrays where the facts of many plans are given as such."""
    out: dict[str, Any] = {
        "plan.infeasible": plan.infeasible,
        "plan.infeasible_because": plan.infeasible_because,
        "plan.machine": plan.machine,
        "plan.purchase": plan.purchase,
        "plan.purchase_note": plan.purchase_note,
        "plan.utilisation_percent": plan.utilisation * 100,
        "plan.cold_start_percent": plan.cold_start_share * 100,
    }
    for name, kind in PLAN.items():
        if kind == "number" and f"plan.{name}" not in out:
            value = getattr(plan, name)
            if not isinstance(value, np.ndarray):  # many plans at once
                value = math.nan if value is None else float(value)
            out[f"plan.{name}"] = value
    for name in optional_plan_fields():
        out[f"plan.{name}_known"] = getattr(plan, name) is not None
    return out


def _need_values(work: Workload) -> Values:
    need = work.need
    # Numbers and texts compare as they are: only sections have lists.
    same = {**_assumed(), **{f"need.{name}": value for name, value in _derived(work).items()}}
    plain: dict[str, Value] = {}
    comparable: dict[str, Hashable] = {}
    for section in _by_section():
        given = _SECTIONS.get(getattr(need, section), partial(_given, section))
        plain |= given.plain
        comparable |= given.comparable
    return Values(plain | same, comparable | same)


@cache
def _assumed() -> Mapping[str, float]:
    return {f"assume.{name}": value for name, value in thresholds().items()}


@cache
def _by_section() -> Mapping[str, tuple[tuple[str, str, bool, FieldType], ...]]:
    """Of each section (name of the rules, field, whether it may be left out, type)."""
    out: dict[str, list[tuple[str, str, bool, FieldType]]] = {}
    for name, answer in answers().items():
        section, field = answer.path.split(".")
        out.setdefault(section, []).append((name, field, answer.optional, answer.type))
    return {section: tuple(each) for section, each in out.items()}


_SECTIONS: ByIdentity[Section, Values] = ByIdentity()


def _given(section: str, given: Section) -> Values:
    out: dict[str, Value] = {}
    for name, field, optional, kind in _by_section()[section]:
        value = getattr(given, field)
        if optional:
            out[f"need.{name}_known"] = value is not None
        out[f"need.{name}"] = _plain(value, kind)
    return values_of(out)


def each_volume(volumes: Volumes) -> dict[str, list[float]]:
    """The values of the fields in `OF_VOLUME`, one a volume, by the formulas of a single one."""
    count = len(volumes)
    out = {
        f"need.{name}": np.broadcast_to(value, (count,)).tolist()
        for name, value in _derived(volumes).items()
        if f"need.{name}" in OF_VOLUME
    }
    peaks = [work.need.traffic.peak_requests_per_second for work in volumes.works]
    out["need.peak_requests_per_second"] = [math.inf if p is None else p for p in peaks]
    out["need.requests_per_month"] = volumes.requests.tolist()
    return out


def _derived(work: Workload | Volumes) -> dict[str, Any]:
    need, peak, mean = work.need, work.peak_per_s, work.mean_per_s
    traffic = need.traffic
    busy = mean * work.service_time_ms / 1000
    return {
        "service_time_ms": work.service_time_ms,
        "max_processing_s": work.max_processing_s,
        "mean_per_s": mean,
        "peak_per_s": peak,
        "peak_to_mean": work.peak_to_mean,
        "peak_mb_per_s": peak * (traffic.request_mb + traffic.response_mb),
        "requests_per_day": mean * 86_400,
        "concurrency_peak": work.concurrency_peak,
        "busy_percent": busy * 100,
        "work_vcpu_hours": work.work_vcpu_hours,
        "run_vcpu_hours": busy * 24,  # of one night's run
        "skill_rank": float(_SKILLS.index(need.team.devops_skill)),
        "level_rank": float(_LEVELS.index(need.control.level)),
    }


def _plain(value: Any, kind: FieldType) -> Value:
    if value is None:
        return math.inf if kind == "number" else ("" if kind == "text" else [])
    if kind == "number":
        return float(value)
    if kind == "flag":
        return bool(value)
    if kind == "list":
        return [_text(part) for part in value]
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return CUSTOM_PATTERN
    return str(value.value if isinstance(value, Enum) else value)
