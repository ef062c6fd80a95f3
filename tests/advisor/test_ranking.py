"""Fixed scales: an option's utilities never depend on the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.ranking import Measures, contributions, is_close, stability, utilities
from advisor.recommendation import Range
from advisor.requirements import parse
from advisor.workload import resolve

NEED = parse(
    {
        "model": {"format": "onnx", "size_mb": 10, "memory_mb": 300, "service_time_ms": 10},
        "traffic": {"mode": "realtime", "requests_per_month": 1_000_000},
    }
)
WORK = resolve(NEED)


def measures(option: str = "a", usd: float = 500, hours: float = 5, slack: float = 0.5) -> Measures:
    return Measures(
        option=option,
        total_usd=Range(low=usd * 0.8, expected=usd, high=usd * 1.3),
        people_hours=Range(low=hours / 2, expected=hours, high=hours * 2),
        headroom=slack,
        control=0.5,
        launch_weeks=1,
        portability=0.5,
        elasticity=0.5,
        resilience=0.5,
        points=0.0,
    )


def score(m: Measures) -> float:
    return sum(contributions(m, utilities(m, WORK), NEED.priorities).values())


@given(usd=st.floats(1, 1e7), factor=st.floats(1.01, 100))
def test_a_dearer_option_never_scores_higher(usd: float, factor: float) -> None:
    assert score(measures(usd=usd * factor)) <= score(measures(usd=usd)) + 1e-12


@given(hours=st.floats(0, 500), more=st.floats(0, 500))
def test_more_effort_never_scores_higher(hours: float, more: float) -> None:
    assert score(measures(hours=hours + more)) <= score(measures(hours=hours)) + 1e-12


def test_utilities_stay_between_zero_and_one() -> None:
    for m in (measures(usd=1e9, hours=1e4, slack=-5), measures(usd=0, hours=0, slack=1)):
        assert all(0 <= u <= 1 for u in utilities(m, WORK).values())


def test_shares_sum_to_one_and_repeat() -> None:
    options = [measures("a", 400), measures("b", 420), measures("c", 2000)]
    first, again = stability(options, WORK), stability(options, WORK)
    assert first == again
    assert sum(first.values()) == pytest.approx(1)
    assert first["a"] > first["b"] > first["c"]


def test_order_does_not_matter() -> None:
    options = [measures("a", 400), measures("b", 420)]
    assert stability(options, WORK) == stability(options[::-1], WORK)


def test_a_certain_gap_wins_every_draw() -> None:
    cheap, dear = measures("a", 200), measures("b", 20_000, hours=60)
    assert stability([cheap, dear], WORK)["a"] == 1.0


def test_points_of_rules_move_the_score() -> None:
    plain = measures()
    liked = replace(plain, points=1.0)
    assert score(liked) > score(plain)
    parts = contributions(liked, utilities(liked, WORK), NEED.priorities)
    assert parts["rules"] == pytest.approx(score(liked) - score(plain))


@pytest.mark.parametrize(
    ("scores", "share", "close"),
    [
        ([0.8, 0.5], 0.9, False),
        ([0.8, 0.75], 0.9, True),
        ([0.8, 0.5], 0.5, True),
        ([0.8], 1, False),
    ],
)
def test_close_calls(scores: list[float], share: float, close: bool) -> None:
    assert is_close(scores, share) is close
