"""The queue played through, against exact results of queueing theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.sizing.queueing import utilisation
from deploy.loadtest.predicted import curve, predict
from deploy.loadtest.queue import Station, poisson, responses, typical

EXPONENTIAL = np.random.default_rng(1).exponential(10.0, 20_000)


def arrivals(rate_per_s: float, n: int, seed: int = 2) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate_per_s, n))


def test_one_worker_is_m_m_1() -> None:
    # The response time of M/M/1 is exponential with mean S / (1 - rho).
    station = Station(EXPONENTIAL, 1)
    times = responses(arrivals(60, 60_000), station, np.random.default_rng(3))
    rho = 60 * station.mean_ms / 1000
    mean = station.mean_ms / (1 - rho)
    assert times.mean() == pytest.approx(mean, rel=0.06)
    assert np.percentile(times, 95) == pytest.approx(mean * math.log(20), rel=0.08)


def test_two_workers_wait_as_erlang_c_says() -> None:
    # C(2, rho) = 2 rho^2 / (1 + rho); mean wait = C S / (2 (1 - rho)).
    station = Station(EXPONENTIAL, 2)
    times = responses(arrivals(140, 60_000), station, np.random.default_rng(3))
    rho = 140 * station.mean_ms / 2000
    wait = 2 * rho**2 / (1 + rho) * station.mean_ms / (2 * (1 - rho))
    assert times.mean() == pytest.approx(station.mean_ms + wait, rel=0.06)


def test_two_queues_are_two_of_one_worker() -> None:
    # Each gets half of the Poisson stream: M/M/1 at the same use.
    station = Station(EXPONENTIAL, 2, apart=True)
    times = responses(arrivals(120, 60_000), station, np.random.default_rng(3))
    mean = station.mean_ms / (1 - 120 * station.mean_ms / 2000)
    assert times.mean() == pytest.approx(mean, rel=0.06)
    said = predict(station, 0.0, 120, percentile=95).p95_ms
    assert said == pytest.approx(mean * math.log(20), rel=0.1)


def test_in_a_queue_of_its_own_a_request_waits_beside_an_idle_worker() -> None:
    # Pairs a millisecond apart: half of the second ones come to where the first is served.
    at = (np.arange(400.0)[:, None] + [0.0, 0.001]).ravel()
    for apart, late in ((True, 0.5), (False, 0.0)):
        station = Station(np.array([10.0]), 2, apart=apart)
        second = responses(at, station, np.random.default_rng(5))[1::2]
        assert set(second.round(6)) <= {10.0, 19.0}
        assert (second > 15).mean() == pytest.approx(late, abs=0.1)


def test_nobody_waits_for_an_idle_worker() -> None:
    times = responses(np.arange(50.0), Station(np.array([20.0]), 1), np.random.default_rng(0))
    assert times == pytest.approx(np.full(50, 20.0))


def test_what_queues_up_shares_a_call() -> None:
    # The first runs alone; the three that came meanwhile run together: 10 + 2 x 1 ms.
    together = Station(np.array([10.0]), 1, each_row_ms=1.0)
    times = responses(np.array([0.0, 0.001, 0.002, 0.003]), together, np.random.default_rng(0))
    assert times == pytest.approx([10.0, 10 + 12 - 1, 10 + 12 - 2, 10 + 12 - 3])


def test_workers_that_share_cores_are_slower_together() -> None:
    # Side by side both go at two thirds: in 9 ms the first does its last 6 and then 4 are left.
    both = Station(np.array([10.0]), 2, busy_ratio=1.5)
    times = responses(np.array([0.0, 0.004]), both, np.random.default_rng(0))
    assert times == pytest.approx([13.0, 13.0])


def test_two_workers_that_share_one_core_are_one_of_its_speed() -> None:
    # Each at half speed when both work: the core never does more than one request's work at once,
    # so the mean number in the system is that of M/M/1 with processor sharing up to two.
    shared = Station(EXPONENTIAL, 2, busy_ratio=2.0)
    rho = 0.6
    times = responses(
        arrivals(rho * 1000 / shared.mean_ms, 60_000), shared, np.random.default_rng(3)
    )
    assert times.mean() == pytest.approx(shared.mean_ms / (1 - rho), rel=0.06)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.05, 1.5), st.integers(1, 4), st.floats(1, 3), st.floats(0.5, 50),
    st.one_of(st.none(), st.floats(0, 5)),
)  # fmt: skip
def test_a_response_is_never_shorter_than_its_service(
    load: float, workers: int, ratio: float, service_ms: float, each: float | None
) -> None:
    station = Station(np.array([service_ms]), workers, ratio, each)
    schedule = poisson(station.rate_at(load), 200 * service_ms / 1000, np.random.default_rng(5))
    times = responses(schedule, station, np.random.default_rng(6))
    assert times.size == schedule.size
    assert (times >= service_ms * (1 - 1e-9)).all()


@given(st.floats(0.05, 0.95), st.integers(1, 8), st.floats(0.3, 3))
def test_the_rate_of_a_utilisation_has_that_utilisation(
    rho: float, workers: int, ratio: float
) -> None:
    station = Station(np.array([7.0]), workers, ratio)
    assert station.utilisation(station.rate_at(rho)) == pytest.approx(rho)
    if ratio >= 1 and not station.shares_cores:
        sizing = utilisation(station.rate_at(rho), workers, 7.0, 7.0 * ratio)
        assert float(sizing) == pytest.approx(rho)


def test_workers_that_share_cores_much_are_predicted_by_the_queue_itself() -> None:
    shared = Station(EXPONENTIAL, 2, busy_ratio=2.0)
    rho = 0.6
    at = predict(shared, 0.0, shared.rate_at(rho), percentile=95)
    assert at.utilisation == pytest.approx(rho)
    # Bounded by first come, first served and by processor sharing of one core.
    mean = shared.mean_ms / (1 - rho)
    assert at.p95_ms is not None
    assert 0.8 * mean * math.log(20) < at.p95_ms < 1.3 * mean * math.log(20)


def test_a_typical_schedule_is_one_of_many_and_not_an_odd_one() -> None:
    station = Station(np.array([20.0]), 1)
    rate = station.rate_at(0.7)

    def p95(schedule: np.ndarray) -> float:
        return float(np.percentile(responses(schedule, station, np.random.default_rng(1)), 95))

    chosen = [
        p95(typical(station, rate, 10, percentile=95, draws=40, skipped_s=0,
                    random=np.random.default_rng(seed)))
        for seed in range(8)
    ]  # fmt: skip
    chance = [p95(poisson(rate, 10, np.random.default_rng(seed))) for seed in range(40)]
    assert np.std(chosen) < 0.4 * np.std(chance)
    long = responses(arrivals(rate, 60_000), station, np.random.default_rng(9))
    assert np.mean(chosen) == pytest.approx(np.percentile(long, 95), rel=0.1)


def test_the_interval_holds_the_formula_and_widens_with_load() -> None:
    station = Station(np.random.default_rng(4).gamma(25, 0.8, 2000), 1)
    widths = []
    for rho in (0.3, 0.8):
        rate = station.rate_at(rho)
        schedule = typical(
            station, rate, 15, percentile=95, draws=40, skipped_s=1.5,
            random=np.random.default_rng(7),
        )  # fmt: skip
        at = predict(station, 1.0, rate, percentile=95, schedule=schedule, skipped_s=1.5)
        assert at.p95_ms is not None
        assert at.low_ms is not None
        assert at.high_ms is not None
        assert at.low_ms <= at.p95_ms <= at.high_ms
        assert at.utilisation == pytest.approx(rho)
        widths.append((at.high_ms - at.low_ms) / at.p95_ms)
    assert widths[0] < widths[1]


def test_no_figure_is_quoted_near_the_end_of_capacity() -> None:
    station = Station(np.array([20.0]), 1)
    assert predict(station, 0, station.rate_at(0.95), percentile=95).p95_ms is None
    drawn = curve(station, 0, station.rate_at(1.2), percentile=95)
    assert 0 < len(drawn) < 24
    assert max(rate for rate, _ in drawn) <= station.rate_at(0.86)
    assert [p for _, p in drawn] == sorted(p for _, p in drawn)


def test_requests_that_are_dear_after_a_pause_wait_as_welch_says() -> None:
    """M/G/1 with an exceptional first service of a busy period (Welch 1964), constant times a and
    b: E[W] = l b^2 / (2 (1 - l b)) + l (a^2 - b^2) / (2 (1 + l (a - b)))."""
    first, later = 10.0, 6.0
    station = Station(np.array([first]), 1, busy_ratio=later / first)
    rate = station.rate_at(0.8)
    times = responses(arrivals(rate, 80_000), station, np.random.default_rng(3))
    per_ms = rate / 1000
    wait = per_ms * later**2 / (2 * (1 - per_ms * later)) + per_ms * (first**2 - later**2) / (
        2 * (1 + per_ms * (first - later))
    )
    served = first + 0.8 * (later - first)
    assert times.mean() == pytest.approx(wait + served, rel=0.04)
    assert station.uneven


def test_what_waited_for_one_of_several_workers_finds_it_warm() -> None:
    # Two begin at once and go at two thirds: 15 ms each. The third comes without a pause, 10 ms of
    # work become 6, and works alone.
    station = Station(np.array([10.0]), 2, busy_ratio=0.9, warm=0.6)
    assert station.sharing == pytest.approx(1.5)
    times = responses(np.array([0.0, 0.0, 0.001]), station, np.random.default_rng(0))
    assert times == pytest.approx([15.0, 15.0, 20.0])


def test_a_sender_on_the_same_processors_takes_less_where_fewer_come() -> None:
    """At capacity a request takes a fifth longer for it. At half of that, the answers come as fast
    while both work, and half as many requests: three quarters of the fifth."""
    station = Station(np.array([10.0]), 2, 1.5, apart=True, displaced=0.2)
    assert station.at(station.rate_at(1.0)).busy_ratio == pytest.approx(1.5)
    half = station.at(station.rate_at(0.5))
    assert half.busy_ratio == pytest.approx(1.5 / 1.2 * 1.15)
    assert half.at(station.rate_at(0.1)) == half  # it is taken off once
    assert station.at(0.0).busy_ratio == pytest.approx(1.5 / 1.2 * 1.1)
    nobody = Station(np.array([10.0]), 2, 1.5)
    assert nobody.at(1.0) is nobody


def test_who_comes_without_a_pause_finds_a_worker_that_warms_up_by_and_by() -> None:
    # 10 ms after a pause, 6 in the long run: 10, 8, 7, 6.5 in a row, and cold again after a pause.
    at = np.array([0.0, 0.001, 0.002, 0.003, 1.0])
    station = Station(np.array([10.0]), 1, 0.6, cold_left=0.5)
    times = responses(at, station, np.random.default_rng(0))
    assert times == pytest.approx([10, 18 - 1, 25 - 2, 31.5 - 3, 10])
    # Of two workers each has its own warmth.
    station = Station(np.array([10.0]), 2, 0.6, cold_left=0.5)
    times = responses(at[[0, 0, 1, 1, 4]], station, np.random.default_rng(0))
    assert times == pytest.approx([10, 10, 18 - 1, 18 - 1, 10])


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.9), st.floats(0.3, 1), st.integers(1, 3))
def test_warming_up_by_and_by_lies_between_at_once_and_never(
    left: float, ratio: float, workers: int
) -> None:
    at = arrivals(Station(np.array([10.0]), workers).rate_at(0.7), 2000)

    def last(ratio: float, left: float) -> float:
        station = Station(np.array([10.0]), workers, ratio, cold_left=left)
        return float(responses(at, station, np.random.default_rng(0)).mean())

    assert last(ratio, 0) - 1e-9 <= last(ratio, left) <= last(1.0, 0) + 1e-9


def test_a_ratio_that_nobody_takes_apart_is_all_warmth_or_all_sharing() -> None:
    quicker, slower = (Station(np.array([10.0]), 2, ratio) for ratio in (0.7, 1.3))
    assert (quicker.warm_ratio, quicker.sharing) == (0.7, 1.0)
    assert (slower.warm_ratio, slower.sharing) == (1.0, 1.3)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.25, 4), st.one_of(st.none(), st.floats(0.25, 1)), st.integers(2, 4))
def test_the_queue_played_through_has_the_capacity_that_was_measured(
    ratio: float, warm: float | None, workers: int
) -> None:
    """Everybody at once: each call is without a pause but the first, and all work."""
    station = Station(np.array([10.0]), workers, ratio, warm=warm)
    assert station.warm_ratio * station.sharing == pytest.approx(ratio)
    assert station.sharing >= 1 - 1e-9
    calls = 60 * workers
    times = responses(np.zeros(calls), station, np.random.default_rng(0))
    first = 10 * station.sharing
    assert times.max() == pytest.approx(first + (calls / workers - 1) * 10 * ratio, rel=1e-6)


def test_warmth_does_not_hide_that_workers_share_processors() -> None:
    """Busy and alone differ by nothing, and yet two at once take a quarter longer: the percentile
    is above that of workers with a processor each."""
    hidden = Station(np.array([10.0]), 2, busy_ratio=1.0, warm=0.8)
    apart = Station(np.array([10.0]), 2)
    assert hidden.shares_cores
    assert hidden.uneven
    assert hidden.rate_at(0.7) == pytest.approx(apart.rate_at(0.7))
    found = [predict(s, 0, s.rate_at(0.7), percentile=95).p95_ms or 0.0 for s in (hidden, apart)]
    assert found[0] > 1.05 * found[1]


@pytest.mark.parametrize("workers", [2, 3])
def test_the_queue_played_through_is_the_one_in_small_steps(workers: int) -> None:
    """Against a simulation that knows no events: every 0.01 ms it looks who works."""
    step, warm, sharing = 0.01, 0.75, 1.4
    station = Station(np.array([10.0]), workers, warm * sharing, warm=warm)
    at_ms = np.round(arrivals(station.rate_at(0.8), 250) * 1000, 2) + step / 2
    waiting = list(range(at_ms.size))
    left: dict[int, float] = {}
    ends = np.zeros(at_ms.size)
    now = 0.0
    while waiting or left:
        free = len(left) < workers
        while waiting and len(left) < workers and at_ms[waiting[0]] <= now:
            first = waiting.pop(0)
            left[first] = 10.0 * (1.0 if free and at_ms[first] > now - step else warm)
        slower = 1 + (sharing - 1) * (len(left) - 1) / (workers - 1)
        now += step
        for one in list(left):
            left[one] -= step / slower
            if left[one] <= 1e-9:
                del left[one]
                ends[one] = now
    times = responses(at_ms / 1000, station, np.random.default_rng(0))
    assert times == pytest.approx(ends - at_ms, abs=1.0)
    assert times.mean() == pytest.approx((ends - at_ms).mean(), rel=0.01)
