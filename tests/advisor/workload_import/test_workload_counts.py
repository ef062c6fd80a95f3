"""Counts as people and spreadsheets write them: thousands set apart, decimals, and what is asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from advisor.errors import TrafficError
from advisor.workload_import.csv_file import ReadOptions, read_csv
from advisor.workload_import.summary import ImportedTraffic

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
Read = Callable[..., ImportedTraffic]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads these bytes, or this text, as a file."""

    def reader(content: str | bytes, **options: Any) -> ImportedTraffic:
        path = tmp_path / "traffic.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(path, ReadOptions(**options))

    return reader


def week(cells: Iterable[str], delimiter: str = ",") -> str:
    """Hours one after the other with these counts."""
    rows = [
        f"{(MONDAY + timedelta(hours=i)):%Y-%m-%d %H:%M}{delimiter}{cell}"
        for i, cell in enumerate(cells)
    ]
    return "\n".join([f"time{delimiter}requests", *rows])


@pytest.mark.parametrize(
    ("delimiter", "cells", "total"),
    [
        (",", ['"1,200"', '"12,345"'], 13545),
        (",", ['"1,200"', "999"], 2199),
        (",", ['"1,234,567.5"', '"12"'], 1234579.5),
        (",", ['"12,34,000"', '"5,000"'], 1239000),
        (",", ["12.345", "7.125"], 19.47),  # commas separate columns: these are decimals
        (",", ["0.512", "12.345"], 12.857),
        (";", ["1.200", "999"], 2199),
        (";", ["1.200", "1.234.567"], 1235767),
        (";", ["1.200,5", "12,25"], 1212.75),
        (";", ["1200,5", "1.200"], 2400.5),
        (";", ["12,345", "1200"], 1212.345),  # a plain 1200: thousands are not set apart
        (";", ["12.345", "1200.5"], 1212.845),
        (";", ["1,200", "999"], 2199),
        ("\t", ["1 200", "12 345"], 13545),
        (";", ["1\u202f200", "1\u00a0000\u00a0000"], 1001200),
        (";", ["1'200", "1\u2019000"], 2200),
        (";", ["1e3", "2.5"], 1002.5),
        (";", ["2.5", "n/a"], 2.5),
    ],
)
def test_counts_are_read_as_people_write_them(
    read: Read, delimiter: str, cells: list[str], total: float
) -> None:
    assert read(week(cells, delimiter)).requests == pytest.approx(total)


@pytest.mark.parametrize(
    ("delimiter", "cells", "said"),
    [
        (";", ["1.200", "2.345"], "whether the count '1.200' means 1200 or 1.2 cannot be told"),
        (";", ["1,200", "2,345"], "whether the count '1,200' means 1200 or 1.2 cannot be told"),
        (",", ["1.200", '"1,200"'], "cannot be told"),
        (";", ["12,5", "12.5"], "some counts have decimals after a point and some after a comma"),
        (",", ["1,200", "12,345"], "a count such as 1,200 stands without quotation marks"),
        (",", ["200", "12,345"], "a count such as 12,345 stands without quotation marks"),
    ],
)
def test_what_may_be_two_numbers_is_asked_and_never_guessed(
    read: Read, delimiter: str, cells: list[str], said: str
) -> None:
    with pytest.raises(TrafficError, match=said) as caught:
        read(week(cells * 20, delimiter))
    assert "\n" not in str(caught.value)


def test_who_is_asked_can_answer_and_is_told_how_a_count_was_read(read: Read) -> None:
    text = week(["1.200", "2.300"], ";")
    grouped, small = read(text, decimal="comma"), read(text, decimal="point")
    assert (grouped.requests, small.requests) == (3500.0, 3.5)
    assert "A count written '1.200' is read as 1200." in grouped.notes
    assert "A count written '1.200' is read as 1.2." in small.notes


def test_a_number_of_the_other_kind_further_down_is_a_bad_row(read: Read) -> None:
    cells = ["1.200,5"] * 5000
    cells[2500] = "12.5"  # neither in the first nor in the last rows, which tell how to read
    assert read(week(cells, ";")).rows_left_out == 1


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_spreadsheet_s_own_file_is_read(read: Read, start: str) -> None:
    rows = [f"{(MONDAY + timedelta(hours=i)):%d.%m.%Y %H:%M};1.2{i % 24:02}" for i in range(168)]
    text = start + "sep=;\r\n" + "\r\n".join(["Zeit;Anzahl", "05.01.2026 00:00;5", *rows]) + "\r\n"
    found = read(text)
    assert found.rows == 169
    assert found.requests == sum(1200 + i % 24 for i in range(168)) + 5
    assert "times in 'Zeit'" in found.notes[0]


def test_text_that_is_not_utf8_is_said_wherever_it_stands(read: Read) -> None:
    text = week(["5"] * 70_000).encode()  # more than the first block
    for content in (week(["1\u00a0000"]).encode("latin-1"), text + b"\n2034-01-01,1\xa0000\n"):
        with pytest.raises(TrafficError, match="is not UTF-8 text; export it again in UTF-8"):
            read(content)


def test_the_terminal_takes_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "woche.csv"
    path.write_text(week(["1.200", "2.300"], ";"))
    command = [sys.executable, "-m", "advisor", "workload", str(path)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert "--decimal" in asked.stderr
    told = subprocess.run(
        [*command, "--decimal", "comma"], capture_output=True, text=True, check=True
    )
    assert "3,500 requests" in told.stdout
