"""Requests by minute, in memory that depends on the time covered and not on the rows read."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from advisor.errors import TrafficError

MAX_YEARS = 10
_MAX_MINUTES = MAX_YEARS * 366 * 1440
_SLACK = 1440 * 30


class Tally:
    """Requests and rows for each minute between the first and the last one seen."""

    def __init__(self) -> None:
        self.first: int | None = None  # minutes since 1970, with the array's start
        self._start = 0
        self._requests: NDArray[np.float64] = np.zeros(0)
        self._rows: NDArray[np.uint32] = np.zeros(0, dtype=np.uint32)
        self.last = 0

    def add(self, minutes: NDArray[np.int64], requests: NDArray[np.float64] | None = None) -> None:
        """Count rows; without `requests` each is one. Raises TrafficError over ten years."""
        if not len(minutes):
            return
        low, high = int(minutes.min()), int(minutes.max())
        first = low if self.first is None else min(self.first, low)
        last = high if self.first is None else max(self.last, high)
        if last - first > _MAX_MINUTES:
            raise TrafficError(
                f"the times run from {day_of(first)} to {day_of(last)}, more than {MAX_YEARS} "
                "years; one of them is wrong, or the column is no time"
            )
        self._reach(first, last)
        self.first, self.last = first, last
        at = minutes - low
        span = slice(low - self._start, high - self._start + 1)
        self._requests[span] += np.bincount(at, weights=requests, minlength=high - low + 1)
        self._rows[span] += np.bincount(at, minlength=high - low + 1).astype(np.uint32)

    def rows_at(self, minutes: NDArray[np.int64]) -> NDArray[np.uint32]:
        """How many rows were counted for each of these minutes so far."""
        at = minutes - self._start
        inside = (at >= 0) & (at < len(self._rows))
        return (
            np.where(inside, self._rows[np.where(inside, at, 0)], 0)
            if len(self._rows)
            else (np.zeros(len(minutes), dtype=np.uint32))
        )

    def minutes(self) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """Requests and rows by minute, from the start of the first hour to the end of the last."""
        if self.first is None:
            return np.zeros(0), np.zeros(0, dtype=np.uint32)
        low, high = self.first // 60 * 60, (self.last // 60 + 1) * 60
        self._reach(low, high)
        span = slice(low - self._start, high - self._start)
        return self._requests[span], self._rows[span]

    def _reach(self, low: int, high: int) -> None:
        start, end = self._start, self._start + len(self._requests)
        if len(self._requests) and start <= low and high < end:
            return
        new_start = min(low - _SLACK, start) if len(self._requests) else low - _SLACK
        new_end = max(high + _SLACK, end) + 1
        requests = np.zeros(new_end - new_start)
        rows = np.zeros(new_end - new_start, dtype=np.uint32)
        if len(self._requests):
            requests[start - new_start : end - new_start] = self._requests
            rows[start - new_start : end - new_start] = self._rows
        self._start, self._requests, self._rows = new_start, requests, rows


def day_of(minute: int) -> str:
    """The date of a minute since 1970."""
    try:
        return datetime.fromtimestamp(minute * 60, UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return f"{minute / 525_960 + 1970:,.0f}"
