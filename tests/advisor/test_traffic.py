"""168 hourly rates carry the month's requests, whatever the pattern."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK, Mode, Pattern, Traffic
from advisor.traffic import weekly_rates


def month(rates: np.ndarray) -> float:
    return float(rates.mean() * 3600 * HOURS_IN_MONTH)


@pytest.mark.parametrize("pattern", list(Pattern))
def test_the_month_is_carried(pattern: Pattern) -> None:
    rates = weekly_rates(Traffic(mode=Mode.realtime, requests_per_month=1e6, pattern=pattern))
    assert rates.shape == (HOURS_IN_WEEK,)
    assert month(rates) == pytest.approx(1e6)
    assert (rates >= 0).all()


def test_monday_morning_comes_first() -> None:
    rates = weekly_rates(
        Traffic(mode=Mode.realtime, requests_per_month=1e6, pattern=Pattern.business_hours)
    )
    assert rates[9] > 5 * rates[3]
    assert rates[4 * 24 + 10] > 5 * rates[5 * 24 + 10]


@given(
    week=st.lists(st.floats(0, 1e6), min_size=168, max_size=168).filter(lambda w: sum(w) > 1e-3),
    requests=st.floats(1, 1e12),
)
def test_a_measured_week_keeps_its_shape(week: list[float], requests: float) -> None:
    traffic = Traffic(mode=Mode.realtime, requests_per_month=requests, pattern=tuple(week))
    rates = weekly_rates(traffic)
    assert month(rates) == pytest.approx(requests)
    given_week = np.array(week)
    assert np.allclose(rates / rates.sum(), given_week / given_week.sum())


def test_a_peak_lifts_one_hour_and_keeps_the_month() -> None:
    traffic = Traffic(mode=Mode.realtime, requests_per_month=1e6, peak_requests_per_second=20)
    rates = weekly_rates(traffic)
    assert rates.max() == pytest.approx(20)
    assert (rates == rates.max()).sum() == 1
    assert month(rates) == pytest.approx(1e6)
