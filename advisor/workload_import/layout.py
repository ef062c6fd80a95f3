"""What a table of traffic looks like: its delimiter, its header, its columns of times and counts."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from advisor.errors import TrafficError
from advisor.workload_import.counts import CountFormat, Decimal, find_format, is_count
from advisor.workload_import.times import TimeFormat, detect

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_ROWS = 2000
_TIME_NAMES = re.compile(
    r"^@?(time_?stamp|time|date_?time|date|ts|hour|start_?time|event_?time|period|when|_time|"
    r"zeit|zeitstempel|zeitpunkt|datum|uhrzeit|stunde)\b",
    re.I,
)
_COUNT_NAMES = re.compile(
    r"^(count|requests?|invocations?|hits|calls|events|predictions|records|value|sum|total|n|num|"
    r"volume|request_?count|count\(\*\)|anzahl|anfragen|aufrufe|zugriffe)\b",
    re.I,
)
_SAYS_DELIMITER = re.compile(r"^\"?sep=(.)\"?$")  # a first line that spreadsheets read
MISSING = frozenset({"", "nan", "null", "none", "na", "n/a", "-", "--", "?"})


@dataclass(frozen=True)
class Layout:
    """Columns are numbered from 0; without `time` the rows are counts of one hour after another."""

    delimiter: str
    skip: int  # lines before the first row of data
    columns: int
    time: int | None
    count: int | None
    time_format: TimeFormat | None
    count_format: CountFormat
    said: str  # how the file was understood


def find_layout(
    head: str,
    tail: str,
    name: str,
    *,
    day_first: bool | None = None,
    time_column: str | None = None,
    count_column: str | None = None,
    decimal: Decimal | None = None,
) -> Layout:
    """How to read the file that begins with `head` and ends with `tail`. Raises TrafficError."""
    lines = [line for line in head.splitlines() if line.strip()][: SAMPLE_ROWS + 20]
    if not lines:
        raise TrafficError(f"{name} is empty; it needs a row for each request or hour")
    says = _SAYS_DELIMITER.match(lines[0].strip())
    before = 1 if says and says[1] in DELIMITERS else 0
    delimiter = says[1] if says and before else _delimiter(lines)
    rows = _split(lines[before:], delimiter)
    if not rows:
        raise TrafficError(f"{name} has no rows; it needs a row for each request or hour")
    _check_unquoted(rows, delimiter, name)
    width = Counter(len(row) for row in rows[: SAMPLE_ROWS + 1]).most_common(1)[0][0]
    table = [(i, row) for i, row in enumerate(rows) if len(row) == width]
    titles, body = _header([row for _, row in table])
    first = table[1 if titles else 0][0] if len(table) > (1 if titles else 0) else len(rows)
    skip = _line_number(head, lines, before + first)
    more = [row for row in _split([t for t in tail.splitlines() if t.strip()], delimiter)
            if len(row) == width]  # fmt: skip
    sample = body[:SAMPLE_ROWS] + more[-SAMPLE_ROWS:]
    if not body:
        raise TrafficError(
            f"{name} has a header and no rows; it needs a row for each request or hour"
        )
    time, time_format = _time(sample, titles, name, day_first, time_column)
    count = _count(sample, titles, name, time, count_column)
    if time is None and count is None:
        raise TrafficError(
            f"{name} has no column of times and none of counts (its first row is "
            f"{_short(body[0])}); give a time for each request, a time and a count, or hourly counts"
        )
    written = CountFormat()
    if count is not None:
        written = find_format(
            [row[count] for row in sample], name,
            delimiter=delimiter, alone=width == 1, asked=decimal,
        )  # fmt: skip
    return Layout(delimiter, skip, width, time, count, time_format, written,
                  _said(titles, time, count, time_format))  # fmt: skip


def _check_unquoted(rows: Sequence[list[str]], delimiter: str, name: str) -> None:
    """Counts such as 1,200 without quotation marks fall apart, so their rows have more columns."""
    titles, body = _header(rows)
    last = len(titles) - 1
    if delimiter != "," or last < 0:
        return
    apart = [
        ",".join(row[last:])
        for row in body[:SAMPLE_ROWS]
        if len(row) > len(titles) and re.match(r"^ *\d{1,3}(,\d{3})+ *$", ",".join(row[last:]))
    ]
    if len(apart) > 0.01 * len(body[:SAMPLE_ROWS]):
        raise TrafficError(
            f"{name}: a count such as {apart[0].strip()} stands without quotation marks where "
            "commas separate the columns; export it with them, or without thousands separators"
        )


def _delimiter(lines: Sequence[str]) -> str:
    best, most = ",", 0.0
    for delimiter in DELIMITERS:
        widths = Counter(len(row) for row in _split(lines[:200], delimiter))
        width, rows = widths.most_common(1)[0]
        share = rows / sum(widths.values())
        if width > 1 and share > 0.5 and share > most:
            best, most = delimiter, share
    return best


def _split(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    rows = []
    for line in lines:
        try:
            rows.append(next(csv.reader([line], delimiter=delimiter), []))
        except csv.Error:
            rows.append([line])
    return rows


def _header(rows: Sequence[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Titles, if the first row is one: no cell of it is a number or a time."""
    first = rows[0]
    cells = [cell.strip() for cell in first]
    plain = [cell for cell in cells if cell.lower() not in MISSING]
    is_title = bool(plain) and not any(any(ch.isdigit() for ch in cell[:4]) for cell in plain)
    is_title &= not any(cell.startswith(("=", "+", "@=")) for cell in plain)
    return (cells, list(rows[1:])) if is_title else ([], list(rows))


