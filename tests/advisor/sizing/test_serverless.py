"""Cold starts and the warm-and-cold mixture, against simulation and the exact eigenvalues."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh_tridiagonal

from advisor.errors import InputError
from advisor.requirements import parse
from advisor.sizing.serverless import (
    cold_start_share,
    cold_starts_billed_per_s,
    concurrency,
    mixture_percentile_ms,
)
from advisor.sizing.warm_pool import ladder
from advisor.sizing.warm_up import least_volume
from advisor.workload import resolve
from benchmarks.cold_starts import KEPT, KINDS, LOADS, RARE, seen
from benchmarks.simulation import cold_share_per_request, cold_share_shared, cold_shares

RISES_BELOW = 0.045  # shares of cold requests that may rise with the load


def test_concurrency_is_littles_law() -> None:
    assert concurrency([10, 0], 0.25).tolist() == [2.5, 0.0]


@pytest.mark.parametrize(
    ("rate", "service", "keep"), [(1 / 600, 0.2, 600), (0.01, 5, 300), (0.2, 2, 10)]
)
def test_share_of_a_shared_instance_is_exact(rate: float, service: float, keep: float) -> None:
    seen = cold_share_shared(rate, service, keep, 1_000_000, seed=1)
    assert cold_start_share(rate, service, keep, shared=True) == pytest.approx(seen, rel=0.015)


@pytest.mark.parametrize(
    ("rate", "service", "keep", "kind", "cv"),
    [
        (1 / 600, 0.2, 600, "exp", 1.0),
        (0.02, 2, 600, "exp", 1.0),
        (0.5, 2, 60, "gamma:0.3", 0.3),
        (2, 1, 4, "det", 0.0),
        (5, 1, 30, "logn4", 2.0),
        (20, 1, 20, "gamma:0.3", 0.3),
        (80, 1, 10, "exp", 1.0),
        (300, 1, 5, "exp", 1.0),
    ],
)
def test_share_of_instances_of_one_request_each(
    rate: float, service: float, keep: float, kind: str, cv: float
) -> None:
    seen = cold_share_per_request(rate, service, keep, 250_000, seed=2, kind=kind)
    assert cold_start_share(rate, service, keep, cv=cv) == pytest.approx(seen, rel=0.10)


@pytest.mark.parametrize("kind", ["det", "exp", "logn4"])
def test_the_two_simulators_tell_the_same(kind: str) -> None:
    kept = (0.5, 5.0, 40.0)
    quick = cold_shares(3.0, kept, 20_000, seed=9, kind=kind)
    plain = [cold_share_per_request(3.0, 1.0, k, 20_000, seed=9, kind=kind) for k in kept]
    assert quick.tolist() == pytest.approx(plain, abs=2e-4)  # who is counted at the very start


@pytest.mark.parametrize(
    ("kind", "cv"), [("gamma:0.3", 0.3), ("exp", 1.0), ("logn4", 2.0), ("h2", 2.0)]
)
@pytest.mark.parametrize("load", [0.3, 30.0])
def test_variability_of_the_service_counts(load: float, kind: str, cv: float) -> None:
    kept = (5.0, 20.0)
    seen = cold_shares(load, kept, 400_000, seed=5, kind=kind)
    shares = [float(cold_start_share(load, 1.0, k, cv=cv)) for k in kept]
    assert shares == pytest.approx(seen.tolist(), rel=0.10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("load", LOADS)
def test_share_is_that_of_the_simulation_over_the_whole_grid(load: float, kind: str) -> None:
    found, error = seen(load, kind)
    for kept, share, noise in zip(KEPT, found, error, strict=True):
        if share >= RARE:
            predicted = float(cold_start_share(load, 1.0, kept, cv=KINDS[kind]))
            assert abs(predicted / share - 1) < 0.10 + 2 * noise / share, (kept, kind)


@settings(max_examples=80, deadline=None)
@given(
    rate=st.floats(1e-8, 1e4), busier=st.floats(1, 50), service=st.floats(0.005, 60),
    keep=st.floats(10, 3600),
)  # fmt: skip
def test_more_traffic_never_has_fewer_starts_billed(
    rate: float, busier: float, service: float, keep: float
) -> None:
    few, many = cold_starts_billed_per_s([rate, rate * busier], service, keep)
    assert many >= few * (1 - 1e-12)
    seen = rate * float(cold_start_share(rate, service, keep))
    assert few >= seen * 0.9  # at least what there are, as far as the table goes


def test_starts_billed_are_those_there_are_while_traffic_is_rare() -> None:
    rates = np.array([1e-5, 1e-4, 1e-3])  # fewer than one in the keep-alive time
    billed = cold_starts_billed_per_s(rates, 0.2, 600)
    assert billed == pytest.approx(rates * cold_start_share(rates, 0.2, 600), rel=0.03)


@pytest.mark.parametrize(("load", "keep"), [(0.1, 5), (0.5, 100), (3, 20), (12, 50), (40, 2000)])
def test_ladder_is_exact_for_exponential_service(load: float, keep: float) -> None:
    exact = exact_share(load, keep)
    assert ladder(np.array([load]), np.array([keep]))[0, 0] == pytest.approx(exact, rel=0.01)
    assert cold_start_share(load, 1.0, keep) == pytest.approx(exact, rel=0.02)


def test_extrapolation_above_the_ladder_follows_the_exact_sum() -> None:
    assert cold_start_share(320, 1.0, 100) == pytest.approx(exact_share(320, 100), rel=0.03)


def exact_share(load: float, keep: float) -> float:
    """M/M/infinity: the climbs to each level, and how many of them come `keep` after the fall
    below it, from the slowest eigenvalues and vectors of the chain that the climb kills."""
    share = 0.0
    for n in range(1, int(load + 9 * math.sqrt(load)) + 24):
        i = np.arange(n)
        log_pi = i * math.log(load) - load - np.array([math.lgamma(k + 1) for k in i])
        if n > load and log_pi[-1] < -28:
            break
        if n < load - 3 * math.sqrt(load) and n > 30:
            continue  # hardly ever left
        root = np.exp((log_pi - log_pi.max()) / 2)
        decay, vectors = eigh_tridiagonal(
            load + i, -np.sqrt(load * i[1:]), select="i", select_range=(0, min(n - 1, 9))
        )
        part = vectors[-1] / root[-1] * (vectors.T @ root)
        share += math.exp(log_pi[-1]) * float(part @ np.exp(-decay * keep))
    return share


@settings(max_examples=15, deadline=None)
@given(load=st.floats(1e-4, 500), kept=st.floats(2, 1e4), cv=st.floats(0, 10))
def test_service_of_any_variability_gives_a_share(load: float, kept: float, cv: float) -> None:
    share = float(cold_start_share(load, 1.0, kept, cv=cv))
    assert 0 <= share <= 1
    busier = float(cold_start_share(load * 1.5, 1.0, kept, cv=cv))
    assert busier <= max(share * 1.02, RISES_BELOW)


def test_the_share_may_rise_where_a_second_instance_comes_into_use() -> None:
    loads, kept = (0.0088, 0.0132), 993.0
    shares = [float(cold_start_share(load, 1.0, kept, cv=0.0)) for load in loads]
    simulated = [cold_shares(load, (kept,), 1_000_000, 1, "det")[0] for load in loads]
    assert shares == pytest.approx(simulated, rel=0.03)
    assert RISES_BELOW > shares[1] > shares[0] * 1.2
    # 4,000 requests of 0.604 s: warm-up calls stop where enough are warm, before the share rises.
    need = {
        "model": {"format": "onnx", "size_mb": 1, "memory_mb": 9, "service_time_ms": 604,
                  "service_time_cv": 0},
        "traffic": {"mode": "async", "requests_per_month": loads[0] / 2 / 0.604 * 730 * 3600},
    }  # fmt: skip
    work = resolve(parse(need))
    most = (shares[0] + shares[1]) / 2
    volume = least_volume(work, 0.604, kept * 0.604, most, upto=3.0)
    assert volume is not None
    assert volume < 2
    at = [loads[0] / 2 * volume / 1.01, loads[0] / 2 * volume]
    before, there = cold_start_share(at, 1.0, kept, cv=0.0).tolist()
    assert before > most >= there


def test_no_traffic_is_cold() -> None:
    assert cold_start_share([0.0, 0.0], 1, 600).tolist() == [1.0, 1.0]
    assert cold_start_share(0.0, 1, 600, shared=True) == 1
    assert cold_start_share(1e-9, 1, 600) == pytest.approx(1, abs=1e-6)


def test_a_week_of_rates_from_silence_to_a_flood() -> None:
    rates = np.concatenate([[0.0], np.geomspace(1e-7, 1e7, 167)])
    share = cold_start_share(rates.reshape(24, 7), 0.4, 600)
    assert share.shape == (24, 7)
    assert ((share >= 0) & (share <= 1)).all()
    flat = share.ravel()
    assert flat[-1] < 1e-6
    assert flat[1] > 0.99
    assert np.isin(flat[[3, 90]], cold_start_share(rates[[3, 90]], 0.4, 600)).all()


@settings(max_examples=50, deadline=None)
@given(rate=st.floats(1e-5, 1e4), service=st.floats(0.005, 30), keep=st.floats(1, 3600))
def test_longer_keep_alive_never_makes_more_cold_starts(
    rate: float, service: float, keep: float
) -> None:
    for shared in (False, True):
        short = cold_start_share(rate, service, keep, shared=shared)
        longer = cold_start_share(rate, service, keep * 1.5, shared=shared)
        assert longer <= short + 1e-12


def test_negative_rates_are_named() -> None:
    with pytest.raises(InputError, match="-1 requests/s"):
        cold_start_share([-1.0], 1, 600)
    with pytest.raises(InputError, match="service_s is 0"):
        cold_start_share([1.0], 0, 600)
    with pytest.raises(InputError, match="cv is -1"):
        cold_start_share([1.0], 1, 600, cv=-1)


def test_cold_starts_show_exactly_when_they_are_frequent_enough() -> None:
    rare = mixture_percentile_ms(95, 0.01, 100, 3000, 0.3)
    often = mixture_percentile_ms(95, 0.08, 100, 3000, 0.3)
    assert rare < 200
    assert 3000 < often < 3200
    assert mixture_percentile_ms(95, 0.04, 100, 3000, 0.0) == 100
    assert mixture_percentile_ms(95, 0.06, 100, 3000, 0.0) == 3100
    assert mixture_percentile_ms(99, 0.04, 100, 3000, 0.0) == 3100


@pytest.mark.parametrize(
    ("cv", "share", "init"), [(0.3, 0.03, 80), (1.0, 0.2, 500), (2.0, 0.06, 900)]
)
def test_mixture_percentile_is_that_of_a_sample(cv: float, share: float, init: float) -> None:
    rng = np.random.default_rng(4)
    n = 2_000_000
    if cv <= 1:
        service = rng.gamma(cv**-2, 100 * cv**2, n)
    else:
        sigma2 = math.log1p(cv * cv)
        service = 100 * rng.lognormal(-sigma2 / 2, math.sqrt(sigma2), n)
    sample = service + init * (rng.random(n) < share)
    assert mixture_percentile_ms(95, share, 100, init, cv) == pytest.approx(
        np.quantile(sample, 0.95), rel=0.01
    )


def test_mixture_ends_are_all_warm_and_all_cold() -> None:
    warm = mixture_percentile_ms(95, 0.0, 100, 3000, 0.5)
    assert mixture_percentile_ms(95, 1.0, 100, 3000, 0.5) == pytest.approx(warm + 3000, rel=1e-6)
    assert mixture_percentile_ms(95, 0.5, 100, 0, 0.5) == warm
    with pytest.raises(InputError, match=r"cold_share is 1\.2"):
        mixture_percentile_ms(95, 1.2, 100, 3000, 0.5)
