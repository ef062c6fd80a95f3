"""Queued requests collected into runs: the busiest run counts, not the mean one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from advisor.catalog.loader import load_options
from advisor.prices import load_book
from advisor.requirements import Requirements, parse
from advisor.sizing.choose import size
from advisor.sizing.job import Job
from advisor.sizing.performance import cold_start
from advisor.sizing.sized import Sized
from advisor.workload import resolve

CALLS: dict[str, Any] = {
    "model": {"format": "torch", "size_mb": 3000, "memory_mb": 9000, "service_time_ms": 90_000,
              "load_time_s": 45, "gpu": True, "gpu_memory_gb": 10},
}  # fmt: skip


def need(pattern: Any, per_month: float = 20_000, deadline_h: float = 1) -> Requirements:
    traffic = {"mode": "async", "requests_per_month": per_month, "pattern": pattern}
    return parse({**CALLS, "traffic": traffic, "service": {"deadline_h": deadline_h}})


def planned(asked: Requirements) -> Sized:
    made = size(load_options()["aws-batch"], resolve(asked), "us-east-1", load_book())
    assert isinstance(made, Job)
    return made.sized()


def test_the_run_after_a_busy_half_hour_ends_in_time() -> None:
    asked = need("business-hours")
    got, work = planned(asked), resolve(asked)
    waiting = float(work.rates.max()) * 1800  # collected for half of the deadline
    start_s = cold_start("aws-batch").cold_s.expected + 45
    each = np.ceil(waiting / (got.replicas_max * got.servers))
    assert got.finish_h is not None
    assert got.finish_h == pytest.approx((start_s + each * got.service_time_ms / 1000) / 3600)
    assert got.finish_h <= 0.8  # of one hour
    assert got.replicas_max > planned(need("steady")).replicas_max  # the same month, evenly


def test_machine_hours_are_the_work_and_the_starts_of_all_runs() -> None:
    """Each half hour of a week played through: so many machines start, and each record is worked on
    once."""
    asked = need("business-hours")
    got, work = planned(asked), resolve(asked)
    start_s = cold_start("aws-batch").cold_s.expected + 45
    waiting = np.repeat(work.rates, 2) * 1800
    machines = np.ceil(got.replicas_max * waiting / waiting.max() - 1e-9)
    whole = np.maximum(waiting, 1)
    seconds = machines * start_s + np.ceil(whole / got.servers) * got.service_time_ms / 1000
    seconds *= np.minimum(waiting, 1)
    assert got.replica_hours == pytest.approx(float(seconds.sum()) / 3600 * 730 / 168, rel=1e-6)


def test_an_even_week_is_planned_as_one_run_like_the_others() -> None:
    numbers = [1.0] * 168
    even, steady = planned(need(numbers)), planned(need("steady"))
    assert even.replica_hours == pytest.approx(steady.replica_hours)
    assert even.replicas_max == steady.replicas_max


@pytest.mark.parametrize("pattern", ["business-hours", "spiky", "rare", "nightly"])
def test_more_requests_never_take_fewer_machine_hours(pattern: str) -> None:
    hours = [planned(need(pattern, n, 4)).replica_hours for n in (300, 3000, 30_000, 300_000)]
    assert hours == sorted(hours)


def test_a_nights_run_has_the_records_of_its_day_whatever_the_pattern() -> None:
    runs = [
        planned(parse({**CALLS, "traffic": {"mode": "batch", "requests_per_month": 20_000,
                                            "pattern": pattern}}))
        for pattern in ("steady", "nightly")
    ]  # fmt: skip
    assert runs[0].replica_hours == runs[1].replica_hours
    assert runs[0].replicas_max == runs[1].replicas_max
