"""Replicas behind a queue: how many, how long awake, and when the answer comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.sizing.levelled import longest_wait_s, most_requests
from advisor.sizing.queued import Queue, async_replica_hours, async_weeks
from benchmarks.simulation import awake_share, queue_answers_s, slowest_hour_s

WEEK = np.ones(168)
QUEUE = Queue(idle_s=300, wake_s=240, max_utilisation=0.7, to_zero=False)
TO_ZERO = replace(QUEUE, to_zero=True)


@pytest.mark.parametrize(
    ("rate", "service_s", "idle_s", "wake_s"),
    [(0.0005, 1, 300, 0), (0.002, 1, 300, 240), (0.01, 2, 120, 30), (0.0003, 60, 600, 300)],
)
def test_share_awake_is_that_of_a_simulation(
    rate: float, service_s: float, idle_s: float, wake_s: float
) -> None:
    plan = async_replica_hours(
        WEEK * rate, service_s * 1000, 8, replace(TO_ZERO, idle_s=idle_s, wake_s=wake_s)
    )
    seen = awake_share(rate, service_s, idle_s, wake_s, 300_000, seed=7)
    assert plan.replica_hours_per_week / 168 == pytest.approx(seen, rel=0.05)


@pytest.mark.parametrize(("rate", "service_s", "workers"), [(3.0, 1.0, 2), (20.0, 0.5, 4)])
@pytest.mark.parametrize("percentile", [50, 95, 99])
def test_the_answer_of_the_busiest_hour_is_that_of_a_simulation(
    rate: float, service_s: float, workers: int, percentile: float
) -> None:
    plan = async_replica_hours(
        WEEK * rate, service_s * 1000, workers, replace(QUEUE, percentile=percentile)
    )
    servers = plan.hourly_replicas[0] * workers
    seen = np.percentile(queue_answers_s(rate, service_s, servers, 100_000, seed=2), percentile)
    assert plan.answer_s == pytest.approx(seen, rel=0.05)


DAYTIME = np.where(np.arange(168) % 24 < 12, 10.0, 1.0)


@pytest.mark.parametrize(
    ("within_h", "replicas"),
    [(0.01, 8), (1, 7), (4, 6), (24, 4), (np.inf, 4)],  # 10, 120 / 13, 120 / 16, 5.5 / (2 x 0.7)
)
def test_what_does_not_scale_works_the_queue_off_within_the_deadline(
    within_h: float, replicas: int
) -> None:
    plan = async_replica_hours(
        DAYTIME, 1000, 2, replace(QUEUE, fixed=True, within_s=within_h * 3600)
    )
    assert set(plan.hourly_replicas) == {replicas}
    assert plan.replica_hours_per_week == replicas * 168
    assert plan.answer_s <= within_h * 3600
    fewer = (replicas - 1) * 2 * 0.7
    assert longest_wait_s(most_requests(DAYTIME), fewer) >= within_h * 3600 * 0.95


def test_a_week_of_one_busy_day_is_levelled_over_the_days_after_it() -> None:
    rates = np.where(np.arange(168) < 24, 7.0, 0.0)
    plan = async_replica_hours(rates, 1000, 1, replace(QUEUE, fixed=True, within_s=2.5 * 24 * 3600))
    # 7 x 24 h of work, done in 24 h and two and a half days more, at 70 %: 48 / (24 + 60) ...
    assert plan.hourly_replicas[0] == np.ceil(7 * 24 / (24 + 60) / 0.7)


@pytest.mark.parametrize(
    ("service_s", "workers", "within_h"), [(20.0, 1, 2), (20.0, 4, 8), (300.0, 2, 12), (2.0, 1, 1)]
)
@pytest.mark.parametrize("busy", [0.05, 0.3])
def test_a_levelled_queue_keeps_what_it_promises(
    service_s: float, workers: int, within_h: float, busy: float
) -> None:
    """The promise is on the safe side: machines at 70 % of what they can do."""
    day = np.where(np.arange(24) < 9, busy, busy / 20)
    queue = replace(QUEUE, fixed=True, within_s=within_h * 3600)
    plan = async_replica_hours(np.tile(day, 7), service_s * 1000, workers, queue)
    assert plan.answer_s <= within_h * 3600
    servers = plan.hourly_replicas[0] * workers
    seen = slowest_hour_s(day, service_s, servers, 95, days=int(80 / busy), seed=5)
    assert seen <= plan.answer_s * 1.05


def test_the_longest_wait_is_that_of_the_backlog_hour_by_hour() -> None:
    rates = np.random.default_rng(3).gamma(0.5, 2.0, 168)
    done = rates.mean() * 1.1
    backlog = longest = 0.0
    for rate in np.tile(rates, 4):
        backlog = max(0.0, backlog + (rate - done) * 3600)
        longest = max(longest, backlog)
    assert longest_wait_s(most_requests(rates), done) == pytest.approx(longest / done)
    assert longest_wait_s(most_requests(rates), rates.mean() * 0.99) == np.inf


def test_without_sleep_one_replica_is_always_up() -> None:
    plan = async_replica_hours(WEEK * 0.001, 1000, 2, QUEUE)
    assert plan.replica_hours_per_week == 168
    assert plan.answer_s == pytest.approx(-np.log(0.05), rel=0.01)  # p95, nobody waits


def test_replicas_follow_the_work_with_headroom() -> None:
    rates = np.where(np.arange(168) % 24 < 12, 10.0, 1.0)
    plan = async_replica_hours(rates, 1000, 2, TO_ZERO)
    assert set(plan.hourly_replicas) == {8, 1}  # 10 / (2 x 0.7), 1 / (2 x 0.7)
    assert plan.utilisation == pytest.approx(10 / 16)
    # Every evening seven replicas stay five minutes longer.
    assert plan.replica_hours_per_week == pytest.approx(7 * (12 * 8 + 12 + 7 / 12))
    assert plan.answer_s > QUEUE.wake_s


def test_silent_hours_cost_only_the_tail() -> None:
    rates = np.where(np.arange(168) % 24 < 2, 5.0, 0.0)
    plan = async_replica_hours(rates, 100, 1, TO_ZERO)
    assert plan.hourly_replicas[:4] == (1, 1, 0, 0)
    assert plan.replica_hours_per_week == pytest.approx(7 * (2 + 300 / 3600))
    always = async_replica_hours(rates, 100, 1, QUEUE)
    assert always.replica_hours_per_week == 168


@settings(max_examples=50, deadline=None)
@given(
    rate=st.floats(1e-6, 1000), more=st.floats(1, 5), service_ms=st.floats(1, 60_000),
    to_zero=st.booleans(),
)  # fmt: skip
def test_more_work_never_takes_fewer_hours(
    rate: float, more: float, service_ms: float, to_zero: bool
) -> None:
    few, many = (
        async_replica_hours(WEEK * r, service_ms, 4, replace(QUEUE, to_zero=to_zero))
        for r in (rate, rate * more)
    )
    assert many.replica_hours_per_week >= few.replica_hours_per_week * (1 - 1e-9)
    assert few.utilisation <= 0.7 + 1e-9


def test_many_machines_at_once_are_the_same_as_one_by_one() -> None:
    rates = np.abs(np.sin(np.arange(168.0))) * 3
    service, servers = np.array([5.0, 80.0, 900.0]), np.array([1, 4, 16])
    together = async_weeks(rates, service, servers, TO_ZERO).used
    for i in range(3):
        one = async_replica_hours(rates, service[i], int(servers[i]), TO_ZERO)
        assert one.replica_hours_per_week == pytest.approx(together[i].sum())
        assert one.hourly_use == pytest.approx(together[i])


@pytest.mark.parametrize(
    ("rate", "service_s", "workers", "within_s"), [(0.6, 1.0, 1, 4.0), (1.3, 1.0, 1, 3.3)]
)
def test_what_would_answer_too_late_gets_the_fewest_replicas_that_do_not(
    rate: float, service_s: float, workers: int, within_s: float
) -> None:
    load = async_replica_hours(WEEK * rate, service_s * 1000, workers, QUEUE)
    assert load.answer_s > within_s
    plan = async_replica_hours(
        WEEK * rate, service_s * 1000, workers, replace(QUEUE, within_s=within_s)
    )
    few = plan.hourly_replicas[0]
    assert few > load.hourly_replicas[0]
    seen = [
        np.percentile(queue_answers_s(rate, service_s, n * workers, 100_000, seed=3), 95)
        for n in (few - 1, few)
    ]
    assert seen[0] > within_s > seen[1] * 0.98


def test_a_quiet_hour_with_fewer_replicas_may_be_the_slowest() -> None:
    """As much work for each replica, and fewer of them to go to."""
    rates = np.where(np.arange(168) % 24 < 12, 13.9, 1.39)
    both = async_replica_hours(rates, 1000, 2, QUEUE)
    assert set(both.hourly_replicas) == {10, 1}
    quiet = async_replica_hours(WEEK * 1.39, 1000, 2, QUEUE)
    assert both.answer_s == pytest.approx(quiet.answer_s + QUEUE.wake_s)


def test_no_number_of_replicas_answers_sooner_than_one_request_takes() -> None:
    late = async_replica_hours(WEEK, 1000, 2, replace(QUEUE, within_s=0.5))
    assert late == async_replica_hours(WEEK, 1000, 2, QUEUE)


@pytest.mark.parametrize("queue", [QUEUE, TO_ZERO], ids=["one stays", "to zero"])
def test_where_nobody_can_wait_for_a_wake_up_enough_replicas_stay_all_week(queue: Queue) -> None:
    rates = np.where(np.arange(168) % 24 < 12, 10.0, 1.0)
    plan = async_replica_hours(rates, 1000, 2, replace(queue, within_s=60))
    assert set(plan.hourly_replicas) == {8}
    assert plan.replica_hours_per_week == 8 * 168
    assert plan.answer_s < 60 < queue.wake_s


def test_fewer_hours_decide_how_a_late_queue_is_helped() -> None:
    """A minute in which a new replica answers is enough at night; all week would cost more."""
    rates = np.where(np.arange(168) % 24 < 12, 10.0, 1.39)
    slow = async_replica_hours(rates, 1000, 2, QUEUE)
    plan = async_replica_hours(rates, 1000, 2, replace(QUEUE, within_s=slow.answer_s - 1))
    assert plan.answer_s <= slow.answer_s - 1
    assert set(plan.hourly_replicas) == {8, 2}


def test_replicas_that_stay_all_week_are_as_many_in_quiet_hours() -> None:
    """Two replicas would do for most hours and three are asked by the busiest: with one that comes
    and goes, its requests wait for it."""
    shape = 1 + np.sin(np.arange(168.0) / 24)
    plan = async_replica_hours(shape * 1.5, 700, 2, replace(QUEUE, within_s=2.1875, to_zero=False))
    assert set(plan.hourly_replicas) == {3}
    assert plan.answer_s <= 2.1875


@settings(max_examples=50, deadline=None)
@given(
    rate=st.floats(1e-3, 100), more=st.floats(1, 3), within_s=st.floats(1, 600),
    to_zero=st.booleans(), fixed=st.booleans(),
)  # fmt: skip
def test_more_work_within_a_deadline_never_takes_fewer_hours(
    rate: float, more: float, within_s: float, to_zero: bool, fixed: bool
) -> None:
    shape = 1 + np.sin(np.arange(168.0) / 24)
    few, many = (
        async_replica_hours(
            shape * r,
            700,
            2,
            replace(QUEUE, to_zero=to_zero and not fixed, fixed=fixed, within_s=within_s),
        )
        for r in (rate, rate * more)
    )
    if many.answer_s <= within_s:
        assert few.answer_s <= within_s * (1 + 1e-9)
        assert many.replica_hours_per_week >= few.replica_hours_per_week * (1 - 1e-9)
