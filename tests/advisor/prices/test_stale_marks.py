"""A price older than 90 days, or of no known date, is marked wherever it is shown."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from advisor import cli, record, report
from advisor.explain import explain
from advisor.presets import preset
from advisor.prices import status
from advisor.prices.shelf import SHIPPED
from advisor.recommend import recommend
from advisor.recommendation import Ranked, Recommendation
from advisor.requirements import Requirements
from advisor.whatif import VolumeSweep
from advisor.whatif import text as whatif_text

DAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("as_of", "mark", "dated"),
    [
        ("2026-11-22", "", "2026-11-22"),
        ("2026-08-24", "", "2026-08-24"),  # 90 days
        ("2026-08-23", "STALE, 91 days old", "2026-08-23: STALE, 91 days old"),
        ("undated", "STALE, undated", "STALE, undated"),
        ("spring", "STALE, undated", "STALE, undated"),
        ("", "", ""),
    ],
)
def test_the_mark(as_of: str, mark: str, dated: str) -> None:
    assert status.mark(as_of, DAY) == mark
    assert status.dated(as_of, DAY) == dated
    assert status.is_stale(as_of, DAY) == bool(mark)


def test_the_sentence_of_a_bill() -> None:
    said = status.stale_note(["2026-11-01", "2026-01-01", "undated", ""], DAY)
    assert said.startswith("2 of 3 unit prices are older than 90 days or undated")
    assert status.stale_note(["2026-11-01", ""], DAY) == ""


def days_ago(days: int) -> str:
    """Asked for in each test: a run may last over midnight."""
    return (datetime.now(UTC).date() - timedelta(days=days)).isoformat()


@pytest.fixture
def old() -> str:
    return days_ago(91)


@pytest.fixture(scope="module")
def asked() -> tuple[Requirements, Recommendation]:
    need = preset("fraud-detection").requirements
    return need, recommend(need)


def redated(answer: Recommendation, *as_ofs: str) -> Recommendation:
    """The answer with other dates on the lines of its winner, in turn."""

    def again(ranked: Ranked) -> Ranked:
        lines = tuple(
            line.model_copy(update={"as_of": as_ofs[i % len(as_ofs)]})
            for i, line in enumerate(ranked.lines)
        )
        return ranked.model_copy(update={"lines": lines})

    first, *rest = answer.ranking
    ranking = (again(first), *(again(r) for r in rest))
    return answer.model_copy(update={"ranking": ranking, "prices_as_of": as_ofs[0]})


def test_the_text_marks_lines_and_the_whole(
    asked: tuple[Requirements, Recommendation], old: str
) -> None:
    need, answer = asked
    said = report.text(need, redated(answer, old, "undated"))
    assert f"[{old}: STALE, 91 days old]" in said
    assert "[STALE, undated]" in said
    assert f"Prices as of {old}: STALE, 91 days old." in said
    assert "STALE" not in report.text(need, redated(answer, days_ago(90)))


def test_the_record_marks_lines_as_of_its_own_day(
    asked: tuple[Requirements, Recommendation],
) -> None:
    need, answer = asked
    stale = redated(answer, "2026-08-23", "undated")
    said = record.markdown(need, stale, on=DAY)
    rows = [row for row in said.splitlines() if row.startswith("|")]
    assert any(re.search(r"2026-08-23: STALE, 91 days old \|$", row) for row in rows)
    assert any(row.endswith("STALE, undated |") for row in rows)
    assert "* now: the prices of 2026-08-23 are older than 90 days" in said
    fresh = record.markdown(need, redated(answer, "2026-11-01"), on=DAY)
    assert "* after 2027-01-30 the prices of 2026-11-01 are older than 90 days" in fresh
    earlier = record.markdown(need, redated(answer, "2026-08-23"), on=date(2026, 8, 24))
    assert "STALE" not in earlier


def test_the_verdict_warns_of_stale_lines_of_the_winner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[Requirements, Recommendation]
) -> None:
    need, _answer = asked
    monkeypatch.setenv("ADVISOR_PRICES", str(book_dated(tmp_path, old)))
    answer = recommend(need, doubt=False)
    note = next(w for w in answer.warnings if "older than 90 days" in w)
    assert note.startswith(f"In the bill of {answer.ranking[0].name}, ")


def test_a_priced_bill_of_usage_marks_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], old: str
) -> None:
    monkeypatch.setenv("ADVISOR_PRICES", str(book_dated(tmp_path, old)))
    usage = tmp_path / "usage.yaml"
    usage.write_text(
        "region: us-east-1\nhours_in_month: 730\nfree_tier: false\n"
        "items:\n  - {service: alb, hours: 730, gb: 10}\n"
    )
    assert cli.main(["price", str(usage)]) == 0
    assert capsys.readouterr().out.count(f", {old}: STALE, 91 days old]") == 2


def test_what_ifs_mark_the_date_of_their_prices(old: str) -> None:
    sweep = VolumeSweep(
        requests_per_month=1000, volumes=(100.0, 1000.0), options=(), winners=(None, None),
        changes=(), break_even=(), prices_as_of=old,
    )  # fmt: skip
    assert f"{old}: STALE, 91 days old" in whatif_text.volume(sweep)


def test_the_age_of_a_bill_is_that_of_its_oldest_price(
    asked: tuple[Requirements, Recommendation],
) -> None:
    need, answer = asked
    best = redated(answer, "2026-11-01", "undated").ranking[0]
    assert next(f for f in explain(need, best) if f.id == "bill").as_of == "undated"


def test_status_counts_stale_prices_of_each_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], old: str
) -> None:
    monkeypatch.setenv("ADVISOR_PRICES", str(book_dated(tmp_path, old)))
    assert cli.main(["prices", "status"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"aws .* stale; mostly", said)
    assert str(tmp_path) in said


def book_dated(directory: Path, as_of: str) -> Path:
    """The shipped book with that date on every rate."""
    book = directory / "book"
    shutil.copytree(SHIPPED, book)
    rates = book / "rates.csv"
    rates.write_text(re.sub(r",(\d{4}-\d\d-\d\d|undated),", f",{as_of},", rates.read_text()))
    return book
