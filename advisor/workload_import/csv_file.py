"""A CSV of timestamps or counts, of any size, into the traffic of a week."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from advisor.errors import TrafficError
from advisor.workload_import.counts import Decimal
from advisor.workload_import.layout import MISSING, Layout, find_layout
from advisor.workload_import.source import READ_BYTES, Progress, Source
from advisor.workload_import.summary import Gaps, ImportedTraffic, Measured, summarise
from advisor.workload_import.tally import Tally
from advisor.workload_import.times import Clock, check_zone, numbers

BAD_ROWS_SHARE = 0.01  # more rows than this that cannot be read are an error
BAD_ROWS_NAMED = 3
MAX_COUNT = 1e12
MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ReadOptions:
    """How to understand what a file leaves open.

    `timezone` is that of times without an offset. `gaps` says what an hour without a row is: no
    traffic, or not measured (left open: no traffic in a log of requests, not measured in a table
    of counts). `duplicates` says whether two counts of one time add up. `decimal` says what the
    decimals of a count stand after (left open: as the file shows). Columns go by their title or
    their number from 1. `start` is the first hour of counts without times.
    """

    timezone: str = "UTC"
    gaps: Gaps | None = None
    duplicates: Literal["sum", "first"] = "sum"
    day_first: bool | None = None
    decimal: Decimal | None = None
    time_column: str | None = None
    count_column: str | None = None
    start: datetime = MONDAY


def read_csv(
    path: str | Path,
    options: ReadOptions | None = None,
    *,
    name: str | None = None,
    progress: Progress | None = None,
) -> ImportedTraffic:
    """The traffic that a CSV file (plain or gzip) measured.

    Memory is bounded by the time covered, not by the rows. `name` is what errors call the file;
    `progress` is called with bytes read and bytes in all. Raises TrafficError with the line of the
    file where there is one.
    """
    path, options = Path(path), options or ReadOptions()
    check_zone(options.timezone)
    source = Source(path, name or path.name, progress)
    try:
        layout = find_layout(
            source.head(),
            source.tail(),
            source.name,
            day_first=options.day_first,
            time_column=options.time_column,
            count_column=options.count_column,
            decimal=options.decimal,
        )
        reading = _Reading(layout, options, source.name)
        for batch in reading.batches(source):
            reading.take(batch)
        return reading.done()
    finally:
        source.close()


class _Reading:
    """One pass over a file."""

    def __init__(self, layout: Layout, options: ReadOptions, name: str) -> None:
        self.layout, self.options, self.name = layout, options, name
        self.tally = Tally()
        self.clock = (
            Clock(layout.time_format, options.timezone, counts=layout.count is not None)
            if layout.time_format
            else None
        )
        self.rows = self.bad = self.blank = self.repeats = 0
        self.bad_lines: list[str] = []
        self._skipped: list[int] = []  # lines with another number of columns
        self._taken = 0  # rows handed over by the parser
        self._hour = 0  # of counts without times
        self._bucket_s: float | None = None

    def batches(self, source: Source) -> Iterator[pa.RecordBatch]:
        layout = self.layout
        kept = [f"f{i}" for i in (layout.time, layout.count) if i is not None]
        names = [f"f{i}" for i in range(layout.columns)]
        try:
            # A later block may be as bad as the first, so reading on belongs in here.
            yield from pacsv.open_csv(
                source,
                read_options=pacsv.ReadOptions(
                    use_threads=False,
                    block_size=READ_BYTES,
                    column_names=names,
                    skip_rows=layout.skip,
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=layout.delimiter,
                    ignore_empty_lines=False,
                    invalid_row_handler=self._other_width,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(kept, pa.string()),
                    include_columns=kept,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise self._unreadable(error) from None

    def take(self, batch: pa.RecordBatch) -> None:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        times = columns.get(f"f{self.layout.time}")
        counts = columns.get(f"f{self.layout.count}")
        requests = None
        blank_line = np.zeros(batch.num_rows, dtype=bool)
        missing = np.zeros(batch.num_rows, dtype=bool)
        bad = np.zeros(batch.num_rows, dtype=bool)
        if counts is not None:
            requests, missing = self._counts(counts)
            bad |= np.isnan(requests) & ~missing
        if times is not None:
            assert self.clock is not None  # noqa: S101 - a column of times has a format
            empty = _is_empty(times)
            blank_line = empty & (missing if counts is not None else True)
            seconds = self.clock.seconds(times)
            bad |= np.isnan(seconds) & ~blank_line
        else:
            # Blank lines at the end of a list of counts are no hours.
            seconds = self._following_hours(batch.num_rows)
        self._note_bad(bad, times, counts)
        self.rows += int((~blank_line).sum())
        self.blank += int((missing & ~blank_line & ~bad).sum())
        good = ~bad & ~blank_line & ~missing
        self._add(seconds[good], requests[good] if requests is not None else None)
        self._taken += batch.num_rows

    def done(self) -> ImportedTraffic:
        if self.tally.first is None:
            raise TrafficError(
                f"{self.name} has no row that can be read"
                + (f"; {self.bad_lines[0]}" if self.bad_lines else "")
                + "; it needs a row for each request or hour"
            )
        if self.bad > max(BAD_ROWS_SHARE * self.rows, 0):
            raise TrafficError(
                f"{self.name}: {self.bad_lines[0]}; {self.bad:,} of {self.rows:,} rows cannot be "
                f"read, and at most {BAD_ROWS_SHARE:.0%} are left out; correct them"
            )
        requests, rows = self.tally.minutes()
        kind: Literal["requests", "counts"] = "requests" if self.layout.count is None else "counts"
        return summarise(
            Measured(
                requests=requests,
                rows=rows,
                first_minute=(self.tally.first or 0) // 60 * 60,
                seen_first=self.tally.first or 0,
                seen_last=self.tally.last,
                kind=kind,
                bucket_s=self._bucket_s or 3600.0,
                gaps=self.options.gaps or ("zero" if kind == "requests" else "leave-out"),
                duplicates=self.repeats,
                table_rows=self.rows,
                left_out=tuple(self.bad_lines[:BAD_ROWS_NAMED]),
                left_out_rows=self.bad,
                missing_counts=self.blank,
                notes=tuple(self._notes()),
                source=self.name,
            )
        )

    def _counts(self, column: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Counts (NaN where there is none) and which cells say that it is missing."""
        bare = pc.utf8_trim(column, characters=" \t\"'")
        missing = np.asarray(
            pc.is_in(pc.utf8_lower(bare), pa.array(sorted(MISSING))).to_numpy(zero_copy_only=False)
        )
        values = numbers(self.layout.count_format.plain(bare)).copy()
        values[missing | ~np.isfinite(values) | (values > MAX_COUNT)] = np.nan
        negative = np.flatnonzero(values < 0)
        if len(negative):
            at = int(negative[0])
            raise TrafficError(
                f"{self.name}, line {self._line(at)}: the count is {values[at]:g}; a count cannot "
                "be negative, so correct or remove the row"
            )
        return values, missing

    def _add(self, seconds: NDArray[np.float64], requests: NDArray[np.float64] | None) -> None:
        if not len(seconds):
            return
        minutes = np.floor(seconds / 60).astype(np.int64)
        if requests is None:
            self.tally.add(minutes)
            return
        if self._bucket_s is None:
            self._bucket_s = _bucket(seconds)
        if self._bucket_s >= 60:
            again = self._again(minutes)
            self.repeats += int(again.sum())
            if self.options.duplicates == "first":
                minutes, requests = minutes[~again], requests[~again]
        hours = int(self._bucket_s // 3600)
        for hour in range(max(1, hours)):
            self.tally.add(minutes + hour * 60, requests / max(1, hours))

    def _again(self, minutes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows count a minute that an earlier row has counted."""
        again = np.ones(len(minutes), dtype=bool)
        again[np.unique(minutes, return_index=True)[1]] = False
        return again | (self.tally.rows_at(minutes) > 0)

    def _following_hours(self, rows: int) -> NDArray[np.float64]:
        hours = self._hour + np.arange(rows)
        self._hour += rows
        self._bucket_s = 3600.0
        return np.asarray(self.options.start.timestamp() // 3600 * 3600 + hours * 3600.0)

    def _note_bad(
        self, bad: NDArray[np.bool_], times: pa.Array | None, counts: pa.Array | None
    ) -> None:
        at = np.flatnonzero(bad)
        self.bad += len(at)
        for i in at[: BAD_ROWS_NAMED - len(self.bad_lines)]:
            cells = [column[int(i)].as_py() for column in (times, counts) if column is not None]
            said = repr(" ".join(cells)[:60])
            self.bad_lines.append(f"line {self._line(int(i))} cannot be read: {said}")

    def _other_width(self, row: pacsv.InvalidRow) -> str:
        if row.number is not None:
            self._skipped.append(row.number)
        self.bad += 1
        self.rows += 1
        if len(self.bad_lines) < BAD_ROWS_NAMED:
            where = f"line {row.number}" if row.number is not None else "a line"
            self.bad_lines.append(
                f"{where} has {row.actual_columns} columns and not {row.expected_columns}: "
                f"{row.text[:60]!r}"
            )
        return "skip"

    def _line(self, at: int) -> int:
        """The line of the file, from 1, of a row of the batch at hand."""
        line = self.layout.skip + self._taken + at + 1
        before = -1
        while (skipped := bisect_right(self._skipped, line + max(before, 0))) != before:
            before = skipped
        return line + before

    def _notes(self) -> list[str]:
        notes = [f"Read as {self.layout.said}.", self.layout.count_format.said]
        notes = [note for note in notes if note]
        clock, zone = self.clock, self.options.timezone
        if clock is None:
            start = self.options.start
            notes.append(
                f"The counts have no times: the first is taken as the hour from {start:%A %H:%M} "
                "UTC, and a row for each hour after it."
            )
            return notes
        if clock.local_rows:
            notes.append(f"Times without an offset are taken as {zone}.")
        if clock.repeated_hour_rows:
            how = (
                "the order of the rows tells its two rounds apart"
                if clock.told_by_order
                else "all are counted to its first round, as the order of the rows shows no second"
            )
            notes.append(
                f"{_rows_lie(clock.repeated_hour_rows)} in the hour that the clock of {zone} "
                f"repeats in autumn: {how}."
            )
        if clock.skipped_hour_rows:
            notes.append(
                f"{_rows_lie(clock.skipped_hour_rows)} in the hour that the clock of {zone} leaves "
                "out in spring: counted an hour later."
            )
        return notes

    def _unreadable(self, error: Exception) -> TrafficError:
        said = " ".join(str(error).split())[:160]
        if "invalid UTF8" in said:
            return TrafficError(
                f"{self.name} is not UTF-8 text; export it again in UTF-8 (spreadsheets call it "
                "'CSV UTF-8')"
            )
        return TrafficError(f"{self.name} cannot be read as CSV: {said}; export it again in UTF-8")


def _rows_lie(count: int) -> str:
    return "1 row lies" if count == 1 else f"{count:,} rows lie"


def _is_empty(column: pa.Array) -> NDArray[np.bool_]:
    bare = pc.utf8_trim_whitespace(column)
    return np.asarray(pc.equal(pc.utf8_length(bare), 0).to_numpy(zero_copy_only=False))


def _bucket(seconds: NDArray[np.float64]) -> float:
    """How long a row's period is, in seconds: the usual step between the times."""
    steps = np.diff(np.unique(seconds))
    return float(np.clip(np.median(steps), 1.0, 7 * 86_400)) if len(steps) else 3600.0
