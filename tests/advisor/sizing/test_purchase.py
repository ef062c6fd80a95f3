"""Commitments for the steady part and spot: the level that costs least, and what is billed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.sizing.purchase import Offer, buy, level, month_hours, paid_hours
from advisor.sizing.sized import Term

UNITS = st.lists(st.integers(0, 12), min_size=1, max_size=40)
SHARE = st.floats(0.05, 0.95)


def offer(share: float, term: Term = "1y") -> Offer:
    text = np.array(["a plan"], dtype=object)
    return Offer(term, np.array([share]), text, text, text)


def cost(committed: float, units: np.ndarray, hours: np.ndarray, share: float) -> float:
    """In hours at the price on demand, from first principles: an hour at a time."""
    return sum(
        h * (share * committed + max(u - committed, 0)) for u, h in zip(units, hours, strict=True)
    )


def test_what_runs_all_the_time_is_committed_and_the_peak_is_not() -> None:
    # A week of 168 hours: 2 replicas always, 5 more in 40 of them. With 40 % off a further
    # replica pays when it runs in more than 60 % of the hours; 40 / 168 is 24 %.
    units = np.array([7.0] * 40 + [2.0] * 128)
    bought = buy(offer(0.6), units, month_hours(168))
    assert bought is not None
    assert bought.level == 2
    assert bought.discounted == pytest.approx(2 * 730)
    assert bought.on_demand == pytest.approx(5 * 40 * 730 / 168)
    assert bought.idle == 0


def test_idle_committed_hours_are_paid() -> None:
    # 4 replicas in three quarters of the hours, 1 in the rest: with 40 % off the four pay
    # (75 % > 60 %), and three of them stand idle for a quarter of the month.
    units = np.array([4.0, 4.0, 4.0, 1.0])
    bought = buy(offer(0.6), units, month_hours(4))
    assert bought is not None
    assert bought.level == 4
    assert bought.discounted == pytest.approx(4 * 730)
    assert bought.idle == pytest.approx(3 * 730 / 4)
    assert bought.on_demand == 0


def test_nothing_is_committed_when_nothing_is_steady() -> None:
    assert buy(offer(0.6), [3.0, 0.0, 0.0, 0.0], month_hours(4)) is None


def test_exactly_at_break_even_both_cost_the_same() -> None:
    units, hours = np.array([1.0, 1.0, 0.0, 0.0]), month_hours(4)
    assert cost(1, units, hours, 0.5) == pytest.approx(cost(0, units, hours, 0.5))


def test_a_level_that_is_fixed_is_owed_when_less_is_used() -> None:
    bought = buy(offer(0.6), [1.0, 1.0], month_hours(2), fixed=3.0)
    assert bought is not None
    assert bought.discounted == pytest.approx(3 * 730)
    assert bought.idle == pytest.approx(2 * 730)


def test_spot_takes_every_hour_and_no_more() -> None:
    bought = buy(offer(0.3, "spot"), [3.0, 1.0], month_hours(2))
    assert bought is not None
    assert bought.discounted == pytest.approx(4 * 365)
    assert bought.on_demand == bought.idle == 0
    assert bought.label == "spot"


@given(UNITS, SHARE)
def test_no_other_level_costs_less(units: list[int], share: float) -> None:
    used, hours = np.array(units, dtype=float), month_hours(len(units))
    best = cost(level(used, hours, share), used, hours, share)
    for other in range(14):
        assert best <= cost(other, used, hours, share) + 1e-6


@given(UNITS, SHARE)
def test_a_commitment_never_costs_more_than_on_demand(units: list[int], share: float) -> None:
    used, hours = np.array(units, dtype=float), month_hours(len(units))
    bought = buy(offer(share), used, hours)
    plain = float(used @ hours)
    if bought is not None:
        assert share * bought.discounted + bought.on_demand <= plain + 1e-6
        assert bought.discounted - bought.idle + bought.on_demand == pytest.approx(plain)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=5, max_size=5), min_size=1, max_size=6),
    st.lists(st.integers(1, 60), min_size=5, max_size=5),
    st.lists(SHARE, min_size=6, max_size=6),
)
def test_many_machines_at_once_are_as_one_after_the_other(
    rows: list[list[int]], weights: list[int], shares: list[float]
) -> None:
    counts = np.sort(np.array(rows, dtype=float), axis=1)
    hours, share = np.array(weights, dtype=float), np.array(shares[: len(rows)])
    together = paid_hours(counts, hours, share)
    for i, row in enumerate(counts):
        assert together[i] == pytest.approx(cost(level(row, hours, share[i]), row, hours, share[i]))
