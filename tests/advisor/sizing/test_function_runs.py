"""Functions in batch: a run is chunks on instances that start once and end before the deadline."""

from __future__ import annotations

import heapq

import pytest

from advisor.catalog.loader import option
from advisor.prices import load_book
from advisor.requirements import HOURS_IN_MONTH, parse
from advisor.sizing.function import Function
from advisor.sizing.functions import functions
from advisor.sizing.sized import Sized
from advisor.workload import resolve

RUNS = HOURS_IN_MONTH / 24


def run(records: float, deadline_h: float) -> Sized:
    need = parse(
        {
            "model": {"format": "onnx", "size_mb": 50, "memory_mb": 300, "service_time_ms": 40},
            "traffic": {"mode": "batch", "requests_per_month": records},
            "service": {"deadline_h": deadline_h},
            "placement": {"clouds": ["aws"], "arm": False},
        }
    )
    found = functions(option("lambda-url"), resolve(need), "us-east-1", load_book())
    assert isinstance(found, Function)
    return found.sized()


def played(sized: Sized, starts_s: float, work_s: float) -> tuple[float, float]:
    """(hours until the last chunk is done, seconds billed) with whoever is free next taking one."""
    free = [starts_s] * sized.replicas_max
    left = work_s
    while left > 0:
        chunk = min(60.0, left)
        heapq.heapreplace(free, free[0] + chunk)
        left -= chunk
    return max(free) / 3600, work_s + starts_s * sized.replicas_max


@pytest.mark.parametrize(("records", "deadline_h"), [(3e6, 4.0), (3e8, 4.0), (3e8, 1.0)])
def test_a_run_played_through_ends_and_costs_as_planned(records: float, deadline_h: float) -> None:
    sized = run(records, deadline_h)
    work_s = records / RUNS * sized.service_time_ms / 1000
    starts_s = (sized.billed_seconds / RUNS - work_s) / sized.replicas_max
    ends_h, billed_s = played(sized, starts_s, work_s)
    assert 0 < starts_s < 60
    assert sized.finish_h == pytest.approx(ends_h, abs=60 / 3600)  # a chunk is a minute
    assert sized.finish_h is not None
    assert sized.finish_h <= deadline_h / 2 + 1e-9
    assert sized.billed_seconds == pytest.approx(RUNS * billed_s, rel=1e-6)


def test_more_records_or_a_nearer_deadline_never_take_fewer_instances() -> None:
    seen = [run(records, hours) for records, hours in ((3e6, 8), (3e8, 8), (3e8, 2), (9e8, 2))]
    assert [plan.replicas_max for plan in seen] == sorted(plan.replicas_max for plan in seen)
    assert [plan.billed_seconds for plan in seen] == sorted(plan.billed_seconds for plan in seen)
