"""From requests by minute to the answers on traffic, and how far to trust them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import stats

from advisor.errors import TrafficError
from advisor.requirements import HOURS_IN_MONTH, HOURS_IN_WEEK

Gaps = Literal["zero", "leave-out"]
MONDAY_SHIFT_H = 72  # 1970 began on a Thursday
WEEKS_FOR_TREND = 5
WEEK_COVERED = 0.9  # of a week's hours, for it to count as a whole week
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Measured:
    """Requests and rows by minute from `first_minute` (minutes since 1970, a full hour) on."""

    requests: NDArray[np.float64]
    rows: NDArray[np.uint32]
    first_minute: int
    seen_first: int
    seen_last: int
    kind: Literal["requests", "counts"]
    bucket_s: float
    gaps: Gaps
    source: str
    duplicates: int = 0
    table_rows: int = 0
    left_out: tuple[str, ...] = ()
    left_out_rows: int = 0
    missing_counts: int = 0
    notes: tuple[str, ...] = ()
    busiest: tuple[float, float] | None = None  # requests/s, over how many s, if known otherwise


class Growth(BaseModel):
    """Trend of the weekly totals, in percent a month, with its 95 % confidence interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    percent_per_month: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out "no growth"."""
        return self.low > 0 or self.high < 0


class ImportedTraffic(BaseModel):
    """Measured traffic as answers, with what was found in the data and what was assumed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    rows: int
    requests: float  # in all that was read
    first: datetime
    last: datetime
    requests_per_month: float
    pattern: tuple[float, ...]  # mean requests an hour; Monday 00:00 UTC first
    peak_requests_per_second: float | None  # where it is above the pattern's busiest hour
    peak_seconds: float  # over how long the peak was measured
    growth_percent_per_month: float  # 0 where the trend is not certain
    growth: Growth | None
    weeks: float
    weekly_requests: tuple[float, ...]  # whole weeks, in order
    spread_percent: float | None  # standard deviation between whole weeks, of their mean
    hours_missing: int
    longest_gap_h: int
    hours_filled: int  # hours of the week that were never seen
    duplicates: int
    rows_left_out: int
    left_out: tuple[str, ...]
    missing_counts: int
    notes: tuple[str, ...]
    model_latency_ms: float | None = None  # mean, where the source measures it

    def answers(self) -> dict[str, Any]:
        """The answers of the section `traffic`, rounded to what the data can say."""
        month = float(f"{self.requests_per_month:.6g}")
        out: dict[str, Any] = {
            "requests_per_month": month,
            "pattern": [float(f"{hour:.4g}") for hour in self.pattern],
            "peak_requests_per_second": None,
            "growth_percent_per_month": round(self.growth_percent_per_month, 2),
        }
        if self.peak_requests_per_second is not None:
            out["peak_requests_per_second"] = float(f"{self.peak_requests_per_second:.4g}")
        return out


