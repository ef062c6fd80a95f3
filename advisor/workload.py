"""The requirements, resolved: what rules, sizing and costs compute with.

Resolving happens once: the service time of a model class, the 168 hourly rates, the longest
single request. Everything here is a plain number; nothing is looked up again further down.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from advisor.by_identity import ByIdentity
from advisor.requirements import HOURS_IN_MONTH, Requirements, Section
from advisor.sizing.performance import model_class
from advisor.traffic import Rates, weekly_rates

Path = tuple[str, str]  # of an answer: section, name

SHARED_MEMORY_FORMATS = frozenset({"onnx", "torch", "xgboost", "lightgbm"})


@dataclass(frozen=True, eq=False)
class Workload:
    """A resolved requirement. Rates are arrivals a second, shape (168,)."""

    need: Requirements
    rates: Rates
    service_time_ms: float  # alone on one m5 vCPU (with a GPU: on one A10G)
    service_time_assumed: bool  # from a model class, not measured
    max_processing_s: float

    @cached_property
    def answers(self) -> Mapping[Path, Hashable]:
        """Every answer by its path, and which of a section were given, as values to compare."""
        out: dict[Path, Hashable] = {}
        for name in Requirements.model_fields:
            out |= _ANSWERS.get(getattr(self.need, name), partial(_answers, name))
        return out

    @cached_property
    def calm(self) -> Calm:
        """All answers but the volume, as one thing: the same one for the same answers."""
        parts = []
        for name in Requirements.model_fields:
            section = getattr(self.need, name)
            parts.append(_CALM_SECTIONS.get(section, partial(_calm_section, name)))
        return _CALM.of(tuple(parts))

    @property
    def mean_per_s(self) -> float:
        return self.need.traffic.requests_per_month / (HOURS_IN_MONTH * 3600)

    @property
    def peak_per_s(self) -> float:
        return float(self.rates.max())

    @property
    def peak_to_mean(self) -> float:
        return self.peak_per_s / self.mean_per_s

    @cached_property
    def kept(self) -> dict[Hashable, Any]:
        """What was computed for this workload and serves again, whatever the region."""
        return {}

    @cached_property
    def rates_ahead(self) -> tuple[Rates, Rates]:
        """(rates, hours of the week): what each hour and the next one need, equal ones together."""
        # Not np.roll, which takes four times as long for a week.
        ahead = np.maximum(self.rates, np.concatenate((self.rates[1:], self.rates[:1])))
        distinct, hours = np.unique(ahead, return_counts=True)
        return distinct, hours.astype(np.float64)

    @property
    def concurrency_peak(self) -> float:
        """Little's law on the reference machine: requests in service at the busiest hour."""
        return self.peak_per_s * self.service_time_ms / 1000

    @property
    def work_vcpu_hours(self) -> float:
        """Pure work of a month on the reference machine, in vCPU-hours (GPU-hours with a GPU)."""
        return self.need.traffic.requests_per_month * self.service_time_ms / 3.6e6


def resolve(need: Requirements) -> Workload:
    """Resolve the requirements. Raises InputError for a model class that is not known."""
    assumed = need.model.service_time_ms is None
    if need.model.service_time_ms is not None:
        service_time_ms = need.model.service_time_ms
    else:
        service_time_ms = model_class(str(need.model.model_class)).service_time_ms
    longest = need.service.max_processing_s
    return Workload(
        need=need,
        rates=weekly_rates(need.traffic),
        service_time_ms=service_time_ms,
        service_time_assumed=assumed,
        max_processing_s=longest if longest is not None else service_time_ms / 1000,
    )


class Calm:
    """Stands for a set of answers, without the volume."""


class _Calms:
    """Bounded; a full one starts again, with new things for the same answers."""

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._known: dict[Hashable, Calm] = {}

    def of(self, answers: Hashable) -> Calm:
        if len(self._known) >= self._most:
            self._known = {}
        return self._known.setdefault(answers, Calm())


_CALM = _Calms()
_CALM_SECTIONS: ByIdentity[Section, Calm] = ByIdentity()
OF_VOLUME: frozenset[Path] = frozenset(
    ("traffic", name) for name in ("requests_per_month", "peak_requests_per_second")
)
_ANSWERS: ByIdentity[Section, dict[Path, Hashable]] = ByIdentity()


def _calm_section(name: str, section: Section) -> Calm:
    answers = _ANSWERS.get(section, partial(_answers, name))
    return _CALM.of(tuple(item for item in answers.items() if item[0] not in OF_VOLUME))


def _answers(name: str, section: Section) -> dict[Path, Hashable]:
    out = {(name, field): _hashable(value) for field, value in section.__dict__.items()}
    out[name, "model_fields_set"] = frozenset(section.model_fields_set)
    return out


def _hashable(value: Any) -> Hashable:
    if isinstance(value, (float, str)) or value is None:
        return value
    if isinstance(value, dict):
        return tuple(sorted((name, _hashable(part)) for name, part in value.items()))
    if isinstance(value, list):
        return tuple(_hashable(part) for part in value)
    return value if isinstance(value, Hashable) else repr(value)
