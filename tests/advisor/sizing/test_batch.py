"""Batch runs and sleeping queues: deadlines kept, nothing wasted, simulation agreed with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.sizing.batch import batch_plan
from benchmarks.simulation import batch_run_s


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