def summarise(data: Measured) -> ImportedTraffic:
    """The week, the month, the peak and the growth. Raises TrafficError where all is zero."""
    requests = data.requests.reshape(-1, 60).sum(axis=1)
    exposure = _exposure(data)
    total = float(requests[exposure > 0].sum())
    if total <= 0:
        raise TrafficError(
            f"{data.source} counts no request at all; measure while there is traffic"
        )
    slots = (np.arange(len(requests)) + data.first_minute // 60 + MONDAY_SHIFT_H) % HOURS_IN_WEEK
    week, filled = _week(requests, exposure, slots)
    month = float(week.mean() * HOURS_IN_MONTH)
    missing = exposure == 0
    notes = list(data.notes)
    peak, peak_s = _peak(data, week, month, notes)
    totals = _weeks(requests, exposure)
    growth = _growth(totals)
    weeks = float(exposure.sum() / HOURS_IN_WEEK)
    notes += _notes(data, missing, filled, weeks, growth, totals)
    return ImportedTraffic(
        source=data.source,
        rows=data.table_rows,
        requests=total,
        first=_when(data.seen_first),
        last=_when(data.seen_last),
        requests_per_month=month,
        pattern=tuple(float(v) for v in week),
        peak_requests_per_second=peak,
        peak_seconds=peak_s,
        growth_percent_per_month=(
            float(np.clip(growth.percent_per_month, -50, 100)) if growth and growth.certain else 0.0
        ),
        growth=growth,
        weeks=weeks,
        weekly_requests=tuple(float(t) for t in totals if not np.isnan(t)),
        spread_percent=_spread(totals),
        hours_missing=int(missing.sum()),
        longest_gap_h=_longest(missing),
        hours_filled=filled,
        duplicates=data.duplicates,
        rows_left_out=data.left_out_rows,
        left_out=data.left_out,
        missing_counts=data.missing_counts,
        notes=tuple(notes),
    )


def _exposure(data: Measured) -> NDArray[np.float64]:
    """How much of each hour was measured, 0 to 1."""
    hours = len(data.requests) // 60
    seen = data.rows.reshape(-1, 60) > 0
    if data.kind == "counts":
        each = max(data.bucket_s, 60.0) / 3600
        found = np.minimum(seen.sum(axis=1) * min(each, 1.0), 1.0)
    else:
        found = np.where(seen.any(axis=1), 1.0, 0.0)
    if data.gaps == "zero":
        found = np.ones(hours)
    if data.kind == "requests":
        # The log begins and ends within an hour.
        found[0] *= 1 - (data.seen_first % 60) / 60
        end = (data.seen_last % 60 + 1) / 60
        found[-1] = found[-1] * end if hours > 1 else max(end - (data.seen_first % 60) / 60, 1 / 60)
    return np.asarray(found)


def _week(
    requests: NDArray[np.float64], exposure: NDArray[np.float64], slots: NDArray[np.int64]
) -> tuple[NDArray[np.float64], int]:
    """Mean requests an hour for each hour of the week, and how many of them were never seen."""
    sums = np.bincount(slots, weights=np.where(exposure > 0, requests, 0), minlength=HOURS_IN_WEEK)
    hours = np.bincount(slots, weights=exposure, minlength=HOURS_IN_WEEK)
    seen = hours > 0
    week = np.divide(sums, hours, out=np.zeros(HOURS_IN_WEEK), where=seen)
    hour, workday = np.arange(HOURS_IN_WEEK) % 24, np.arange(HOURS_IN_WEEK) // 24 < 5
    known = week.copy()
    for slot in np.flatnonzero(~seen):
        for alike in ((hour == hour[slot]) & (workday == workday[slot]), hour == hour[slot]):
            if (alike & seen).any():
                week[slot] = known[alike & seen].mean()
                break
        else:
            week[slot] = known[seen].mean()
    return week, int((~seen).sum())


def _peak(
    data: Measured, week: NDArray[np.float64], month: float, notes: list[str]
) -> tuple[float | None, float]:
    """The busiest stretch at the finest resolution, a minute at least; None below the pattern."""
    length = float(np.clip(data.bucket_s, 60, 3600)) if data.kind == "counts" else 60.0
    peak = float(data.requests.max() / length)
    if data.busiest is not None:
        peak, length = data.busiest
    if peak <= float(week.max()) / 3600:
        return None, length
    most = month * HOURS_IN_WEEK / HOURS_IN_MONTH / 3600  # all of a week in one hour
    what = "hour" if length >= 3600 else f"{length / 60:.3g} minutes" if length > 60 else "minute"
    if peak > most:
        notes.append(
            f"The busiest {what} had {peak:.4g} requests a second, more than a whole hour a week "
            "could hold at this volume: it is a short burst and not taken over as the peak."
        )
        return None, length
    notes.append(
        f"The busiest {what} had {peak:.4g} requests a second, and its rate is taken over as the "
        "peak; shorter bursts are left to the queueing model."
    )
    return peak, length


def _weeks(requests: NDArray[np.float64], exposure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Totals of the weeks from the first hour on; NaN where too little of one was measured."""
    count = len(requests) // HOURS_IN_WEEK
    if not count:
        return np.zeros(0)
    shape = (count, HOURS_IN_WEEK)
    covered = exposure[: count * HOURS_IN_WEEK].reshape(shape).sum(axis=1)
    totals = np.where(exposure > 0, requests, 0)[: count * HOURS_IN_WEEK].reshape(shape).sum(axis=1)
    whole = covered >= WEEK_COVERED * HOURS_IN_WEEK
    return np.where(whole, totals * HOURS_IN_WEEK / np.maximum(covered, 1), np.nan)


def _spread(totals: NDArray[np.float64]) -> float | None:
    known = totals[~np.isnan(totals)]
    if len(known) < 2 or known.mean() <= 0:
        return None
    return float(known.std(ddof=1) / known.mean() * 100)


def _growth(totals: NDArray[np.float64]) -> Growth | None:
    """Least squares on the logarithm of the weekly totals, with Student's t for its interval."""
    at = np.flatnonzero(~np.isnan(totals) & (totals > 0))
    if len(at) < WEEKS_FOR_TREND:
        return None
    fit = stats.linregress(at, np.log(totals[at]))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(at) - 2)) * float(np.nan_to_num(fit.stderr))
    weeks = HOURS_IN_MONTH / HOURS_IN_WEEK

    def percent(slope: float) -> float:
        return float(np.expm1(np.clip(slope * weeks, -5, 5)) * 100)

    slope = float(fit.slope)
    return Growth(
        percent_per_month=percent(slope), low=percent(slope - half), high=percent(slope + half)
    )


