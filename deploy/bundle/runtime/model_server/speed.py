"""How fast the model answers here, measured while the server starts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .loaders import Model
from .values import Batch, joined

WARM_ROWS = 32
WARM_BUDGET = 0.5


@dataclass
class Speed:
    """What warming up measured, in seconds. `gain`: rows a second in a batch over one by one."""

    one_row: float = 0.001
    each_row: float = 0.0
    gain: float = 1.0
    measured: bool = False

    def of(self, rows: int) -> float:
        return self.one_row + self.each_row * max(rows - 1, 0)


def warm(model: Model, row: Batch | None, budget: float = WARM_BUDGET) -> Speed:
    """Call the model with one row and with many, as often as the budget (seconds) allows.

    Blocks. `row` is a batch of one row, or None when nobody knows what a row looks like.
    """
    if row is None:
        return Speed()
    many = None if model.signature.fixed_batch else joined([row] * WARM_ROWS)
    model.predict(row, "default")  # the first call pays for what libraries put off
    one = _median_seconds(model, row, budget / 2)
    if many is None:
        return Speed(one, one, 1.0, True)
    model.predict(many, "default")
    all_rows = _median_seconds(model, many, budget / 2)
    each = max(0.0, (all_rows - one) / (WARM_ROWS - 1))
    return Speed(one, each, WARM_ROWS * one / max(all_rows, 1e-9), True)


def _median_seconds(model: Model, batch: Batch, budget: float) -> float:
    times: list[float] = []
    until = time.perf_counter() + budget
    while len(times) < 3 or (time.perf_counter() < until and len(times) < 50):
        started = time.perf_counter()
        model.predict(batch, "default")
        times.append(time.perf_counter() - started)
        if times[-1] > budget:
            break
    return sorted(times)[len(times) // 2]
