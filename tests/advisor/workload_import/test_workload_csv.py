"""Traffic files: what is read from them, what is said about them, and what is refused."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.cli import main
from advisor.errors import TrafficError
from advisor.requirements import load
from advisor.traffic import weekly_rates
from advisor.workload_import import source as source_module
from advisor.workload_import.csv_file import ReadOptions, read_csv
from advisor.workload_import.summary import ImportedTraffic

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def read(tmp_path: Path):
    """Reads this text (or these bytes) as a file."""

    def reader(content: str | bytes, **options: Any) -> ImportedTraffic:
        path = tmp_path / "traffic.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(path, ReadOptions(**options))

    return reader


def hourly(weeks: int = 2, count: Any = lambda i: 100 + i % 24, skip: Any = ()) -> str:
    rows = [
        f"{(MONDAY + i * HOUR):%Y-%m-%dT%H:%M:%SZ},{count(i)}"
        for i in range(weeks * 168)
        if i not in skip
    ]
    return "timestamp,count\n" + "\n".join(rows) + "\n"


# What is read


def test_hourly_counts_give_the_week_and_the_month(read) -> None:
    found = read(hourly())
    assert found.pattern == tuple(float(100 + i % 24) for i in range(168))
    assert found.requests_per_month == pytest.approx(111.5 * 730)
    assert found.weeks == pytest.approx(2)
    assert found.spread_percent == pytest.approx(0)
    assert (found.hours_missing, found.duplicates, found.rows_left_out) == (0, 0, 0)
    assert found.peak_requests_per_second is None


def test_one_request_a_row_gives_the_same_as_its_counts(read) -> None:
    rng = np.random.default_rng(7)
    times = np.sort(rng.integers(0, 14 * 86_400, 30_000)) + int(MONDAY.timestamp())
    found = read("\n".join(map(str, times)))
    counted = np.bincount((times - int(MONDAY.timestamp())) // 3600 % 168, minlength=168) / 2
    assert found.pattern == pytest.approx(counted, rel=0.02)
    assert found.requests == 30_000
    assert found.requests_per_month == pytest.approx(30_000 / 336 * 730, rel=0.01)
    minute = np.bincount((times - times[0] // 60 * 60) // 60).max() / 60
    assert found.peak_requests_per_second == pytest.approx(minute)


def stamp(form: str) -> str:
    when = [MONDAY + timedelta(minutes=7 * i) for i in range(4 * 1440)]
    return "\n".join(["time", *(t.strftime(form) for t in when)])


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S.%f",
        "%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%dT%H:%M:%S+00:00", "%d.%m.%Y %H:%M:%S",
        "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%y %H:%M", "%d-%m-%Y %H:%M:%S",
        "%Y/%m/%d %H:%M:%S", "[%d/%b/%Y:%H:%M:%S +0000]", "%d-%b-%Y %H:%M:%S",
    ],
)  # fmt: skip
def test_times_are_read_as_people_write_them(read, form: str) -> None:
    found = read(stamp(form))
    assert found.first == MONDAY
    assert found.last == MONDAY + timedelta(minutes=7 * (4 * 1440 - 1))
    assert found.rows == 4 * 1440
    assert found.rows_left_out == 0


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_epochs_are_told_apart_by_their_size(read, unit: str, factor: float) -> None:
    at = MONDAY.timestamp()
    found = read("ts\n" + "\n".join(f"{int((at + 60 * i) * factor)}" for i in range(3000)))
    assert found.first == MONDAY
    assert f"in {unit}" in found.notes[0]


def test_an_offset_counts_and_a_zone_is_for_the_others(read) -> None:
    text = "\n".join(
        (MONDAY + i * HOUR).astimezone(ZoneInfo("Asia/Tokyo")).isoformat() for i in range(48)
    )
    assert read(text, timezone="America/New_York").first == MONDAY
    bare = "\n".join(
        (MONDAY + i * HOUR).astimezone(ZoneInfo("Asia/Tokyo")).strftime("%Y-%m-%d %H:%M:%S")
        for i in range(48)
    )
    found = read(bare, timezone="Asia/Tokyo")
    assert found.first == MONDAY
    assert any("taken as Asia/Tokyo" in note for note in found.notes)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("titles", [True, False])
@pytest.mark.parametrize("coded", ["utf-8", "utf-8-sig", "utf-16", "gzip", "crlf", "quoted"])
def test_the_same_table_in_any_dress(read, delimiter: str, titles: bool, coded: str) -> None:
    text = hourly(1).replace(",", delimiter)
    if not titles:
        text = text.partition("\n")[2]
    if coded == "quoted":
        text = re.sub(rf"[^{re.escape(delimiter)}\n]+", lambda m: f'"{m[0]}"', text)
    if coded == "crlf":
        text = text.replace("\n", "\r\n")
    data = (
        gzip.compress(text.encode())
        if coded == "gzip"
        else text.encode(coded if coded.startswith("utf") else "utf-8")
    )
    found = read(data)
    assert found.pattern == tuple(float(100 + i % 24) for i in range(168))
    assert found.first == MONDAY


def test_columns_go_by_title_or_number_and_others_do_not_matter(read) -> None:
    rows = [f"{i},eu,{(MONDAY + i * HOUR).isoformat()},{i % 5},{10 + i % 3}" for i in range(168)]
    text = "id,place,when,errors,requests\n" + "\n".join(rows)
    by_title = read(text)
    assert by_title.pattern == tuple(float(10 + i % 3) for i in range(168))
    assert read(text, count_column="errors").pattern[:5] == (0, 1, 2, 3, 4)
    assert read(text, time_column="3", count_column="5").pattern == by_title.pattern
    with pytest.raises(TrafficError, match="no column 'calls'; name one of id, place, when"):
        read(text, count_column="calls")
    with pytest.raises(TrafficError, match=r"column place of traffic\.csv holds no times"):
        read(text, time_column="place")


def test_counts_without_times_begin_on_monday_and_that_is_said(read) -> None:
    found = read("\n".join(str(i % 24) for i in range(336)) + "\n\n")
    assert found.pattern == tuple(float(i % 24) for i in range(168))
    assert "taken as the hour from Monday 00:00" in " ".join(found.notes)
    assert found.hours_missing == 0


def test_counts_of_five_minutes_give_a_finer_peak(read) -> None:
    def count(i: int) -> int:
        return 3000 if i == 500 else 60

    rows = [
        f"{(MONDAY + timedelta(minutes=5 * i)).isoformat()},{count(i)}" for i in range(12 * 168)
    ]
    found = read("time,requests\n" + "\n".join(rows))
    assert found.peak_requests_per_second == pytest.approx(10)
    assert found.peak_seconds == 300
    assert found.pattern[0] == 720


def test_daily_counts_are_spread_and_that_is_said(read) -> None:
    rows = [f"{(MONDAY + timedelta(days=i)):%Y-%m-%d},2400" for i in range(28)]
    found = read("date,requests\n" + "\n".join(rows))
    assert found.pattern == pytest.approx([100] * 168)
    assert found.hours_missing == 0
    assert "the daily pattern and the peak are not known" in " ".join(found.notes)


def test_growth_is_taken_over_only_where_it_is_certain(read) -> None:
    weekly = 1.05
    found = read(hourly(12, lambda i: round(1000 * weekly ** (i // 168))))
    assert found.growth is not None
    assert found.growth.low <= (weekly ** (730 / 168) - 1) * 100 <= found.growth.high + 0.5
    assert found.growth_percent_per_month == pytest.approx((weekly ** (730 / 168) - 1) * 100, 0.02)
    rng = np.random.default_rng(3)
    noisy = rng.integers(500, 1500, 12)
    level = read(hourly(12, lambda i: int(noisy[i // 168])))
    assert level.growth is not None
    assert level.growth_percent_per_month == 0
    assert "could be chance" in " ".join(level.notes)
    assert level.spread_percent == pytest.approx(noisy.std(ddof=1) / noisy.mean() * 100)
    assert read(hourly(4)).growth is None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=168, max_size=500), st.integers(0, 167))
def test_nothing_is_lost_or_made_up(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], shift: int
) -> None:
    """Whatever is counted, the week averages it by hour of the week and the parts add up."""
    if not sum(counts):
        return
    path = tmp_path_factory.mktemp("any") / "t.csv"
    start = MONDAY + shift * HOUR
    path.write_text(
        "\n".join(f"{(start + i * HOUR).timestamp():.0f},{n}" for i, n in enumerate(counts))
    )
    found = read_csv(path)
    week = [[n for i, n in enumerate(counts) if (i + shift) % 168 == slot] for slot in range(168)]
    assert found.pattern == pytest.approx([float(np.mean(hours)) for hours in week])
    assert found.requests == sum(counts)
    assert found.requests_per_month == pytest.approx(np.mean(found.pattern) * 730)


# Gaps, duplicates, missing and bad cells


def test_gaps_are_reported_and_treated_as_asked(read) -> None:
    gap = set(range(200, 224))
    found = read(hourly(2, lambda i: 100, gap))
    assert (found.hours_missing, found.longest_gap_h) == (24, 24)
    assert found.requests_per_month == pytest.approx(73_000)
    assert "24 hours in 1 gap without" in " ".join(found.notes)
    zero = read(hourly(2, lambda i: 100, gap), gaps="zero")
    assert zero.hours_missing == 0
    assert zero.requests_per_month == pytest.approx(73_000 * (1 - 24 / 336))


def test_a_quiet_hour_of_a_log_is_no_traffic_unless_asked_otherwise(read) -> None:
    minutes = [i for i in range(14 * 1440) if not 3000 <= i < 3600]
    text = "\n".join((MONDAY + timedelta(minutes=i)).isoformat() for i in minutes)
    assert read(text).requests_per_month == pytest.approx(60 * 730 * (1 - 10 / 336))
    left_out = read(text, gaps="leave-out")
    assert left_out.hours_missing == 10
    assert left_out.requests_per_month == pytest.approx(60 * 730)


def test_hours_never_seen_are_filled_from_similar_days(read) -> None:
    found = read(hourly(1, lambda i: 100 + i % 24, range(24, 48)))
    assert found.hours_filled == 24
    assert found.pattern[24:48] == found.pattern[:24]


def test_duplicates_are_reported_and_added_up_or_left_out(read) -> None:
    text = hourly(1, lambda i: 10)
    twice = text + text.partition("\n")[2]
    summed = read(twice)
    assert summed.duplicates == 168
    assert set(summed.pattern) == {20.0}
    assert set(read(twice, duplicates="first").pattern) == {10.0}
    assert "168 rows for a time that another row has counted" in " ".join(summed.notes)


def test_missing_counts_are_not_measured(read) -> None:
    rows = hourly(2, lambda i: "" if i % 7 == 3 else 50)
    found = read(rows.replace("00:00Z,\n", "00:00Z,n/a\n", 5))
    assert found.missing_counts == 48
    assert found.hours_missing == 48
    assert set(found.pattern) == {50.0}


def test_a_negative_count_is_refused_with_its_line(read) -> None:
    with pytest.raises(TrafficError, match=r"traffic\.csv, line 12: the count is -5"):
        read(hourly(1, lambda i: -5 if i == 10 else 5))


@pytest.mark.parametrize("cell", ["many", "=cmd|' /C calc'!A0", "inf", "1e999", "12 requests"])
def test_few_bad_cells_are_left_out_and_said_and_many_are_refused(read, cell: str) -> None:
    found = read(hourly(2, lambda i: cell if i == 40 else 9))
    assert found.rows_left_out == 1
    assert found.left_out[0].startswith("line 42 cannot be read: ")
    assert set(found.pattern) == {9.0}
    with pytest.raises(TrafficError, match=r"line 3 cannot be read: .*; 7 of 336 rows") as caught:
        read(hourly(2, lambda i: cell if i in range(1, 8) else 9))
    assert "\n" not in str(caught.value)


def test_bad_times_and_rows_of_another_width_are_named_by_their_line(read) -> None:
    lines = hourly(2).splitlines()
    lines[50] = "yesterday,5"
    lines[80] = "1,2,3,4"
    found = read("\n".join(lines))
    assert found.rows_left_out == 2
    assert sorted(found.left_out) == [
        "line 51 cannot be read: 'yesterday 5'",
        "line 81 has 4 columns and not 2: '1,2,3,4'",
    ]
    lines[200] = "2026-01-13T06:00:00Z,-1"
    with pytest.raises(TrafficError, match="line 201"):
        read("\n".join(lines))


def test_day_and_month_that_cannot_be_told_apart_are_asked_for(read) -> None:
    text = "when\n" + "\n".join(f"0{d}/03/2026 10:00" for d in range(1, 9))
    with pytest.raises(TrafficError, match="'01/03/2026 10:00' has the day or the month first"):
        read(text)
    assert read(text, day_first=True).last.day == 8
    assert read(text, day_first=False).last.month == 8


def test_a_stray_quote_swallows_nothing(read) -> None:
    lines = hourly(2).splitlines()
    lines[100] = '"' + lines[100]
    with pytest.raises(TrafficError, match="line 101: a quotation mark that does not end"):
        read("\n".join(lines))
    lines[100] = lines[100].replace(",", '",')
    assert read("\n".join(lines)).rows == 336
    with pytest.raises(TrafficError, match="line 337: a quotation mark"):
        read("\n".join([*lines[:-1], '"' + lines[-1]]))


# Clocks


def test_daylight_saving_is_told_by_the_order_of_the_rows(read) -> None:
    """Berlin, 2026-10-25: 02:00 to 03:00 comes twice; 2026-03-29: it does not come at all."""
    start = datetime(2026, 10, 24, 0, tzinfo=UTC)
    local = [(start + i * HOUR).astimezone(ZoneInfo("Europe/Berlin")) for i in range(72)]
    text = "time,count\n" + "\n".join(f"{t:%Y-%m-%d %H:%M},{i}" for i, t in enumerate(local))
    found = read(text, timezone="Europe/Berlin")
    assert found.duplicates == 0
    assert found.hours_missing == 0
    assert found.first == start
    assert found.last == start + 71 * HOUR
    assert "2 rows lie in the hour that the clock of Europe/Berlin repeats" in " ".join(found.notes)
    assert "the order of the rows tells its two rounds apart" in " ".join(found.notes)
    spring = "\n".join(f"2026-03-29 {h:02}:30:00" for h in range(24))
    jumped = read(spring, timezone="Europe/Berlin")
    assert "1 row lies in the hour that the clock of Europe/Berlin leaves out" in " ".join(
        jumped.notes
    )
    assert jumped.requests == 24


def test_a_log_of_requests_keeps_its_two_rounds_apart_across_chunks(read) -> None:
    start = datetime(2026, 10, 25, 0, tzinfo=UTC)
    local = [
        (start + timedelta(seconds=i)).astimezone(ZoneInfo("Europe/Berlin")) for i in range(7200)
    ]
    text = "\n".join(f"{t:%Y-%m-%d %H:%M:%S}" + " " * 300 for t in local)  # more than one chunk
    found = read(text, timezone="Europe/Berlin")
    assert found.first == start
    assert found.pattern[6 * 24 : 6 * 24 + 2] == (3600, 3600)


def test_a_repeated_hour_that_comes_once_is_its_first_round(read) -> None:
    text = "\n".join(f"2026-10-25 02:{m:02}:00" for m in range(0, 60, 5))
    found = read(text, timezone="Europe/Berlin")
    assert found.first == datetime(2026, 10, 25, 0, tzinfo=UTC)
    assert "shows no second" in " ".join(found.notes)


def test_a_zone_that_does_not_exist_is_refused(read) -> None:
    for zone in ("Europe/Berlim", "../../etc/passwd", ""):
        with pytest.raises(TrafficError, match="is no time zone"):
            read(hourly(), timezone=zone)


# Refused


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n \n", "is empty"),
        (b"timestamp,count\n", "a header and no rows"),
        (b"name,colour\nanna,red\nben,blue\n", "no column of times and none of counts"),
        (b"time\nsoon\nlater\n", "column 'time' of traffic.csv holds no times"),
        (b"PK\x03\x04 and more", "a zip archive or a spreadsheet"),
        (b"\x89PNG\x00\x00\x1a\n\x00", "is not text"),
        (b"PAR1....", "a Parquet file"),
        (b"\x1f\x8b\x08\x00damaged", "a damaged gzip file"),
        (gzip.compress(hourly().encode())[:-20], "a damaged gzip file"),
        (b"a" * 300_000, "a line of more than 100 kB"),
        (b"time\n2026-01-05T00:00:00Z\n" + b"b" * 3_000_000, "a line of more than 100 kB"),
        (b"1970-01-01,5\n2026-01-01,6\n2026-01-02,6\n", "more than 10 years"),
        (b"time,count\n2026-01-05T00:00:00Z,0\n2026-01-05T01:00:00Z,0\n", "no request at all"),
        (b"a,b\n1,2\n3,4\n", "2 columns of numbers and none of times"),
        (
            b'time,count\n"2026-01-05T00:00:00Z,5\n2026-01-05T01:00:00Z,6\n',
            "traffic.csv, line 2: a quotation mark",
        ),
    ],
)
def test_what_is_no_traffic_is_refused_with_the_way_out(read, content: bytes, said: str) -> None:
    with pytest.raises(TrafficError) as caught:
        read(content)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_unpacks_without_end_is_refused_early(
    read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "RATIO_FROM_BYTES", 2_000_000)
    bomb = gzip.compress(b"2026-01-05T00:00:00Z\n" * 500_000)
    assert len(bomb) * 200 < 500_000 * 21
    with pytest.raises(TrafficError, match="unpacks to more than"):
        read(bomb)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TrafficError, match=r"cannot read nowhere\.csv: No such file"):
        read_csv(tmp_path / "nowhere.csv")


# In a terminal


def test_the_terminal_prints_and_writes_requirements_that_hold(tmp_path: Path, capsys) -> None:
    csv, into = tmp_path / "t.csv", tmp_path / "need.yaml"
    csv.write_text(hourly(2, lambda i: 1000 if i % 24 == 12 else 100))
    into.write_text(
        "model: {format: onnx, size_mb: 20, memory_mb: 300, service_time_ms: 12}\n"
        "traffic: {mode: async, requests_per_month: 5, request_mb: 3}\n"
    )
    assert main(["workload", str(csv), "--into", str(into)]) == 0
    out = capsys.readouterr().out
    assert "requests a month: 100,375" in out
    assert "The traffic was written into" in out
    need = load(into)
    assert need.traffic.mode.value == "async"
    assert need.traffic.request_mb == 3
    assert need.traffic.requests_per_month == pytest.approx(100_375)
    assert weekly_rates(need.traffic).max() * 3600 == pytest.approx(1000)


def test_a_new_requirements_file_gets_the_traffic_alone(tmp_path: Path, capsys) -> None:
    csv, into = tmp_path / "t.csv", tmp_path / "new.yaml"
    csv.write_text(hourly(1))
    assert main(["workload", str(csv), "--into", str(into), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["weeks"] == 1
    assert into.read_text().startswith("# Add the model")
    assert len(yaml.safe_load(into.read_text())["traffic"]["pattern"]) == 168


def test_traffic_that_would_contradict_the_file_leaves_it_alone(tmp_path: Path, capsys) -> None:
    csv, into = tmp_path / "t.csv", tmp_path / "need.yaml"
    csv.write_text(hourly(1))
    into.write_text("model: {format: onnx, size_mb: -1, memory_mb: 300}\n")
    before = into.read_text()
    assert main(["workload", str(csv), "--into", str(into)]) == 2
    assert "it is as it was" in capsys.readouterr().err
    assert into.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either a CSV file or --cloudwatch"),
        (["FILE", "--timezone", "Mars/Base"], "is no time zone"),
        (["FILE", "--count-column", "x"], "has no column 'x'"),
        (["nowhere.csv"], "cannot read nowhere.csv"),
        (["--cloudwatch", "redis:cache"], "is no source of metrics"),
        (["--cloudwatch", "sagemaker:"], "names nothing"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    tmp_path: Path, capsys, arguments: list[str], said: str
) -> None:
    csv = tmp_path / "t.csv"
    csv.write_text(hourly(1))
    assert main(["workload", *(str(csv) if a == "FILE" else a for a in arguments)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


# Size


def _measured_alone(rows: int, directory: Path) -> tuple[dict[str, Any], float]:
    """Reads a log of that many requests in a process of its own; what it found, and its peak MB."""
    path = directory / "log.csv"
    start = np.datetime64("2026-01-05T00:00:00")
    with path.open("wb") as out:
        out.write(b"time\n")
        for part in range(0, rows, 500_000):
            at = (np.arange(part, min(part + 500_000, rows)) * (35 * 86_400 / rows)).astype("m8[s]")
            out.write("\n".join(np.datetime_as_string(start + at, "s")).encode() + b"\n")
    code = (
        "import re,sys\n"
        "from advisor.cli import main\n"
        "main(['workload', sys.argv[1], '--format', 'json'])\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())\n"
        "print(int(peak[1]) / 1024, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=500,
        check=True,
    )  # fmt: skip
    return json.loads(done.stdout), float(done.stderr.strip())


def test_a_million_rows_are_read_in_bounded_memory(tmp_path: Path) -> None:
    found, peak_mb = _measured_alone(1_000_000, tmp_path)
    assert found["rows"] == 1_000_000
    assert found["requests_per_month"] == pytest.approx(1_000_000 / 35 / 24 * 730, rel=0.001)
    assert peak_mb < 600


@pytest.mark.slow
def test_ten_million_rows_take_no_more_memory_than_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "ten").mkdir()
    _, one_mb = _measured_alone(1_000_000, tmp_path / "one")
    found, ten_mb = _measured_alone(10_000_000, tmp_path / "ten")
    assert found["rows"] == 10_000_000
    assert ten_mb < one_mb + 100
