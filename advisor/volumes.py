"""Many volumes at once: workloads that are alike in everything else, as arrays.

What a single workload gives as a number stands here as an array of shape (volumes,), by the same
name and the same formula, so that rules, sizing and bills reckon with either.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.requirements import HOURS_IN_MONTH, Requirements
from advisor.workload import Workload

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Volumes:
    """Workloads that differ in the volume alone; the first stands for what they share."""

    works: tuple[Workload, ...]
    kept: dict[Hashable, Any] = field(default_factory=dict)  # as a workload's own

    def __len__(self) -> int:
        return len(self.works)

    def part(self, at: Sequence[int] | NDArray[np.int64]) -> Volumes:
        return Volumes(tuple(self.works[i] for i in at))

    @property
    def need(self) -> Requirements:
        """What was asked, at the first volume."""
        return self.works[0].need

    @property
    def service_time_ms(self) -> float:
        return self.works[0].service_time_ms

    @property
    def max_processing_s(self) -> float:
        return self.works[0].max_processing_s

    @cached_property
    def requests(self) -> Array:
        return np.array([work.need.traffic.requests_per_month for work in self.works])

    @cached_property
    def rates(self) -> Array:
        """Arrivals a second, shape (volumes, 168)."""
        return np.array([work.rates for work in self.works])

    @cached_property
    def mean_per_s(self) -> Array:
        return self.requests / (HOURS_IN_MONTH * 3600)

    @cached_property
    def peak_per_s(self) -> Array:
        return np.asarray(self.rates.max(axis=1))

    @property
    def peak_to_mean(self) -> Array:
        return self.peak_per_s / self.mean_per_s

    @property
    def concurrency_peak(self) -> Array:
        return self.peak_per_s * self.service_time_ms / 1000

    @property
    def work_vcpu_hours(self) -> Array:
        return self.requests * self.service_time_ms / 3.6e6
