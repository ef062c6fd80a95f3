"""The queueing formulas against closed forms, simulation and common sense."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError
from advisor.sizing.queueing import (
    busy_service_ms,
    erlang_b,
    erlang_c,
    max_rate_per_replica,
    replica_percentile_ms,
    response_miss_probability,
    response_percentile_ms,
    utilisation,
)
from advisor.sizing.response import wait_moments
from benchmarks.simulation import draw, enough, responses

CVS = st.one_of(st.just(0.0), st.floats(0.02, 10))
SERVERS = st.integers(1, 300)


def exact_erlang(c: int, a: Fraction) -> tuple[Fraction, Fraction]:
    """Erlang B and C as sums of fractions, straight from the definitions."""
    terms = [a**k / math.factorial(k) for k in range(c + 1)]
    waiting = terms[c] / (1 - a / c)
    return terms[c] / sum(terms), waiting / (sum(terms[:c]) + waiting)


@pytest.mark.parametrize(
    ("c", "a"), [(1, 0.5), (2, 1), (5, 3), (10, 8), (40, 36), (120, 119.5), (1500, 1450)]
)
def test_erlang_formulas_are_those_of_the_definition(c: int, a: float) -> None:
    blocked, waiting = exact_erlang(c, Fraction(a))
    assert erlang_b(c, a) == pytest.approx(float(blocked), rel=1e-10)
    assert erlang_c(c, a / c) == pytest.approx(float(waiting), rel=1e-10)


@pytest.mark.parametrize(("c", "a", "blocked"), [(1, 1, 0.5), (2, 1, 0.2), (10, 5, 0.018385)])
def test_erlang_b_is_the_printed_table(c: int, a: float, blocked: float) -> None:
    assert erlang_b(c, a) == pytest.approx(blocked, abs=5e-7)


def test_erlang_formulas_work_on_arrays_of_mixed_sizes() -> None:
    c, a = np.array([[3, 0], [700, 1]]), np.array([[2.0, 1.0], [600.0, 0.0]])
    each = [[float(erlang_b(int(n), x)) for n, x in zip(*row, strict=True)] for row in zip(c, a)]  # noqa: B905
    assert erlang_b(c, a) == pytest.approx(np.array(each))
    assert erlang_b(0, 1.0) == 1
    assert erlang_c(4, [0.0, 1.0, 1.7]).tolist() == [0.0, 1.0, 1.0]


def test_single_exponential_server_is_the_closed_form() -> None:
    # M/M/1: the response is exponential with rate mu - lambda.
    assert response_miss_probability(300, 5, 100, 1.0, 1) == pytest.approx(math.exp(-1.5), rel=1e-4)
    assert response_percentile_ms(95, 5, 100, 1.0, 1) == pytest.approx(
        -math.log(0.05) / 5 * 1000, rel=1e-4
    )


@pytest.mark.parametrize(("c", "rho"), [(2, 0.6), (8, 0.85), (24, 0.9)])
def test_many_exponential_servers_are_the_closed_form(c: int, rho: float) -> None:
    waiting, drain, t = float(erlang_c(c, rho)), c * (1 - rho), 2.5
    mixed = (math.exp(-t) - math.exp(-drain * t)) / (drain - 1)
    exact = math.exp(-t) * (1 - waiting) + waiting * (math.exp(-drain * t) + drain * mixed)
    assert response_miss_probability(t * 1000, c * rho, 1000, 1.0, c) == pytest.approx(
        exact, rel=2e-3
    )


@pytest.mark.parametrize("cv", [0.0, 0.2, 0.5, 1.0, 1.4])
def test_mean_response_of_one_server_is_pollaczek_khinchine(cv: float) -> None:
    rho = 0.6
    exact = 1 + rho * (1 + cv * cv) / (2 * (1 - rho))
    t = np.linspace(0, 200, 40_001)
    tail = response_miss_probability(t * 1000, rho, 1000, cv, 1)
    assert np.trapezoid(tail, t) == pytest.approx(exact, rel=5e-3)


@pytest.mark.parametrize(("kind", "cv", "c", "rho"), [("det", 0.0, 8, 0.7), ("erl4", 0.5, 4, 0.6)])
def test_mean_wait_of_many_servers_is_that_of_the_simulation(
    kind: str, cv: float, c: int, rho: float
) -> None:
    seen = responses(kind, c, rho, seed=9, **enough(rho, cv * cv)).mean() - 1
    _, mean = wait_moments(cv, rho, c)
    assert erlang_c(c, rho) * mean == pytest.approx(seen, rel=0.04)


def test_simulator_agrees_with_an_event_based_one() -> None:
    """The recursion that the other tests lean on, against SimPy's own clock and resource."""
    seen = event_based_responses(servers=2, rho=0.7, customers=60_000)
    fast = responses("erl4", 2, 0.7, seed=3, **enough(0.7, 0.25))
    assert np.quantile(seen, 0.95) == pytest.approx(np.quantile(fast, 0.95), rel=0.03)
    assert seen.mean() == pytest.approx(fast.mean(), rel=0.03)


