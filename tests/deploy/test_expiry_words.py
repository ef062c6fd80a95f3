"""How a trial's time is written, bounded, tagged and counted down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError
from deploy.expiry import from_tag, hour_of, left, lifetime, tag

NOW = datetime(2026, 11, 22, 22, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "minutes"), [("45m", 45), ("4h", 240), (" 2 D ", 2880), ("1.5h", 90), ("90d", 129_600)]
)
def test_times_as_people_write_them(text: str, minutes: int) -> None:
    assert lifetime(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "4", "h", "14m", "91d", "-4h", "4 weeks", "1e9h", "nan h"])
def test_anything_else_is_refused_with_the_bounds(text: str) -> None:
    with pytest.raises(InputError, match="15m to 90d"):
        lifetime(text)


def test_never_is_no_hour() -> None:
    assert lifetime("Never") is None
    assert from_tag(tag(None)) is None
    assert from_tag("2026-11-22") is None  # a date that somebody else wrote


@given(st.integers(15, 129_600))
def test_a_tag_tells_the_very_hour(minutes: int) -> None:
    at = hour_of(timedelta(minutes=minutes), NOW)
    assert from_tag(tag(at)) == at


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (192, "expires in 3 h 12 min"),
        (5, "expires in 5 min"),
        (3120, "expires in 2 d 4 h"),
        (-90, "expired 1 h 30 min ago"),
    ],
)
def test_the_countdown(minutes: int, said: str) -> None:
    assert left(NOW + timedelta(minutes=minutes), NOW) == said