def _notes(
    data: Measured,
    missing: NDArray[np.bool_],
    filled: int,
    weeks: float,
    growth: Growth | None,
    totals: NDArray[np.float64],
) -> list[str]:
    notes = []
    if missing.any():
        starts = np.flatnonzero(np.diff(missing.astype(int), prepend=0) == 1)
        first = _when(data.first_minute + int(starts[0]) * 60)
        notes.append(
            f"{_counted(missing.sum(), 'hour')} in {_counted(len(starts), 'gap')} without a "
            f"measurement (the first from {first:%Y-%m-%d %H:%M} UTC): left out of the means."
        )
    elif data.gaps == "zero":
        empty = data.rows.reshape(-1, 60).sum(axis=1) == 0
        if empty.any():
            notes.append(
                f"{_counted(empty.sum(), 'hour')} without a row: counted as without traffic."
            )
    if data.missing_counts:
        notes.append(f"{_counted(data.missing_counts, 'missing value')}: counted as not measured.")
    if data.duplicates:
        notes.append(
            f"{_counted(data.duplicates, 'row')} for a time that another row has counted: added "
            "up, or only the first kept, as was asked."
        )
    if data.left_out_rows:
        notes.append(
            f"{_counted(data.left_out_rows, 'row')} left out as unreadable ({data.left_out[0]})."
        )
    if data.kind == "counts" and data.bucket_s > 3600:
        notes.append(
            f"A row counts {data.bucket_s / 3600:.3g} hours, so its requests are spread evenly "
            "over them: the daily pattern and the peak are not known."
        )
    if filled:
        notes.append(
            f"{_counted(filled, 'hour')} of the week never seen: filled with the same hour of "
            "similar days."
        )
    if weeks < 2:
        notes.append(f"Only {weeks:.2g} weeks were measured: nothing is known of how weeks differ.")
    if growth is None:
        notes.append(
            f"Growth is not estimated: that takes {WEEKS_FOR_TREND} whole weeks, and there are "
            f"{int((~np.isnan(totals)).sum())}."
        )
    elif not growth.certain:
        notes.append(
            f"Growth is taken as 0: the trend of {growth.percent_per_month:+.1f} % a month could be "
            f"chance ({growth.low:+.1f} to {growth.high:+.1f} %)."
        )
    return notes


def _counted(number: float, thing: str) -> str:
    """ "1 hour", "24 hours"."""
    return f"{int(number):,} {thing}{'' if number == 1 else 's'}"


def _longest(missing: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], missing.astype(int), [0]))))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _when(minute: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=int(minute))
