"""Hours in words."""

from __future__ import annotations

import math


def duration(hours: float) -> str:
    """Hours in the unit people would use, rounded up so that nothing is promised too soon: "25 ms",
    "4 s", "25 min", "1 h", "1.5 h"."""
    whole = hours >= 1 and hours == int(hours)
    seconds = hours * 3600
    for most, unit, each in ((1, "ms", 0.001), (100, "s", 1.0), (7200, "min", 60.0)):
        if seconds < most and not whole:
            return f"{_up(seconds / each)} {unit}"
    return f"{_up(hours)} h"


def _up(amount: float) -> str:
    """A whole number from ten on, else tenths."""
    steps = 1 if amount >= 10 else 10
    return f"{math.ceil(amount * steps - 1e-6) / steps:,g}"
