"""Each property of test_invariants.py notices at least one formula that is wrong.

A formula is broken on purpose, one at a time, and the property is asked about answers with which it
holds as long as nothing is broken. Memories are switched off, so what is broken is used.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import test_invariants as properties

from advisor.memo import forgetting
from advisor.sizing import fleet, functions, job, replica, shortlist, warm_pool
from advisor.sizing.sized import Sized

pytestmark = pytest.mark.slow
Patch = Callable[[pytest.MonkeyPatch], None]

BUSY = {
    "model.service_time_ms": 60.0, "model.service_time_cv": 1.0, "traffic.mode": "realtime",
    "traffic.requests_per_month": 4e7, "traffic.pattern": "business-hours", "service.p95_ms": 900.0,
    "placement.clouds": ["aws"], "placement.regions": ["us-east-1"],
}  # fmt: skip
EVERYWHERE = BUSY | {
    "placement.clouds": ["aws", "gcp", "azure"],
    "placement.regions": ["us-east-1", "us-central1", "eastus"],
}


def more(found: dict[str, Any], factor: float) -> Callable[[], None]:
    return lambda: inner(properties.test_more_traffic_is_never_cheaper)(
        found=dict(found), factor=factor
    )


def inner(test: Any) -> Callable[..., None]:
    found: Callable[..., None] = test.hypothesis.inner_test
    return found


def once_cheaper(at: int) -> Callable[[], None]:
    option, found, requests, factor = properties.ONCE_CHEAPER[at]
    return lambda: properties.test_more_traffic_is_not_cheaper_where_it_once_was(
        option, found, requests, factor
    )


def tighter(test: Any, by: float = 0.5) -> Callable[[], None]:
    return lambda: inner(test)(found=dict(BUSY), tighter=by)


def fewer_for_a_tighter_target(patch: pytest.MonkeyPatch) -> None:
    right = replica.max_rate
    patch.setattr(
        fleet, "max_rate", lambda target, *rest: right(target, *rest) * (800 / target) ** 3
    )


def cheaper_for_a_tighter_target(patch: pytest.MonkeyPatch) -> None:
    right = shortlist.max_rate_per_replica

    def wrong(target: Any, *rest: Any) -> Any:
        return right(2000.0 / np.maximum(target, 1.0) * 500, *rest)

    patch.setattr(shortlist, "max_rate_per_replica", wrong)
    one = replica.max_rate
    patch.setattr(fleet, "max_rate", lambda t, *rest: one(1e6 / max(t, 1.0), *rest))


def fewer_replicas_for_more(patch: pytest.MonkeyPatch) -> None:
    counts, plan = fleet.replica_counts, fleet.replicas
    patch.setattr(fleet, "replica_counts", lambda *args: np.maximum(12 - counts(*args), 1))
    patch.setattr(fleet, "replicas", lambda *args: np.maximum(12 - plan(*args), 1))


def no_warm_up_calls(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(functions, "_warmed", lambda cold, below: iter(()))


def starts_as_they_are(patch: pytest.MonkeyPatch) -> None:
    """Those of this volume instead of the most that it or a lower one has."""
    from advisor.sizing import serverless

    def wrong(load: Any, kept: float, cv: float) -> Any:
        return load * warm_pool.share(load, kept, cv)

    patch.setattr(serverless, "most_starts", wrong)
    serverless._cold_week.cache_clear()


def committed_afterwards(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fleet, "paid_hours_by_hour", lambda used, share: used.sum(axis=1))


def a_line_left_out(patch: pytest.MonkeyPatch) -> None:
    from advisor import plans

    right = plans.sum_usd
    patch.setattr(plans, "sum_usd", lambda lines: right(lines[1:]))


def counted_twice(patch: pytest.MonkeyPatch) -> None:
    from advisor import plans

    right = plans.sum_usd
    patch.setattr(plans, "sum_usd", lambda lines: (right(lines)[0] * 2, right(lines)[1]))


def scored_by_turn(patch: pytest.MonkeyPatch) -> None:
    """The score depends on how many were looked at before: on order and company."""
    from advisor import plans

    turn, right = itertools.count(), plans.measured

    def wrong(*args: Any) -> Any:
        found = right(*args)
        return dataclasses.replace(found, points=0.0, control=next(turn) / 1e4)

    patch.setattr(plans, "measured", wrong)


def too_slow_is_kept(patch: pytest.MonkeyPatch) -> None:
    """What no machine can carry is neither ranked nor excluded."""
    from advisor import consider

    right = consider._Search.__init__

    def wrong(self: Any, *args: Any) -> None:
        right(self, *args)
        self.too_slow = {}

    patch.setattr(consider._Search, "__init__", wrong)


def fewer_machine_hours_for_more_records(patch: pytest.MonkeyPatch) -> None:
    right = job._runs

    def wrong(*args: Any) -> Any:
        made = right(*args)
        return made._replace(hours=1e6 / np.maximum(made.hours, 1e-3))

    patch.setattr(job, "_runs", wrong)


def fewer_hours_for_more(patch: pytest.MonkeyPatch) -> None:
    right = fleet._size_realtime

    def wrong(plan: Any, factors: Any) -> Sized:
        made = right(plan, factors)
        hours = 1e8 / max(made.replica_hours, 1.0)
        return dataclasses.replace(made, replica_hours=hours) if made.infeasible is None else made

    patch.setattr(fleet, "_size_realtime", wrong)


SLOW_TARGET = EVERYWHERE | {"service.p95_ms": 41.0, "model.service_time_ms": 390.0}
BATCH = EVERYWHERE | {"traffic.mode": "batch"}

THE_SUM = properties.test_a_total_is_the_sum_of_its_lines
ORDER = properties.test_order_and_company_change_nothing
CASES: list[tuple[Callable[[], None], Patch]] = [
    (tighter(properties.test_a_tighter_target_never_needs_fewer_replicas_of_the_same_machine),
     fewer_for_a_tighter_target),
    (tighter(properties.test_a_tighter_target_is_never_cheaper), cheaper_for_a_tighter_target),
    (more(BUSY, 3.0), fewer_replicas_for_more),
    (more(BUSY, 3.0), fewer_hours_for_more),
    (more(BATCH, 5.0), fewer_machine_hours_for_more_records),
    (once_cheaper(0), starts_as_they_are),
    (once_cheaper(3), no_warm_up_calls),
    (once_cheaper(4), committed_afterwards),
    (lambda: inner(THE_SUM)(found=dict(BUSY)), a_line_left_out),
    (lambda: inner(THE_SUM)(found=dict(BUSY)), counted_twice),
    (lambda: inner(ORDER)(found=dict(BUSY), seed=3), scored_by_turn),
    (lambda: inner(properties.test_an_option_is_out_exactly_when_a_rule_or_the_sizing_says_so)(
        found=dict(SLOW_TARGET)), too_slow_is_kept),
]  # fmt: skip


@pytest.mark.parametrize(("check", "broken"), CASES, ids=lambda part: getattr(part, "__name__", ""))
def test_a_broken_formula_is_noticed(
    check: Callable[[], None], broken: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with forgetting():
        check()
        broken(monkeypatch)
        with pytest.raises(AssertionError):
            check()
