"""Requirements and plans to try rules on: the values around the rules' own constants.

Everything is in a fixed order and of a fixed number, so the same rules give the same report.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np

from advisor.catalog.loader import load_options
from advisor.catalog.schema import Option
from advisor.errors import InputError
from advisor.prices import load_book
from advisor.requirements import ControlLevel, Mode, Pattern, Skill, parse
from advisor.rule_fields import PLAN, PlanFacts, answers, thresholds
from advisor.rule_file import Rule
from advisor.rule_values import need_values
from advisor.workload import Workload, resolve

Answers = Mapping[str, Any]  # by path, what differs from BASE

BASE: Answers = {
    "model.format": "onnx", "model.size_mb": 120.0, "model.memory_mb": 600.0,
    "model.service_time_ms": 20.0, "traffic.mode": "realtime",
    "traffic.requests_per_month": 2_000_000.0, "service.p95_ms": 500.0,
}  # fmt: skip
MOST_VALUES = 14  # of one answer
MOST_COMBINATIONS = 1500  # of the answers that a rule names
MOST_PAIR_ROWS = 240
SEED = 20260301
BELOW, ABOVE = 0.99, 1.0001  # of a constant: the values tried beside it; 99.99 % has one above

_NEED = re.compile(r"\bneed\.([a-z0-9_]+)")
_OPTION = re.compile(r"\boption\.([a-z0-9_]+)")
_ASSUME = re.compile(r"\bassume\.([a-z0-9_]+)")
_PLAN = re.compile(r"\bplan\.([a-z0-9_]+)")
_LITERAL = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(?![\w.])")
_TEXT = re.compile(r"'([^']*)'|\"([^\"]*)\"")
# Figures that rise with the volume, so that a volume reaches any value of them.
_BY_VOLUME = frozenset(
    {"mean_per_s", "peak_per_s", "peak_mb_per_s", "requests_per_day", "concurrency_peak",
     "busy_percent", "work_vcpu_hours", "run_vcpu_hours"}
)  # fmt: skip
_FOLLOWS = {"skill_rank": "team.devops_skill", "level_rank": "control.level",
            "peak_to_mean": "traffic.pattern"}  # fmt: skip
_RATIOS = {"utilisation": 1.0, "cold_start_share": 1.0}  # never above
_WHOLE_PLAN = frozenset({"replicas_min", "replicas_max", "gpu_cards"})
_PLAN_START: Mapping[str, tuple[Any, ...]] = {
    "p95_ms": (120.0, None), "min_p95_ms": (60.0, None), "monthly_usd": (150.0, 1e7, None),
    "total_monthly_usd": (600.0, 2e7), "replicas_min": (1, 2), "replicas_max": (3, 500),
    "memory_mb": (4096.0, 2e6), "vcpu": (2.0, 256.0), "utilisation": (0.4, 0.69, 0.9),
    "cold_start_share": (0.0, 0.02, 0.5), "finish_h": (None, 2.0, 1000.0),
    "replica_hours": (1460.0,), "machine": ("m5.large",), "gpu_cards": (1, 4),
    "infeasible_because": ("", "no machine keeps the target"),
}  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """Answers that a person could give, and figures that a plan could have."""

    answers: Answers
    plan: PlanFacts

    @property
    def work(self) -> Workload:
        return _work(tuple(sorted(self.answers.items(), key=lambda item: item[0])))


def probe(given: Answers, plan: PlanFacts | None = None) -> Probe | None:
    """A probe, or None where the answers contradict each other."""
    made = Probe(given, plan or plain_plan())
    try:
        made.work  # noqa: B018 - resolved once here
    except InputError:
        return None
    return made


def plain_plan() -> PlanFacts:
    """A plan of which nothing is remarkable."""
    return PlanFacts(**{name: values[0] for name, values in _PLAN_START.items()})


def around(rule: Rule) -> Iterator[Probe]:
    """Probes on which the rule may fire: every combination of values around its constants, for
    each cloud that it is asked of; a fixed sample where there are too many."""
    options = [o for o in load_options().values() if rule.applies_to(o)]
    need = answer_values(rule, options)
    plan = plan_figures(rule, options)
    axes: list[Sequence[tuple[str, Any]]] = [[(p, v) for v in vs] for p, vs in need.items()]
    axes += [[(f"plan.{n}", v) for v in vs] for n, vs in plan.items()]
    # What the rule does not name is as usual, and in every other probe nothing runs in between.
    usual = itertools.cycle((plain_plan(), replace(plain_plan(), replicas_min=0)))
    for place in _places(options):
        for combination in _combinations(axes):
            chosen = dict(combination)
            given = {p: v for p, v in chosen.items() if not p.startswith("plan.")}
            facts = {p.removeprefix("plan."): v for p, v in chosen.items() if p.startswith("plan.")}
            made = probe({**place, **given}, replace(next(usual), **facts))
            if made is not None:
                yield made


def everywhere(rules: Sequence[Rule]) -> Iterator[Probe]:
    """Probes for all rules together: each pair of typical values of the answers they name."""
    options = list(load_options().values())
    values: dict[str, list[Any]] = {}
    figures: dict[str, list[Any]] = {}
    for rule in rules:
        for path, found in answer_values(rule, options).items():
            values.setdefault(path, []).extend(found)
        for name, found in plan_figures(rule, options).items():
            figures.setdefault(name, []).extend(found)
    typical = {path: _spread(found, 5) for path, found in values.items() if found}
    facts = {name: _spread(found, 4) for name, found in figures.items() if found}
    places = _places(options)
    random = np.random.default_rng(SEED)
    for i in range(MOST_PAIR_ROWS):
        # Few answers move at a time, or nearly every row would be ruled out by something.
        moved = random.random(len(typical)) < (0.1, 0.3, 0.6)[i % 3]
        given = {
            path: found[int(random.integers(len(found)))]
            for (path, found), moves in zip(typical.items(), moved, strict=True)
            if moves
        }
        plan = {name: found[int(random.integers(len(found)))] for name, found in facts.items()}
        made = probe({**places[i % len(places)], **given}, replace(plain_plan(), **plan))
        if made is not None:
            yield made


def answer_values(rule: Rule, options: Sequence[Option]) -> dict[str, list[Any]]:
    """For each answer that the rule rests on, the values to try, by path."""
    text = _text(rule)
    numbers = _constants(rule, options)
    out: dict[str, list[Any]] = {}
    for name in dict.fromkeys(_NEED.findall(text)):
        bare = name.removesuffix("_known") if name not in answers() else name
        if bare in _BY_VOLUME:
            base = float(str(need_values(_work(()))[f"need.{bare}"]))
            volume = float(BASE["traffic.requests_per_month"])
            reached = [volume * n / base for n in numbers if n > 0]
            _add(out, "traffic.requests_per_month", _beside(reached))
        elif bare in _FOLLOWS:
            _add(out, _FOLLOWS[bare], _choices_of(_FOLLOWS[bare]))
        elif bare in answers():
            _add(out, answers()[bare].path, _values_of(bare, rule, numbers))
    if any(name.startswith("regions") for name in _OPTION.findall(text)):
        _add(out, "placement.regions", [(region,) for region in _regions(options)])
        _add(out, "control.data_residency", [None, "eu", "us"])
    if "weeks_needed" in text:
        _add(out, "team.devops_skill", _choices_of("team.devops_skill"))
    if "image_gb" in text:
        _add(out, "model.size_mb", [120.0, 5000.0, 9000.0, 10_000.0, 20_000.0])
    out.setdefault("traffic.mode", [mode.value for mode in Mode])
    return out


def plan_figures(rule: Rule, options: Sequence[Option]) -> dict[str, list[Any]]:
    """For each figure of the plan that the rule names, the values to try."""
    names = dict.fromkeys(n.removesuffix("_known") for n in _PLAN.findall(_text(rule)))
    numbers = _constants(rule, options)
    out: dict[str, list[Any]] = {}
    for name in names:
        if name in ("infeasible", "infeasible_because"):
            out["infeasible_because"] = list(_PLAN_START["infeasible_because"])
            continue
        if name == "total_vcpu":
            out["vcpu"] = list(_PLAN_START["vcpu"])
            out["replicas_max"] = [1, 3, 500]
            continue
        percent = name.removesuffix("_percent")
        of_share = {"utilisation": "utilisation", "cold_start": "cold_start_share"}.get(percent)
        field = of_share if name.endswith("_percent") and of_share else name
        if PLAN.get(field) == "text":
            texts = [a or b for a, b in _TEXT.findall(_text(rule))]
            out[field] = list(dict.fromkeys([*_PLAN_START.get(field, ("", "noted")), *texts]))
            continue
        scale = 0.01 if field != name else 1.0
        found = [*_PLAN_START.get(field, ()), *_beside([n * scale for n in numbers])]
        top = _RATIOS.get(field, math.inf)
        kept = [v for v in found if not isinstance(v, float) or v <= top]
        if field in _WHOLE_PLAN:
            kept = [v if isinstance(v, int) else math.ceil(v) for v in kept if v is not None]
        out[field] = list(dict.fromkeys(kept))[:MOST_VALUES]
    known = {f.name for f in fields(PlanFacts)}
    return {name: values for name, values in out.items() if name in known}


def said(given: Answers) -> dict[str, Any]:
    """The answers of a probe that differ from the base, for people."""
    return {
        path: list(value) if isinstance(value, tuple) else value
        for path, value in sorted(given.items())
        if BASE.get(path) != value
    }


@cache
def _work(given: tuple[tuple[str, Any], ...]) -> Workload:
    data: dict[str, dict[str, Any]] = {}
    for path, value in (BASE | dict(given)).items():  # type: ignore[operator]
        section, name = path.split(".")
        data.setdefault(section, {})[name] = value
    if data["model"].get("gpu_memory_gb") is not None:
        data["model"]["gpu"] = True
    return resolve(parse(data))


def _text(rule: Rule) -> str:
    return rule.condition


def _constants(rule: Rule, options: Sequence[Option]) -> list[float]:
    """Numbers that the rule compares with: its own, those of assumptions.yaml, those of facts."""
    text = _text(rule)
    literals = [float(n) for n in _LITERAL.findall(_TEXT.sub("", text))]
    named = [thresholds()[n] for n in _ASSUME.findall(text) if n in thresholds()]
    facts = {
        option.number(name)
        for name in _OPTION.findall(text)
        for option in options
        if name in option.facts and type(option.facts[name].value) in (int, float)
    }
    finite = sorted(f for f in facts if math.isfinite(f))
    spread = _spread(finite, 5)
    times = [f * n for f in spread for n in literals if n > 1]
    return list(dict.fromkeys([*literals, *named, *spread, *times]))


def _values_of(name: str, rule: Rule, numbers: Sequence[float]) -> list[Any]:
    answer = answers()[name]
    if answer.type == "flag":
        return [False, True]
    if answer.choices or answer.path == "traffic.pattern":
        return _choices_of(answer.path)
    texts = [a or b for a, b in _TEXT.findall(_text(rule))]
    if answer.type == "list":
        return [(r,) for r in dict.fromkeys(load_book().default_region(c) for c in
                ("aws", "gcp", "azure"))]  # fmt: skip
    if answer.type == "text":
        near = ["eu", "us"] if name == "data_residency" else []
        return [None, *dict.fromkeys([*texts, *near])]
    start = [BASE[answer.path]] if answer.path in BASE else ([None] if answer.optional else [])
    found: list[Any] = _beside(numbers) or [1.0, 1000.0]
    if answer.optional:
        found += [0.01, 100.0]
    if answer.whole:
        found = [max(1, math.floor(v)) for v in found] + [math.ceil(v) for v in found]
    return list(dict.fromkeys([*start, *found]))[: 2 * MOST_VALUES]


def _choices_of(path: str) -> list[Any]:
    known: Mapping[str, Sequence[Any]] = {
        "traffic.pattern": [p.value for p in Pattern],
        "team.devops_skill": [s.value for s in Skill],
        "control.level": [v.value for v in ControlLevel],
        "placement.clouds": [("aws",), ("gcp",), ("azure",), ("kubernetes",), ("own-hardware",)],
    }
    if path in known:
        return list(known[path])
    return list(next(a.choices for a in answers().values() if a.path == path))


def _beside(values: Sequence[float]) -> list[float]:
    """Each value, and one just below and just above it."""
    out: list[float] = []
    for value in values:
        out += [value * BELOW, value, value * ABOVE] if value else [0.0, 1.0]
    return list(dict.fromkeys(out))


def _places(options: Sequence[Option]) -> list[dict[str, Any]]:
    """One place for each cloud of the options, with its default region."""
    out = []
    for cloud in dict.fromkeys(option.cloud.value for option in options):
        place: dict[str, Any] = {"placement.clouds": (cloud,)}
        if cloud in ("aws", "gcp", "azure"):
            place["placement.regions"] = (load_book().default_region(cloud),)
        else:
            place |= {"placement.node_hourly_usd": 0.2, "placement.clouds": (cloud, "aws")}
        out.append(place)
    return out


def _regions(options: Sequence[Option]) -> list[str]:
    clouds = {option.cloud.value for option in options}
    book = load_book()
    return sorted(r.region for r in book.known_regions if r.cloud in clouds)


def _combinations(axes: Sequence[Sequence[tuple[str, Any]]]) -> Iterator[tuple[Any, ...]]:
    count = math.prod(len(axis) for axis in axes)
    if count <= MOST_COMBINATIONS:
        yield from itertools.product(*axes)
        return
    random = np.random.default_rng(SEED)
    for _ in range(MOST_COMBINATIONS):
        yield tuple(axis[int(random.integers(len(axis)))] for axis in axes)


def _spread(values: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the values, evenly chosen from the lowest to the highest."""
    distinct = list(dict.fromkeys(values))
    try:
        distinct.sort(key=lambda v: (v is not None, v))
    except TypeError:
        distinct.sort(key=str)
    if len(distinct) <= most:
        return distinct
    return [distinct[round(i * (len(distinct) - 1) / (most - 1))] for i in range(most)]


def _add(out: dict[str, list[Any]], path: str, values: Sequence[Any]) -> None:
    out[path] = list(dict.fromkeys([*out.get(path, []), *values]))
