"""What a column of times looks like, and its values as seconds since 1970 in UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from advisor.errors import TrafficError

Seconds = NDArray[np.float64]  # NaN where a cell holds no time
US = 1_000_000
_HOUR_US = 3600 * US
_DAY_US = 24 * _HOUR_US
_NUMBER = re.compile(r"^-?\d+(\.\d+)?$")
_ZONE = r"\d:?\d{2}(?:[.,]\d+)?\s?(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_CLOCK = (
    r"(?:(?:,? +|T)(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2}(?:\.\d+)?))?"
    r"(?: ?(?P<p>[AaPp])\.?[Mm]\.?)?)?$"
)
_LOCAL = r"^(?P<a>\d{1,2})[/.\-](?P<b>\d{1,2})[/.\-](?P<y>\d{4}|\d{2})" + _CLOCK
_YEAR_FIRST = r"^(?P<y>\d{4})/(?P<a>\d{1,2})/(?P<b>\d{1,2})" + _CLOCK
_NAMED = (
    "%d/%b/%Y:%H:%M:%S %z", "%d/%b/%Y:%H:%M:%S", "%d-%b-%Y %H:%M:%S", "%d-%b-%Y %H:%M",
    "%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%b %d, %Y %H:%M:%S", "%b %d, %Y %H:%M",
    "%b %d, %Y, %I:%M:%S %p", "%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %Y",
)  # fmt: skip
_EPOCHS = (("s", 1e8, 1e11, 1.0), ("ms", 1e11, 1e14, 1e3), ("us", 1e14, 1e17, 1e6),
           ("ns", 1e17, 1e20, 1e9))  # fmt: skip
_ENOUGH = 0.9


@dataclass(frozen=True)
class TimeFormat:
    """How a column writes its times: `kind` is epoch, iso, local, year-first or named."""

    kind: str
    said: str
    per_second: float = 1.0  # of an epoch: its units in a second
    pattern: str = ""  # of a named format: strptime's
    day_first: bool = False


def detect(cells: Sequence[str], day_first: bool | None = None) -> TimeFormat | None:
    """The format of nearly all the cells; None where they are no times.

    Raises TrafficError where day and month cannot be told apart and `day_first` does not say.
    """
    given = [_bare(cell) for cell in cells if cell.strip()]
    if not given:
        return None
    numbers = [float(cell) for cell in given if _NUMBER.match(cell)]
    if len(numbers) >= _ENOUGH * len(given):
        middle = float(np.median(numbers))
        for unit, low, high, per_second in _EPOCHS:
            if low <= middle < high:
                return TimeFormat("epoch", f"seconds since 1970 in {unit}", per_second)
        if not all(re.match(r"^(19|20)\d{6}$", cell) for cell in given):
            return None
    column = pa.array(given, pa.string())
    if _share(_iso(column)[0]) >= _ENOUGH:
        return TimeFormat("iso", "ISO 8601")
    if _share(_fields(column, _YEAR_FIRST, day_first=False)) >= _ENOUGH:
        return TimeFormat("year-first", "year/month/day")
    matches = [m for cell in given if (m := re.match(_LOCAL, cell))]
    if len(matches) >= _ENOUGH * len(given):
        order = _order(matches, given, day_first)
        return TimeFormat("local", "day/month/year" if order else "month/day/year", day_first=order)
    for pattern in _NAMED:
        parsed = pd.to_datetime(pd.Series(given), format=pattern, errors="coerce", utc=True)
        if parsed.notna().mean() >= _ENOUGH:
            return TimeFormat("named", pattern, pattern=pattern)
    return None


@dataclass
class Clock:
    """Times of one file as UTC; local times go by the zone, and what that took is counted."""

    format: TimeFormat
    zone: str = "UTC"
    counts: bool = False  # rows are counts of a period, so the same time twice is another period
    repeated_hour_rows: int = 0  # in the hour that the clock repeats in autumn
    skipped_hour_rows: int = 0  # in the hour that the clock leaves out in spring
    told_by_order: bool = False
    local_rows: int = 0
    _last: dict[int, tuple[int, bool]] = field(default_factory=dict)

    def seconds(self, column: pa.Array) -> Seconds:
        """Seconds since 1970 in UTC for each cell; shape (rows,)."""
        column = pc.utf8_trim(column, characters=" \t[]\"'")
        kind = self.format.kind
        if kind == "epoch":
            return _numbers(column) / self.format.per_second
        if kind == "iso":
            us, zoned = _iso(column)
        elif kind == "named":
            parsed = pd.to_datetime(
                column.to_pandas(), format=self.format.pattern, errors="coerce", utc=True
            )
            us = _us(parsed)
            zoned = np.full(len(us), "%z" in self.format.pattern)
        else:
            pattern = _YEAR_FIRST if kind == "year-first" else _LOCAL
            us = _fields(column, pattern, day_first=self.format.day_first)
            zoned = np.zeros(len(us), dtype=bool)
        local = ~zoned & ~np.isnan(us)
        self.local_rows += int(local.sum())
        if self.zone != "UTC" and local.any():
            us[local] = self._to_utc(us[local])
        return us / US

    def _to_utc(self, us: NDArray[np.float64]) -> NDArray[np.float64]:
        naive = pd.DatetimeIndex(us.astype(np.int64).astype("M8[us]"))
        utc = naive.tz_localize(self.zone, ambiguous="NaT", nonexistent="NaT")
        odd = np.asarray(utc.isna())
        out = us.copy()
        out[~odd] = _us(pd.Series(utc[~odd].tz_convert("UTC")))
        if odd.any():
            rows = naive[odd]
            # Where the clock jumps over a time an hour later exists; where it repeats it is read.
            later = rows.tz_localize(self.zone, ambiguous="NaT", nonexistent=pd.Timedelta("1h"))
            twice = np.asarray(later.isna())
            self.skipped_hour_rows += int((~twice).sum())
            self.repeated_hour_rows += int(twice.sum())
            first = self._first_time_round(us[odd][twice].astype(np.int64))
            summer = np.zeros(len(rows), dtype=bool)
            summer[twice] = first
            fixed = rows.tz_localize(self.zone, ambiguous=summer, nonexistent=pd.Timedelta("1h"))
            out[odd] = _us(pd.Series(fixed.tz_convert("UTC")))
        return out

    def _first_time_round(self, us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Of times in a repeated hour, in file order: whether it is the first time round.

        Where time jumps back within the hour, the second round has begun.
        """
        out = np.ones(len(us), dtype=bool)
        for day in np.unique(us // _DAY_US):
            here = us // _DAY_US == day
            last, second = self._last.get(int(day), (int(us[here][0]) - 1, False))
            steps = np.diff(us[here], prepend=last)
            back = steps <= 0 if self.counts else steps < -20 * 60 * US
            rounds = np.cumsum(back) + second
            out[here] = rounds == 0
            self.told_by_order |= bool(rounds[-1])
            self._last[int(day)] = (int(us[here][-1]), bool(rounds[-1]))
        return out


def check_zone(zone: str) -> str:
    """The name of a time zone. Raises TrafficError for one that does not exist."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise TrafficError(
            f"{zone!r} is no time zone; write one such as Europe/Berlin, America/New_York or UTC"
        ) from None
    return zone


def _bare(cell: str) -> str:
    return cell.strip(" \t[]\"'")


def _order(matches: Sequence[re.Match[str]], given: Sequence[str], asked: bool | None) -> bool:
    """Whether the day comes first."""
    day_first = any(int(m["a"]) > 12 for m in matches)
    month_first = any(int(m["b"]) > 12 for m in matches)
    if day_first != month_first:
        return day_first
    if asked is not None and not day_first:
        return asked
    if day_first:
        raise TrafficError(
            "some times have the day first and some the month first; write them all the same way"
        )
    if "." in given[0].split(" ")[0]:
        return True  # dotted dates have the day first wherever they are used
    raise TrafficError(
        f"whether {given[0]!r} has the day or the month first cannot be told from the file; say "
        "which (in a terminal with --day-first or --month-first)"
    )


def _share(values: NDArray[np.float64]) -> float:
    return float((~np.isnan(values)).mean()) if len(values) else 0.0


def _iso(column: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Microseconds as if UTC where no offset is written, and where one is."""
    column = pc.replace_substring_regex(column, r"\s?(UTC|GMT)$", "Z")
    zoned = pc.fill_null(pc.match_substring_regex(column, _ZONE), False)
    parsed = pd.to_datetime(column.to_pandas(), format="ISO8601", errors="coerce", utc=True)
    return _us(parsed), np.asarray(zoned.to_numpy(zero_copy_only=False))


def _us(parsed: Any) -> NDArray[np.float64]:
    raw = parsed.to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(raw), np.nan, raw.astype(np.int64).astype(np.float64))


