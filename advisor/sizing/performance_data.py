"""Loads and checks the performance data that ships with the product.

Every file is read once. A file that does not fit its schema raises CatalogError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from advisor.errors import CatalogError

DATA = Path(__file__).with_name("data")

Confidence = Literal["measured", "derived", "estimate"]
Positive = Annotated[float, Field(gt=0)]


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Family(Row):
    """A measured family: speeds relative to AWS m5."""

    alone: Positive
    all_busy: Positive | None = None  # relative to an m5 vCPU that is itself all busy
    threads_per_core: Literal[1, 2]
    cpu: str
    measured: date
    sizes: int
    burst: bool = False
    basis: str | None = None
    note: str | None = None


class SameCpu(Row):
    pattern: re.Pattern[str]
    family: str
    confidence: Confidence
    why: str

    @field_validator("pattern", mode="before")
    @classmethod
    def _ignore_case(cls, value: Any) -> Any:
        return re.compile(value, re.IGNORECASE) if isinstance(value, str) else value


class SmtFactor(Row):
    value: Annotated[float, Field(gt=0.5, le=1)]
    derivation: str


class CpuScores(Row):
    reference: Mapping[str, str]
    source: str
    checked: date
    smt_factor: SmtFactor
    own_machines: tuple[str, ...]
    families: Mapping[str, Mapping[str, Family]]
    same_cpu: Mapping[str, tuple[SameCpu, ...]]

    @model_validator(mode="after")
    def _targets_exist(self) -> CpuScores:
        for cloud, rules in self.same_cpu.items():
            for rule in rules:
                if rule.family not in self.families[cloud]:
                    raise ValueError(f"same_cpu.{cloud} points at {rule.family}, not a family")
        return self


class Card(Row):
    name: str
    usable_gb: Positive
    aliases: tuple[str, ...] = ()
    generate_tok_s: Positive | None = None
    prompt_tok_s: Positive | None = None
    machine: str | None = None
    measured: date | None = None
    stands_in: str | None = None
    supported: bool = True
    why: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Card:
        rated = self.generate_tok_s is not None and self.prompt_tok_s is not None
        if [rated, self.stands_in is not None, not self.supported].count(True) != 1:
            raise ValueError(f"{self.name} needs rates, or stands_in, or supported: false")
        if not rated and not self.why:
            raise ValueError(f"{self.name} needs a why")
        return self


class Split(Row):
    """A model over several cards of one machine."""

    formats: tuple[str, ...]  # of models whose layers may lie on several cards
    usable_share: Annotated[float, Field(gt=0, le=1)]  # of each card's memory
    confidence: Confidence
    source: str
    rationale: str


class GpuCards(Row):
    reference: str
    sources: Mapping[str, str]
    checked: date
    split: Split
    cards: tuple[Card, ...]


class Figure(Row):
    value: Positive
    source: str
    confidence: str = ""
    low: Positive | None = None
    high: Positive | None = None
    checked: date | None = None


class LambdaFacts(Row):
    mb_per_vcpu: Figure
    max_vcpu: Figure
    init_limit_s: Figure


class PlatformSpeed(Row):
    alone: Positive
    low: Positive
    high: Positive
    threads_per_core: Literal[1, 2]
    confidence: Confidence
    source: str


class ServerlessFacts(Row):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    checked: date
    lambda_: LambdaFacts = Field(alias="lambda")
    platforms: Mapping[str, Mapping[str, PlatformSpeed]]
    keep_alive_s: Mapping[str, Figure]


class Seconds(Row):
    low: Positive
    expected: Positive
    high: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Seconds:
        if not self.low <= self.expected <= self.high:
            raise ValueError("low, expected and high are out of order")
        return self


class StartTimes(Row):
    cold_s: Seconds
    scale_out_s: Seconds | None
    source: str
    confidence: Confidence
    note: str


class ColdStarts(Row):
    checked: date
    sources: Mapping[str, str]
    options: Mapping[str, StartTimes]

    @model_validator(mode="after")
    def _sources_exist(self) -> ColdStarts:
        for option, times in self.options.items():
            if times.source not in self.sources:
                raise ValueError(f"{option} cites {times.source}, which sources does not list")
        return self


class ClassRow(Row):
    name: str
    label: str
    service_time_ms: Positive
    cv: Annotated[float, Field(ge=0, le=10)]
    memory_mb: Positive
    size_mb: Positive
    gpu: bool = False
    gpu_memory_gb: Positive | None = None
    confidence: Confidence
    source: str
    derivation: str


class ConversionRow(Row):
    """When exporting to ONNX is worth saying, and the sentences that say it."""

    to: str
    classes: tuple[str, ...] = Field(alias="from")
    formats: tuple[str, ...]
    least_gain: Positive
    least_ms: Positive
    declared: str
    given: str
    asked_directly: tuple[str, ...]
    directly: str
    source: str
    checked: date


class ModelClasses(Row):
    serving_overhead_ms: Figure
    sources: Mapping[str, str]
    checked: date
    classes: tuple[ClassRow, ...]
    conversion: ConversionRow

    @model_validator(mode="after")
    def _consistent(self) -> ModelClasses:
        for row in self.classes:
            if row.source not in self.sources:
                raise ValueError(f"{row.name} cites {row.source}, which sources does not list")
            if row.gpu != (row.gpu_memory_gb is not None):
                raise ValueError(f"{row.name} needs gpu and gpu_memory_gb, or neither")
        if len({row.name for row in self.classes}) != len(self.classes):
            raise ValueError("two classes share a name")
        held = self.conversion
        unknown = {held.to, *held.classes, *held.asked_directly} - {r.name for r in self.classes}
        if unknown:
            raise ValueError(f"conversion names {', '.join(sorted(unknown))}, which is no class")
        return self


@cache
def cpu_scores() -> CpuScores:
    return _load("cpu_scores.yaml", CpuScores)


@cache
def gpu_cards() -> GpuCards:
    return _load("gpu.yaml", GpuCards)


@cache
def serverless_facts() -> ServerlessFacts:
    return _load("serverless.yaml", ServerlessFacts)


@cache
def cold_starts() -> ColdStarts:
    return _load("cold_starts.yaml", ColdStarts)


@cache
def class_rows() -> ModelClasses:
    return _load("model_classes.yaml", ModelClasses)


_T = TypeVar("_T", bound=Row)


def _load(name: str, schema: type[_T]) -> _T:
    path = DATA / name
    try:
        return schema.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CatalogError(
            f"cannot read the performance data {path}: {error.strerror}; install the product again"
        ) from error
    except (yaml.YAMLError, ValidationError) as error:
        detail = " ".join(str(error).split())[:300]
        raise CatalogError(
            f"the performance data {path} is damaged ({detail}); install the product again"
        ) from error
