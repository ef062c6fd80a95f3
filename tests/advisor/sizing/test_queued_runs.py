"""Queued requests collected into runs: who came first and who came last have their answer in time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from advisor.catalog.loader import load_options
from advisor.prices import load_book
from advisor.requirements import Requirements, parse
from advisor.sizing.choose import size
from advisor.sizing.job import Job
from advisor.sizing.performance import cold_start
from advisor.sizing.sized import Sized, Term
from advisor.workload import resolve

START = cold_start("aws-batch").cold_s
LOAD_S = 45
CALLS: dict[str, Any] = {
    "model": {"format": "torch", "size_mb": 3000, "memory_mb": 9000, "service_time_ms": 90_000,
              "load_time_s": LOAD_S, "gpu": True, "gpu_memory_gb": 10},
}  # fmt: skip


def need(
    pattern: Any, per_month: float = 20_000, deadline_h: float = 1, **placement: Any
) -> Requirements:
    traffic = {"mode": "async", "requests_per_month": per_month, "pattern": pattern}
    service = {"deadline_h": deadline_h}
    return parse({**CALLS, "traffic": traffic, "service": service, "placement": placement})


def chosen(asked: Requirements, term: Term = "on-demand") -> Job:
    made = size(load_options()["aws-batch"], resolve(asked), "us-east-1", load_book(), term)
    assert isinstance(made, Job), made
    return made


def planned(asked: Requirements) -> Sized:
    return chosen(asked).sized()


class Seen(NamedTuple):
    """What a week of chance had: seconds to each answer, machine-hours, most machines at once."""

    answers_s: np.ndarray[Any, Any]
    machine_hours: float
    at_once: int


def played(asked: Requirements, got: Sized, start_s: float, weeks: int, seed: int) -> Seen:
    """Requests come by chance; each run starts the machines that it needs to end as the told end
    says, shares its records out over their workers, and these work one after the other."""
    rng, hours = np.random.default_rng(seed), np.tile(resolve(asked).rates, weeks) * 3600
    counts = rng.poisson(hours)
    times = (np.repeat(np.arange(len(hours)), counts) + rng.random(counts.sum())) * 3600
    times.sort()
    assert got.finish_h is not None
    service_s, window_s = got.service_time_ms / 1000, got.collected_h * 3600
    rounds = round(((got.finish_h - got.collected_h) * 3600 - START.expected - LOAD_S) / service_s)
    answers, used_s, busy = [], 0.0, []
    number = (times // window_s).astype(int)
    for run in np.unique(number):
        arrived, closed = times[number == run], (run + 1) * window_s
        machines = -(-len(arrived) // (rounds * got.servers))
        workers = machines * got.servers
        place = np.arange(len(arrived))
        done = closed + start_s + (place // workers + 1) * service_s
        answers.append(done - arrived)
        each = np.bincount(place % workers % machines)  # records of each machine
        used_s += machines * start_s + float(np.ceil(each / got.servers).sum()) * service_s
        busy += [(closed, machines), (float(done.max()), -machines)]
    at_once = np.cumsum([change for _, change in sorted(busy)]).max()
    return Seen(np.concatenate(answers), used_s / 3600, int(at_once))


GRID = [
    ("business-hours", 20_000, 1), ("spiky", 3000, 1), ("steady", 200_000, 4), ("rare", 40, 0.5),
    ("nightly", 5000, 24), ("steady", 20, 72), ("business-hours", 1000, 0.25),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "per_month", "deadline_h"), GRID)
def test_a_played_week_has_its_answers_within_the_deadline(
    pattern: str, per_month: float, deadline_h: float
) -> None:
    asked = need(pattern, per_month, deadline_h)
    got = planned(asked)
    weeks = max(2, round(2000 / per_month))
    seen = played(asked, got, START.expected + LOAD_S, weeks, seed=3)
    assert got.finish_h is not None
    assert got.finish_h <= deadline_h
    told = seen.answers_s <= got.finish_h * 3600 + 1e-6
    assert told.mean() > 0.999
    assert seen.answers_s.max() > 0.5 * got.finish_h * 3600  # the told end is not an empty one
    assert (seen.answers_s <= deadline_h * 3600).all()


@pytest.mark.parametrize(("pattern", "per_month", "deadline_h"), GRID)
def test_in_time_too_when_machines_start_as_slowly_as_they_may(
    pattern: str, per_month: float, deadline_h: float
) -> None:
    asked = need(pattern, per_month, deadline_h)
    seen = played(asked, planned(asked), START.high + LOAD_S, 2, seed=5)
    assert (seen.answers_s <= deadline_h * 3600).mean() > 0.999


@pytest.mark.parametrize(
    ("pattern", "per_month", "deadline_h"),
    [("business-hours", 20_000, 1), ("steady", 200_000, 4), ("nightly", 5000, 24), ("rare", 40, 2)],
)
def test_machine_hours_and_machines_at_once_are_those_of_a_played_week(
    pattern: str, per_month: float, deadline_h: float
) -> None:
    asked = need(pattern, per_month, deadline_h)
    got = planned(asked)
    weeks = max(4, round(4000 / per_month))
    seen = played(asked, got, START.expected + LOAD_S, weeks, seed=11)
    assert got.replica_hours == pytest.approx(seen.machine_hours / weeks * 730 / 168, rel=0.1)
    assert seen.at_once <= got.replicas_max


def test_a_request_of_forty_minutes_is_not_collected_for_long() -> None:
    """Half of the hour would be too long: it begins within a minute, beside those that run."""
    asked = need("steady", 500)
    asked = asked.model_copy(
        update={"model": asked.model.model_copy(update={"service_time_ms": 2.4e6})}
    )
    got = planned(asked)
    assert got.collected_h == pytest.approx(1 / 60)
    assert got.finish_h is not None
    assert got.finish_h <= 1
    assert got.replicas_max > 1


def test_a_spot_share_may_begin_anew_before_the_deadline() -> None:
    asked = need("steady", 20_000, 1, spot=True)
    on_demand, spot = chosen(asked).sized(), chosen(asked, "spot").sized()
    for got, part in ((on_demand, 0.8), (spot, 0.5)):
        assert got.finish_h is not None
        assert got.finish_h - got.collected_h <= part * (1 - got.collected_h) + 1e-9
    assert spot.bought is not None


def test_what_cannot_be_collected_in_time_is_said() -> None:
    made = size(
        load_options()["aws-batch"],
        resolve(need("steady", deadline_h=0.03)),
        "us-east-1",
        load_book(),
    )
    assert isinstance(made, Sized)
    assert made.infeasible is not None
    assert made.infeasible.startswith(
        "requests are collected for 1 min at least, a run starts after"
    )


def test_an_even_week_is_planned_as_one_run_like_the_others() -> None:
    numbers = [1.0] * 168
    even, steady = planned(need(numbers)), planned(need("steady"))
    assert even.replica_hours == pytest.approx(steady.replica_hours)
    assert even.replicas_max == steady.replicas_max


@pytest.mark.parametrize("pattern", ["business-hours", "spiky", "rare", "nightly"])
def test_more_requests_and_less_time_never_take_fewer_machine_dollars(pattern: str) -> None:
    def usd(per_month: float, deadline_h: float) -> float:
        got = planned(need(pattern, per_month, deadline_h))
        assert got.usd_per_hour is not None
        return got.replica_hours * got.usd_per_hour

    more = [usd(n, 4) for n in (300, 500, 3000, 30_000, 50_000, 300_000)]
    less = [usd(3000, hours) for hours in (72, 24, 7, 4, 2, 1, 0.5, 0.25)]
    assert more == sorted(more)
    assert less == sorted(less)


def test_a_nights_run_has_the_records_of_its_day_whatever_the_pattern() -> None:
    runs = [
        planned(parse({**CALLS, "traffic": {"mode": "batch", "requests_per_month": 20_000,
                                            "pattern": pattern}}))
        for pattern in ("steady", "nightly")
    ]  # fmt: skip
    assert runs[0].replica_hours == runs[1].replica_hours
    assert runs[0].replicas_max == runs[1].replicas_max


def test_a_queue_has_the_cheapest_machine_that_answers_in_time() -> None:
    """A fast machine where the cheapest would miss the deadline; the cheapest where there is time."""
    model = {"format": "joblib", "size_mb": 40, "memory_mb": 300, "service_time_ms": 1_500_000}
    option, book = load_options()["ecs-fargate"], load_book()
    plans = []
    for hours in (1.0, 24.0):
        asked = parse({
            "model": model, "traffic": {"mode": "async", "requests_per_month": 300},
            "service": {"deadline_h": hours},
        })  # fmt: skip
        made = size(option, resolve(asked), "us-east-1", book)
        assert not isinstance(made, Sized)
        got = made.sized()
        assert got.finish_h is not None
        assert got.finish_h <= hours
        plans.append(got)
    assert plans[0].vcpu > plans[1].vcpu
    assert plans[0].finish_h != plans[1].finish_h