def _fields(column: pa.Array, pattern: str, *, day_first: bool) -> NDArray[np.float64]:
    """Microseconds from numbered fields, as if UTC; NaN for a date that does not exist."""
    found = pc.extract_regex(column, pattern)
    part = {name: pc.struct_field(found, name) for name in ("a", "b", "y", "h", "m", "s", "p")}
    a, b, year = (_numbers(part[name]) for name in ("a", "b", "y"))
    hour, minute, second = (np.nan_to_num(_numbers(part[name])) for name in ("h", "m", "s"))
    half = pc.fill_null(pc.utf8_lower(part["p"]), "").to_numpy(zero_copy_only=False)
    year = np.where(year < 100, year + 2000, year)
    day, month = (a, b) if day_first else (b, a)
    hour = np.where(half == "p", hour % 12 + 12, np.where(half == "a", hour % 12, hour))
    good = (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 61)
    safe_month = np.where(good, (year - 1970) * 12 + month - 1, 0).astype(np.int64)
    starts = safe_month.astype("M8[M]").astype("M8[D]").astype(np.int64)
    length = (safe_month + 1).astype("M8[M]").astype("M8[D]").astype(np.int64) - starts
    good &= day <= length
    days = starts + np.where(good, day, 1) - 1
    us = ((days * 24 + hour) * 3600 + minute * 60 + second) * US
    return np.where(good, us, np.nan)


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    """Decimal numbers; NaN for anything else."""
    empty = pc.equal(pc.utf8_length(column), 0)
    column = pc.if_else(pc.fill_null(empty, True), pa.scalar(None, pa.string()), column)
    try:
        numbers = pc.cast(column, pa.float64())
        return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowInvalid:
        parsed = pd.to_numeric(column.to_pandas(), errors="coerce")
        return np.asarray(parsed.to_numpy(dtype=np.float64))


numbers = _numbers