def event_based_responses(servers: int, rho: float, customers: int) -> np.ndarray:
    rng = np.random.default_rng(11)
    gaps = rng.exponential(1 / (servers * rho), customers)
    service = draw(rng, "erl4", customers)
    world = simpy.Environment()
    workers = simpy.Resource(world, capacity=servers)
    out = np.empty(customers)

    def customer(i: int):
        arrived = world.now
        with workers.request() as turn:
            yield turn
            yield world.timeout(service[i])
        out[i] = world.now - arrived

    def source():
        for i in range(customers):
            yield world.timeout(gaps[i])
            world.process(customer(i))

    world.process(source())
    world.run()
    return out[2000:]


# A covering subset: every number of servers, every load and every service time at least twice.
COVERING = [
    ("det", 1, 0.5), ("det", 4, 0.7), ("det", 16, 0.85),
    ("erl4", 2, 0.3), ("erl4", 8, 0.85), ("erl4", 1, 0.7),
    ("exp", 1, 0.85), ("exp", 32, 0.7), ("exp", 4, 0.5),
    ("h2", 1, 0.7), ("h2", 4, 0.85), ("h2", 16, 0.3),
    ("logn4", 1, 0.5), ("logn4", 2, 0.7), ("logn4", 8, 0.85), ("logn4", 32, 0.5),
    ("gamma:0.3", 1, 0.7), ("gamma:0.3", 4, 0.85), ("gamma:0.7", 2, 0.5),
]  # fmt: skip
CV = {
    "det": 0.0, "erl4": 0.5, "exp": 1.0, "h2": 2.0, "logn4": 2.0, "gamma:0.3": 0.3, "gamma:0.7": 0.7,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "c", "rho"), COVERING)
def test_p95_is_that_of_the_simulation(kind: str, c: int, rho: float) -> None:
    assert_p95_agrees(kind, c, rho)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.3, 0.5, 0.7, 0.85, 0.95])
@pytest.mark.parametrize("c", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("kind", ["det", "erl4", "exp", "h2", "logn4"])
def test_p95_is_that_of_the_simulation_over_the_whole_grid(kind: str, c: int, rho: float) -> None:
    assert_p95_agrees(kind, c, rho)


def assert_p95_agrees(kind: str, c: int, rho: float) -> None:
    cv = CV[kind]
    seen = np.quantile(responses(kind, c, rho, seed=c + 100, **enough(rho, cv * cv)), 0.95)
    predicted = response_percentile_ms(95, c * rho, 1000, cv, c) / 1000
    assert predicted == pytest.approx(seen, rel=0.05 if cv <= 1 else 0.15)


def test_random_split_over_replicas_is_worse_than_one_shared_queue() -> None:
    """Two replicas of one worker each are not one queue with two workers."""
    split = response_percentile_ms(95, 7, 100, 0.3, 1)
    shared = response_percentile_ms(95, 14, 100, 0.3, 2)
    assert split > shared * 1.2


def test_a_queue_that_cannot_keep_up_misses_always() -> None:
    assert response_miss_probability(1e9, [10, 11], 100, 0.3, 1).tolist() == [1.0, 1.0]
    assert response_percentile_ms(95, 10, 100, 0.3, 1) == math.inf
    assert replica_percentile_ms(14, 95, 100, 150, 0.3, 2) == math.inf


def test_extremes_stay_finite_probabilities() -> None:
    cv_and_servers = [(0.0, 1), (0.0, 896), (0.05, 3), (10.0, 1), (10.0, 400), (1.0001, 7)]
    for cv, c in cv_and_servers:
        miss = response_miss_probability(
            np.geomspace(1, 1e7, 40), c * 0.9999 * 10, 100, cv, c
        )  # fmt: skip
        assert np.isfinite(miss).all()
        assert ((miss >= 0) & (miss <= 1)).all()
        assert (np.diff(miss) <= 1e-5).all()  # as far as the quadrature goes
        assert np.isfinite(response_percentile_ms(99.9, c * 9.5, 100, cv, c))


def test_service_time_grows_to_the_busy_one_at_capacity() -> None:
    assert busy_service_ms(0, 4, 10, 15) == 10
    capacity = 4 / 0.015
    assert utilisation(capacity, 4, 10, 15) == pytest.approx(1)
    assert busy_service_ms(capacity, 4, 10, 15) == pytest.approx(15)
    assert busy_service_ms(10 * capacity, 4, 10, 15) == 15
    half = utilisation(150, 4, 10, 15)
    service_s = busy_service_ms(150, 4, 10, 15) / 1000
    assert half == pytest.approx(150 * service_s / 4)
    assert service_s == pytest.approx((10 + half * 5) / 1000)


def test_max_rate_is_where_the_target_is_just_kept() -> None:
    alone, busy, c = np.array([20.0, 20, 30, 8]), np.array([20.0, 30, 45, 8]), [1, 4, 16, 64]
    rate = max_rate_per_replica(75, 95, alone, busy, 0.4, c, 0.85)
    service = busy_service_ms(rate, c, alone, busy)
    miss = response_miss_probability(75, rate, service, 0.4, c)
    at_cap = utilisation(rate, c, alone, busy) > 0.849
    assert at_cap.tolist() == [False, False, False, True]
    assert miss[0] == pytest.approx(0.05, rel=0.03)
    # The late ones see a busier machine than the mean request does (`test_shared_cores` simulates
    # it), so by the mean service time alone fewer would be late.
    assert (miss[1:3] < 0.05).all()
    assert miss[3] < 0.05
    percentile = replica_percentile_ms(rate, 95, alone, busy, 0.4, c)
    assert (percentile <= 75 + 1e-6).all()
    assert percentile[:3] == pytest.approx(75, rel=0.01)


def test_max_rate_is_zero_where_an_idle_replica_misses() -> None:
    rate = max_rate_per_replica([99.9, 100.1, -5], 95, 100, 100, 0.0, 4, 0.7)
    assert rate[0] == 0
    assert rate[1] > 0
    assert rate[2] == 0
    spread = float(replica_percentile_ms(0, 95, 100, 150, 0.5, 8))
    assert max_rate_per_replica(spread - 1, 95, 100, 150, 0.5, 8, 0.7) == 0


def test_max_rate_keeps_to_the_utilisation_asked_for() -> None:
    rate = max_rate_per_replica(1e6, 95, 100, 150, 0.3, [1, 2, 448], 0.7)
    assert utilisation(rate, [1, 2, 448], 100, 150) == pytest.approx(0.7)
    assert rate[0] == pytest.approx(0.7 / 0.135)


def test_max_rate_serves_a_whole_price_list_at_once() -> None:
    rng = np.random.default_rng(5)
    alone = rng.choice(np.linspace(6, 25, 150), 1400)
    c = rng.choice([1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 448, 896], 1400)
    together = max_rate_per_replica(60, 95, alone, alone * 1.5, 0.3, c, 0.7)
    assert together.shape == (1400,)
    for i in range(0, 1400, 211):
        one = max_rate_per_replica(60, 95, alone[i], alone[i] * 1.5, 0.3, c[i], 0.7)
        assert one == pytest.approx(together[i])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="percentile is 100"):
        max_rate_per_replica(100, 100, 10, 10, 0.3, 1, 0.7)
    with pytest.raises(InputError, match="cv is -1"):
        response_percentile_ms(95, 1, 10, -1, 1)
    with pytest.raises(InputError, match="servers is 0"):
        max_rate_per_replica(100, 95, 10, 10, 0.3, 0, 0.7)


