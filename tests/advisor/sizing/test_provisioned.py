"""Instances kept ready by the clock: enough of them, at known hours only, and billed as such."""

from __future__ import annotations

import copy
import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.prices import load_book
from advisor.recommend import recommend
from advisor.recommendation import Ranked
from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, parse
from advisor.sizing.provisioned import instances_kept_ready
from advisor.sizing.queueing import erlang_b

NIGHT = [0.0] * 20 + [1.0] * 4
BASE = {
    "model": {"format": "onnx", "size_mb": 100, "memory_mb": 700, "service_time_ms": 120},
    "traffic": {"mode": "realtime", "requests_per_month": 300_000, "pattern": NIGHT * 7},
    "service": {"p95_ms": 500, "cold_starts_ok": False},
}


def ranked(option: str, **answers: object) -> Ranked | None:
    data = copy.deepcopy(BASE)
    for path, value in answers.items():
        section, name = path.split("__")
        data[section][name] = value
    return recommend(parse(data), doubt=False, options=[option]).option(option)


def spilled(rate: float, service_s: float, instances: int, arrivals: int) -> float:
    """Share of requests that find no instance free, by simulation with exponential service."""
    rng = np.random.default_rng(8)
    times = rng.exponential(1 / rate, arrivals).cumsum().tolist()
    lengths = rng.exponential(service_s, arrivals).tolist()
    busy: list[float] = []
    lost = 0
    for now, length in zip(times, lengths, strict=True):
        while busy and busy[0] <= now:
            heapq.heappop(busy)
        if len(busy) < instances:
            heapq.heappush(busy, now + length)
        else:
            lost += 1
    return lost / arrivals


@pytest.mark.parametrize(("rate", "service_s"), [(3.0, 0.5), (20.0, 0.4), (60.0, 0.5)])
def test_the_share_that_spills_is_that_of_a_simulation(rate: float, service_s: float) -> None:
    ready = instances_kept_ready([rate] * 168, service_s, 0.02)
    spill = float(erlang_b(int(ready[0]), rate * service_s))
    assert spill <= 0.02
    assert spill == pytest.approx(spilled(rate, service_s, int(ready[0]), 300_000), rel=0.1)


@settings(max_examples=60, deadline=None)
@given(rate=st.floats(1e-4, 500), service_s=st.floats(0.01, 10), spill=st.floats(1e-4, 0.2))
def test_no_instance_too_many_and_none_too_few(rate: float, service_s: float, spill: float) -> None:
    ready = instances_kept_ready([rate], service_s, spill)
    n, load = int(ready[0]), rate * service_s
    assert erlang_b(n, load) <= spill
    assert n == 1 or erlang_b(n - 1, load) > spill


def test_the_hour_before_has_what_the_next_one_needs() -> None:
    ready = instances_kept_ready([0.0, 0.0, 10.0, 1.0], 1.0, 0.01)
    assert ready.tolist()[0] == 0
    assert ready[1] == ready[2] > ready[3] > 0
    assert not instances_kept_ready([0.0] * 24, 1.0, 0.01).any()


def test_a_wrong_share_is_named() -> None:
    with pytest.raises(InputError, match="spill is 0"):
        instances_kept_ready([1.0], 1.0, 0)


def test_lambda_is_priced_by_the_hours_kept_ready() -> None:
    answer = ranked("lambda-url")
    assert answer is not None
    size, book = answer.sizing, load_book()
    assert size.cold_start_share <= 0.001
    assert set(size.hourly_replicas[:19]) == {0}
    assert min(size.hourly_replicas[19:24]) >= 1
    gb = size.memory_mb / 1024
    kept = sum(size.hourly_replicas) * 3600 * HOURS_IN_MONTH / HOURS_IN_WEEK * gb
    line = next(x for x in answer.lines if x.name == "Instances kept ready")
    price = book.rate("lambda.provisioned_gb_second.arm", "us-east-1").tiers[0].unit_price_usd
    assert line.usd == pytest.approx(kept * price)
    work = next(x for x in answer.lines if x.name == "Duration on instances kept ready")
    served = 300_000 * (1 - size.cold_start_share)
    assert work.quantity == pytest.approx(served * size.service_time_ms / 1000 * gb)
    assert any("kept ready" in note for note in size.notes)
    assert answer.p95_ms is not None
    assert answer.p95_ms <= 500


def test_who_may_wait_for_a_start_pays_for_no_instance_kept_ready() -> None:
    answer = ranked("lambda-url", service__cold_starts_ok=True, service__p95_ms=8000)
    assert answer is not None
    assert not answer.sizing.hourly_replicas
    assert not any("kept ready" in line.name for line in answer.lines)


def test_traffic_at_unknown_hours_cannot_be_kept_ready_for() -> None:
    assert ranked("lambda-url", traffic__pattern="spiky") is None


def test_a_price_that_is_not_known_is_said_and_ranked_in_proportion() -> None:
    answer = ranked("sagemaker-serverless")
    assert answer is not None
    assert answer.at_least
    assert any("is not known" in note for note in answer.sizing.notes)


@settings(max_examples=10, deadline=None)
@given(requests=st.floats(1e3, 1e7), factor=st.floats(1.05, 10))
def test_more_traffic_on_instances_kept_ready_is_never_cheaper(
    requests: float, factor: float
) -> None:
    less = ranked("lambda-url", traffic__requests_per_month=requests)
    more = ranked("lambda-url", traffic__requests_per_month=requests * factor)
    assert less is not None
    assert more is not None
    assert more.monthly_usd.expected >= less.monthly_usd.expected * (1 - 1e-9)
