"""How fast a machine is: CPU families, GPUs, serverless platforms, kinds of model, start times.

One reference runs through the product: a vCPU of an AWS m5 machine with nothing else running on its
core (for GPU models one NVIDIA A10G). `alone` is the speed of one thread on an otherwise idle
machine over that reference, `busy` the speed of one vCPU while all its neighbours work. A service
time on a machine is the reference time divided by a speed.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import overload

import numpy as np
from numpy.typing import NDArray

from advisor.errors import InputError
from advisor.sizing.performance_data import (
    Card,
    ClassRow,
    Confidence,
    Family,
    Seconds,
    class_rows,
    cold_starts,
    cpu_scores,
    gpu_cards,
    serverless_facts,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CpuSpeed:
    """Speeds over one m5 vCPU running alone; 0 < busy <= alone."""

    alone: float
    busy: float
    source: str
    confidence: Confidence


@dataclass(frozen=True)
class GpuSpeed:
    """Speed of one card over one A10G, and the memory it offers a program.

    `slowest` and `fastest` are the two rates behind `relative`, which is their geometric mean.
    """

    name: str
    relative: float
    usable_gb: float
    source: str
    confidence: Confidence
    slowest: float = 0.0
    fastest: float = 0.0


@dataclass(frozen=True)
class ServerlessSpeed:
    """Speed of one full vCPU of a serverless platform; `low` and `high` bound `alone`."""

    alone: float
    busy: float
    low: float
    high: float
    source: str
    confidence: Confidence


@dataclass(frozen=True)
class ColdStart:
    """Seconds from nothing to a ready instance (without loading the model), and to scale out."""

    cold_s: Seconds
    scale_out_s: Seconds | None  # None: the option does not scale out
    source: str
    confidence: Confidence
    note: str


@dataclass(frozen=True)
class ModelClass:
    """A kind of model with typical figures, for when nothing was measured."""

    name: str
    label: str
    service_time_ms: float  # alone on one m5 vCPU; with gpu on one A10G; serving overhead included
    cv: float
    memory_mb: float
    size_mb: float
    gpu: bool
    gpu_memory_gb: float | None
    confidence: Confidence
    source: str
    derivation: str


def model_class(name: str) -> ModelClass:
    """The class of that name. Raises InputError naming the closest ones."""
    known = model_classes()
    if name not in known:
        raise InputError(f"there is no model class {name!r}; {_suggest(name, known)}")
    return known[name]


@cache
def model_classes() -> Mapping[str, ModelClass]:
    """All classes by name, in the order in which they are offered."""
    rows = class_rows()
    return {row.name: _model_class(row, rows.sources) for row in rows.classes}


def cpu_speed(cloud: str, family: str) -> CpuSpeed:
    """Speed of a machine family; a machine type ("ml.m5.xlarge", "Standard_D4s_v5") works too.

    `busy` is the family's all-busy score times the m5's own loss between hyper-threads (see
    docs/method.md), never above `alone`. A family without a score of its own takes the one with the
    same CPU, else the slowest family of its cloud; own machines count as the reference. The
    confidence says which. Raises InputError for a cloud that is not known.
    """
    return _cpu_speed(str(cloud), family_of(cloud, family))


def cpu_speeds(cloud: str, families: Sequence[str] | NDArray[np.str_]) -> tuple[Floats, Floats]:
    """`cpu_speed` of many families at once: (alone, busy), each of the shape of `families`."""
    names, where = np.unique(np.asarray(families, dtype=str), return_inverse=True)
    speeds = [cpu_speed(cloud, str(name)) for name in names]
    alone = np.array([s.alone for s in speeds], dtype=np.float64)
    busy = np.array([s.busy for s in speeds], dtype=np.float64)
    return alone[where], busy[where]


def family_of(cloud: str, machine: str) -> str:
    """The family of a machine type as the scores name it; a family's name stays itself.

    >>> family_of("aws", "ml.m5.xlarge"), family_of("azure", "Standard_D4s_v5")
    ('m5', 'Dsv5')
    """
    if cloud == "aws":
        return machine.removeprefix("ml.").split(".")[0].lower()
    if cloud == "gcp":
        return machine.split("-")[0].lower()
    if cloud == "azure":
        series, found, rest = machine.partition("_")
        if found and series in ("Standard", "Basic"):
            machine = re.sub(r"\d+(-\d+)?", "", rest, count=1)
        return re.sub(r"[_\s]", "", machine)
    return machine


def gpu_speed(name: str) -> GpuSpeed:
    """Speed and memory of a GPU by name ("NVIDIA L4").

    The speed is the geometric mean of the card's rates of generating and of reading a prompt, each
    over the A10G's. For a card that is not known, or that the product sizes no model for, both
    figures are 0 and `source` says why.
    """
    cards = _cards()
    card = cards.get(name)
    if card is None:
        return GpuSpeed(name, 0.0, 0.0, f"{name or 'no GPU'} is not in the data", "estimate")
    if not card.supported:
        return GpuSpeed(card.name, 0.0, 0.0, f"no model is sized for it: {card.why}", "estimate")
    confidence: Confidence = "measured"
    source = f"{gpu_cards().sources['rates']}, {card.machine}"
    rated = card
    if card.stands_in is not None:
        rated, confidence = cards[card.stands_in], "estimate"
        source = f"taken as {card.stands_in}: {card.why}"
    base = cards[gpu_cards().reference]
    generate = _rate(rated, "generate_tok_s") / _rate(base, "generate_tok_s")
    prompt = _rate(rated, "prompt_tok_s") / _rate(base, "prompt_tok_s")
    return GpuSpeed(
        card.name, math.sqrt(generate * prompt), card.usable_gb, source, confidence,
        slowest=min(generate, prompt), fastest=max(generate, prompt),
    )  # fmt: skip


def gpu_speeds(names: Sequence[str] | NDArray[np.str_]) -> tuple[Floats, Floats]:
    """`gpu_speed` of many cards at once: (relative speed, usable GB), 0 where there is none."""
    unique, where = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    found = [gpu_speed(str(name)) for name in unique]
    relative = np.array([g.relative for g in found], dtype=np.float64)
    usable = np.array([g.usable_gb for g in found], dtype=np.float64)
    return relative[where], usable[where]


@lru_cache(maxsize=64)
def serverless_speed(platform: str, arch: str = "x86_64") -> ServerlessSpeed:
    """Speed of one full vCPU of "lambda", "fargate", "sagemaker-serverless", or "own-node".

    `arch` is "x86_64" or "arm64" ("x86" and "arm" for short). Raises InputError for another pair.
    """
    platforms = serverless_facts().platforms
    if platform not in platforms:
        raise InputError(
            f"there is no serverless platform {platform!r}; {_suggest(platform, platforms)}"
        )
    found = {"x86": "x86_64", "arm": "arm64"}.get(arch, arch)
    if found not in platforms[platform]:
        raise InputError(
            f"{platform} has no architecture {arch!r}; use {' or '.join(platforms[platform])}"
        )
    row = platforms[platform][found]
    factor = cpu_scores().smt_factor.value if row.threads_per_core == 2 else 1.0
    return ServerlessSpeed(
        row.alone, row.alone * factor, row.low, row.high, row.source, row.confidence
    )


@overload
def lambda_vcpu(memory_mb: float) -> float: ...
@overload
def lambda_vcpu(memory_mb: Floats) -> Floats: ...
def lambda_vcpu(memory_mb: float | Floats) -> float | Floats:
    """vCPUs of a Lambda function: proportional to its memory up to a cap.

    A model that uses one thread gains nothing from more than one vCPU.
    """
    facts = serverless_facts().lambda_
    if isinstance(memory_mb, (int, float)) and memory_mb > 0:
        return float(min(memory_mb / facts.mb_per_vcpu.value, facts.max_vcpu.value))
    vcpu = np.minimum(np.asarray(memory_mb) / facts.mb_per_vcpu.value, facts.max_vcpu.value)
    if not np.all(vcpu > 0):
        raise InputError(f"memory_mb is {memory_mb!r}; a function needs more than 0 MB")
    return vcpu if vcpu.ndim else float(vcpu)


def keep_alive_s(platform: str) -> float:
    """Seconds for which an idle serverless instance stays warm. Raises InputError if unknown."""
    known = serverless_facts().keep_alive_s
    if platform not in known:
        raise InputError(
            f"no keep-alive time is known for {platform!r}; {_suggest(platform, known)}"
        )
    return known[platform].value


def cold_start(option: str) -> ColdStart:
    """Start and scale-out times of an option. Raises InputError for an option without any."""
    data = cold_starts()
    if option not in data.options:
        raise InputError(
            f"no start times are known for {option!r}; {_suggest(option, data.options)}"
        )
    times = data.options[option]
    return ColdStart(
        times.cold_s, times.scale_out_s, data.sources[times.source], times.confidence, times.note
    )


def lambda_cold_start_s(platform_s: float, load_time_s: float) -> float:
    """Cold start of a Lambda function whose model loads in `load_time_s`.

    Initialisation that does not end within its limit is thrown away and started again with the
    first request, so a slow model pays the limit on top.
    """
    limit = serverless_facts().lambda_.init_limit_s.value
    wasted = limit if platform_s + load_time_s > limit else 0.0
    return platform_s + load_time_s + wasted


@cache
def _cpu_speed(cloud: str, family: str) -> CpuSpeed:
    scores = cpu_scores()
    factor = scores.smt_factor.value
    if cloud in scores.own_machines:
        return CpuSpeed(1.0, factor, "own machines are taken to be AWS m5", "estimate")
    if cloud not in scores.families:
        known = [*scores.families, *scores.own_machines]
        raise InputError(f"there is no cloud {cloud!r} in the data; use one of {', '.join(known)}")
    families = scores.families[cloud]
    for name, row in families.items():
        if name.lower() == family.lower():
            confidence: Confidence = "derived" if row.basis else "measured"
            source = scores.source if not row.basis else f"{scores.source}: {row.basis}"
            return CpuSpeed(row.alone, _busy(row, factor), source, confidence)
    for rule in scores.same_cpu.get(cloud, ()):
        if rule.pattern.fullmatch(family):
            row = families[rule.family]
            source = f"taken as {rule.family} ({rule.why}); {scores.source}"
            return CpuSpeed(row.alone, _busy(row, factor), source, rule.confidence)
    steady = {name: row for name, row in families.items() if not row.burst}
    slowest = min(steady, key=lambda name: _busy(steady[name], factor))
    row = families[slowest]
    source = f"{family or 'this family'} is not measured: taken as the slowest, {slowest}"
    return CpuSpeed(row.alone, _busy(row, factor), source, "estimate")


def _busy(row: Family, factor: float) -> float:
    if row.all_busy is not None:
        return min(row.alone, row.all_busy * factor)
    return row.alone * (factor if row.threads_per_core == 2 else 1.0)


@cache
def _cards() -> Mapping[str, Card]:
    return {name: card for card in gpu_cards().cards for name in (card.name, *card.aliases)}


def _rate(card: Card, field: str) -> float:
    return float(getattr(card, field))


def _model_class(row: ClassRow, sources: Mapping[str, str]) -> ModelClass:
    return ModelClass(
        name=row.name,
        label=row.label,
        service_time_ms=row.service_time_ms,
        cv=row.cv,
        memory_mb=row.memory_mb,
        size_mb=row.size_mb,
        gpu=row.gpu,
        gpu_memory_gb=row.gpu_memory_gb,
        confidence=row.confidence,
        source=sources[row.source],
        derivation=row.derivation,
    )


def _suggest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"use one of {', '.join(names)}"