@settings(max_examples=60, deadline=None)
@given(cv=CVS, c=SERVERS, low=st.floats(0.01, 0.97), more=st.floats(0.0, 0.5))
def test_more_load_never_shortens_the_response(cv: float, c: int, low: float, more: float) -> None:
    high = low + (0.98 - low) * more
    first, second = replica_percentile_ms(np.array([low, high]) * c * 10, 95, 100, 100, cv, c)
    assert second >= first * (1 - 1e-9)


@settings(max_examples=60, deadline=None)
@given(
    cv=CVS, c=SERVERS, target=st.floats(5, 5000), looser=st.floats(1, 3), ratio=st.floats(1, 1.6)
)
def test_a_looser_target_never_lowers_the_rate(
    cv: float, c: int, target: float, looser: float, ratio: float
) -> None:
    tight, loose = max_rate_per_replica(
        np.array([target, target * looser]), 95, 50, 50 * ratio, cv, c, 0.8
    )
    assert loose >= tight


@settings(max_examples=60, deadline=None)
@given(cv=CVS, c=SERVERS, target=st.floats(40, 2000), more=st.integers(1, 100))
def test_more_workers_never_lower_the_rate(cv: float, c: int, target: float, more: int) -> None:
    few, many = max_rate_per_replica(target, 95, 40, 60, cv, np.array([c, c + more]), 0.8)
    assert many >= few * (1 - 1e-9)


@settings(max_examples=40, deadline=None)
@given(cv=CVS, c=SERVERS, target=st.floats(40, 2000), slower=st.floats(1, 4))
def test_a_slower_machine_never_takes_more(cv: float, c: int, target: float, slower: float) -> None:
    fast, slow = max_rate_per_replica(
        target, 95, np.array([20, 20 * slower]), np.array([30, 30 * slower]), cv, c, 0.8
    )
    assert slow <= fast * (1 + 1e-9)


@pytest.mark.parametrize(
    ("servers", "load"),
    [(1_001, 4_830.0), (1_001, 2_600.0), (1_001, 1e9), (5_000, 9_000.0), (20_000, 27_000.0)],
)
def test_servers_that_are_flooded_are_told_as_well(servers: int, load: float) -> None:
    """The sum of the definition, in logarithms: 1 / B = sum of c! / (c - k)! / a^k."""
    terms = np.concatenate([[0.0], np.cumsum(np.log(np.arange(servers, 0, -1.0) / load))])
    assert erlang_b(servers, load) == pytest.approx(1 / np.exp(terms).sum(), rel=1e-9)
