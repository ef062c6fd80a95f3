"""Batch runs and sleeping queues: deadlines kept, nothing wasted, simulation agreed with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.sizing.batch import async_replica_hours, async_weeks, batch_plan
from benchmarks.simulation import awake_share, batch_run_s, queue_answers_s


def test_a_run_is_start_up_and_its_share_of_the_records() -> None:
    plan = batch_plan(1_000_000, 20, 4, startup_s=120, deadline_h=4)
    assert plan is not None
    assert plan.machines == 1
    assert plan.run_h == pytest.approx((120 + 250_000 * 0.020) / 3600)
    assert plan.machine_hours_per_run == plan.run_h


@settings(max_examples=80, deadline=None)
@given(
    records=st.integers(1, 10**9),
    service_ms=st.floats(0.1, 60_000),
    workers=st.integers(1, 96),
    startup_s=st.floats(0, 900),
    deadline_h=st.floats(0.1, 48),
)
def test_the_fewest_machines_that_make_it(
    records: int, service_ms: float, workers: int, startup_s: float, deadline_h: float
) -> None:
    arguments = {"startup_s": startup_s, "deadline_h": deadline_h, "reserve": 0.0}
    plan = batch_plan(records, service_ms, workers, **arguments)
    if plan is None:
        assert startup_s + service_ms / 1000 > deadline_h * 3600 * (1 - 1e-6)
        return
    assert plan.run_h <= deadline_h * (1 + 1e-6)
    busy_s = -(-records // workers) * service_ms / 1000  # of one machine doing it all
    assert plan.machine_hours_per_run * 3600 == pytest.approx(plan.machines * startup_s + busy_s)
    assert plan.machine_hours_per_run <= plan.machines * plan.run_h * (1 + 1e-9)
    if plan.machines > 1:
        each = -(-records // ((plan.machines - 1) * workers))
        assert startup_s + each * service_ms / 1000 > deadline_h * 3600 * (1 - 1e-6)


def test_reserve_is_kept_until_machines_run_out() -> None:
    # 5,000 s of work for one worker; 0.8 x 1.5 h = 4,320 s.
    arguments = {"startup_s": 0, "deadline_h": 1.5}
    assert batch_plan(5000, 1000, 1, **arguments).machines == 2
    assert batch_plan(5000, 1000, 1, **arguments, max_machines=1).machines == 1
    assert batch_plan(50_000, 1000, 1, **arguments, max_machines=5) is None
    assert batch_plan(1, 1000, 1, startup_s=6000, deadline_h=1.5) is None


@settings(max_examples=80, deadline=None)
@given(
    records=st.integers(1, 10**7), more=st.integers(0, 10**7), service_ms=st.floats(0.1, 10_000),
    workers=st.integers(1, 32), startup_s=st.floats(0, 900), deadline_h=st.floats(0.1, 24),
    looser=st.floats(1, 4), most=st.integers(1, 200),
)  # fmt: skip
def test_more_records_and_a_nearer_deadline_never_take_less(
    records: int, more: int, service_ms: float, workers: int, startup_s: float, deadline_h: float,
    looser: float, most: int,
) -> None:  # fmt: skip
    def plan(records: int, deadline_h: float):
        return batch_plan(
            records, service_ms, workers,
            startup_s=startup_s, deadline_h=deadline_h, max_machines=most,
        )  # fmt: skip

    some, further, later = (
        plan(records, deadline_h), plan(records + more, deadline_h), plan(records, deadline_h * looser)
    )  # fmt: skip
    if further is not None:
        assert some is not None
        assert further.machines >= some.machines
        assert further.machine_hours_per_run >= some.machine_hours_per_run * (1 - 1e-12)
    if some is not None:
        assert later is not None
        assert later.machines <= some.machines
        assert later.machine_hours_per_run <= some.machine_hours_per_run * (1 + 1e-12)


@pytest.mark.parametrize(
    ("cv", "records", "workers"), [(0.0, 5000, 8), (0.5, 5000, 8), (1.0, 20_000, 4)]
)
def test_a_run_ends_when_a_simulated_one_does(cv: float, records: int, workers: int) -> None:
    """Workers that take the next record when they are free, with service times that vary."""
    plan = batch_plan(records, 200, workers, startup_s=60, deadline_h=1)
    assert plan is not None
    seen = [batch_run_s(records, 0.2, cv, plan.machines * workers, seed) + 60 for seed in range(5)]
    assert plan.run_h * 3600 == pytest.approx(np.mean(seen), rel=0.03)


def test_no_records_cost_a_start() -> None:
    plan = batch_plan(0, 10, 2, startup_s=60, deadline_h=1)
    assert plan is not None
    assert (plan.machines, plan.run_h) == (1, pytest.approx(60 / 3600))


def test_wrong_batch_arguments_are_named() -> None:
    with pytest.raises(InputError, match="workers_per_machine 0"):
        batch_plan(10, 10, 0, startup_s=0, deadline_h=1)


WEEK = np.ones(168)
QUEUE = {"idle_s": 300.0, "wake_s": 240.0, "max_utilisation": 0.7}


@pytest.mark.parametrize(
    ("rate", "service_s", "idle_s", "wake_s"),
    [(0.0005, 1, 300, 0), (0.002, 1, 300, 240), (0.01, 2, 120, 30), (0.0003, 60, 600, 300)],
)
def test_share_awake_is_that_of_a_simulation(
    rate: float, service_s: float, idle_s: float, wake_s: float
) -> None:
    plan = async_replica_hours(
        WEEK * rate, service_s * 1000, 8,
        idle_s=idle_s, wake_s=wake_s, max_utilisation=0.7, to_zero=True,
    )  # fmt: skip
    seen = awake_share(rate, service_s, idle_s, wake_s, 300_000, seed=7)
    assert plan.replica_hours_per_week / 168 == pytest.approx(seen, rel=0.05)


@pytest.mark.parametrize(("rate", "service_s", "workers"), [(3.0, 1.0, 2), (20.0, 0.5, 4)])
@pytest.mark.parametrize("percentile", [50, 95, 99])
def test_the_answer_of_the_busiest_hour_is_that_of_a_simulation(
    rate: float, service_s: float, workers: int, percentile: float
) -> None:
    plan = async_replica_hours(
        WEEK * rate, service_s * 1000, workers, **QUEUE, to_zero=False, percentile=percentile
    )
    servers = plan.hourly_replicas[0] * workers
    seen = np.percentile(queue_answers_s(rate, service_s, servers, 100_000, seed=2), percentile)
    assert plan.answer_s == pytest.approx(seen, rel=0.05)


def test_what_does_not_scale_has_the_replicas_of_the_busiest_hour_all_week() -> None:
    rates = np.where(np.arange(168) % 24 < 12, 10.0, 1.0)
    plan = async_replica_hours(rates, 1000, 2, **QUEUE, to_zero=False, fixed=True)
    assert set(plan.hourly_replicas) == {8}
    assert plan.replica_hours_per_week == 8 * 168
    assert plan.answer_s < QUEUE["wake_s"]  # nothing has to start first


def test_without_sleep_one_replica_is_always_up() -> None:
    plan = async_replica_hours(WEEK * 0.001, 1000, 2, **QUEUE, to_zero=False)
    assert plan.replica_hours_per_week == 168
    assert plan.answer_s == pytest.approx(-np.log(0.05), rel=0.01)  # p95, nobody waits


def test_replicas_follow_the_work_with_headroom() -> None:
    rates = np.where(np.arange(168) % 24 < 12, 10.0, 1.0)
    plan = async_replica_hours(rates, 1000, 2, **QUEUE, to_zero=True)
    assert set(plan.hourly_replicas) == {8, 1}  # 10 / (2 x 0.7), 1 / (2 x 0.7)
    assert plan.utilisation == pytest.approx(10 / 16)
    # Every evening seven replicas stay five minutes longer.
    assert plan.replica_hours_per_week == pytest.approx(7 * (12 * 8 + 12 + 7 / 12))
    assert plan.answer_s > QUEUE["wake_s"]


def test_silent_hours_cost_only_the_tail() -> None:
    rates = np.where(np.arange(168) % 24 < 2, 5.0, 0.0)
    plan = async_replica_hours(rates, 100, 1, **QUEUE, to_zero=True)
    assert plan.hourly_replicas[:4] == (1, 1, 0, 0)
    assert plan.replica_hours_per_week == pytest.approx(7 * (2 + 300 / 3600))
    always = async_replica_hours(rates, 100, 1, **QUEUE, to_zero=False)
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
        async_replica_hours(WEEK * r, service_ms, 4, **QUEUE, to_zero=to_zero)
        for r in (rate, rate * more)
    )
    assert many.replica_hours_per_week >= few.replica_hours_per_week * (1 - 1e-9)
    assert few.utilisation <= 0.7 + 1e-9


def test_many_machines_at_once_are_the_same_as_one_by_one() -> None:
    rates = np.abs(np.sin(np.arange(168.0))) * 3
    service, servers = np.array([5.0, 80.0, 900.0]), np.array([1, 4, 16])
    together = async_weeks(rates, service, servers, **QUEUE, to_zero=True).used
    for i in range(3):
        one = async_replica_hours(rates, service[i], int(servers[i]), **QUEUE, to_zero=True)
        assert one.replica_hours_per_week == pytest.approx(together[i].sum())
        assert one.hourly_use == pytest.approx(together[i])