def _line_number(head: str, lines: Sequence[str], row: int) -> int:
    """Lines of the file before the row-th line that is not blank."""
    seen = -1
    number = 0
    for number, line in enumerate(head.splitlines()):
        if line.strip():
            seen += 1
            if seen == row:
                return number
    return number + 1


def _time(
    sample: Sequence[list[str]],
    titles: Sequence[str],
    name: str,
    day_first: bool | None,
    asked: str | None,
) -> tuple[int | None, TimeFormat | None]:
    if asked is not None:
        at = _column(asked, titles, len(sample[0]), name)
        found = detect([row[at] for row in sample], day_first)
        if found is None:
            raise TrafficError(
                f"column {asked} of {name} holds no times (its first cell is "
                f"{_short(sample[0][at])}); name another --time-column"
            )
        return at, found
    columns = range(len(sample[0]))
    named = [i for i in columns if titles and _TIME_NAMES.match(titles[i])]
    for at in dict.fromkeys([*named, *columns]):
        found = detect([row[at] for row in sample], day_first)
        # A large number under another title is an identifier sooner than a time.
        sure = at in named or not titles or len(columns) == 1
        if found is not None and (found.kind != "epoch" or sure):
            return at, found
    if named:
        raise TrafficError(
            f"column {titles[named[0]]!r} of {name} holds no times that are understood (its first "
            f"cell is {_short(sample[0][named[0]])}); write them as 2026-03-01T14:00:00Z"
        )
    return None, None


def _count(
    sample: Sequence[list[str]],
    titles: Sequence[str],
    name: str,
    time: int | None,
    asked: str | None,
) -> int | None:
    width = len(sample[0])
    if asked is not None:
        return _column(asked, titles, width, name)
    others = [i for i in range(width) if i != time]
    numeric = [i for i in others if _mostly_numbers([row[i] for row in sample])]
    named = [i for i in others if titles and _COUNT_NAMES.match(titles[i])]
    if named:
        return named[0]
    if time is None:
        if len(numeric) > 1:
            raise TrafficError(
                f"{name} has {len(numeric)} columns of numbers and none of times; leave the counts "
                "alone in it, or in a terminal name the --count-column (a count such as 1,200 "
                "needs quotation marks where commas separate the columns)"
            )
        return numeric[0] if numeric else None
    # Beside a time alone a number is its count; in a wider table without titles it may be anything.
    return numeric[0] if len(others) == 1 and numeric else None


def _mostly_numbers(cells: Sequence[str]) -> bool:
    given = [cell for cell in cells if cell.strip().lower() not in MISSING]
    return bool(given) and sum(map(is_count, given)) >= 0.5 * len(given)


def _column(asked: str, titles: Sequence[str], width: int, name: str) -> int:
    if asked in titles:
        return list(titles).index(asked)
    if asked.isdigit() and 1 <= int(asked) <= width:
        return int(asked) - 1
    known = ", ".join(titles) if titles else f"1 to {width}"
    raise TrafficError(f"{name} has no column {asked!r}; name one of {known}")


def _said(
    titles: Sequence[str], time: int | None, count: int | None, time_format: TimeFormat | None
) -> str:
    def title(at: int) -> str:
        return repr(titles[at]) if titles else f"column {at + 1}"

    if time is None:
        return f"hourly counts in {title(count or 0)}"
    written = time_format.said if time_format else ""
    if count is None:
        return f"a request a row, its time in {title(time)} ({written})"
    return f"times in {title(time)} ({written}), counts in {title(count)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
