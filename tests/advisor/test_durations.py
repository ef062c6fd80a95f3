"""Hours in words: the unit people would use, never less than it is."""

from __future__ import annotations

import pytest

from advisor.durations import duration


@pytest.mark.parametrize(
    ("hours", "said"),
    [(0.0011, "4 s"), (0.9 / 3600, "900 ms"), (0.86, "52 min"), (1, "1 h"), (24, "24 h"),
     (1.5, "90 min"), (3.61, "3.7 h"), (10.2, "11 h"), (0, "0 ms"), (720, "720 h"), (1.001, "61 min")],
)  # fmt: skip
def test_hours_in_words(hours: float, said: str) -> None:
    assert duration(hours) == said
