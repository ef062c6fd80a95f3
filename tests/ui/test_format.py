"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from advisor.recommendation import Range, Replicas
from ui import format as fmt


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (None, "unknown"),
        (0, "$0"),
        (0.002, "under $0.01"),
        (4.5, "$4.50"),
        (9.994, "$9.99"),
        (1234.5, "$1,234"),
    ],
)
def test_usd(amount: float | None, said: str) -> None:
    assert fmt.usd(amount) == said


def test_a_sum_with_unknown_parts_says_at_least() -> None:
    assert fmt.usd(300, at_least=True) == "at least $300"


@pytest.mark.parametrize(
    ("price", "said"),
    [
        (0.0000166667, "$0.00001667"),
        (2e-7, "$0.0000002"),
        (0.1, "$0.10"),
        (0.0225, "$0.0225"),
        (350, "$350.00"),
        (0, "$0"),
        (None, "unit price unknown"),
    ],
)
def test_unit_prices_keep_the_digits_that_matter(price: float | None, said: str) -> None:
    assert fmt.unit_price(price) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (2e7, "20 million"),
        (1.5e9, "1.5 billion"),
        (12345, "12,345"),
        (0.003, "0.003"),
        (5, "5"),
        (99.95, "99.95"),
    ],
)
def test_counts(number: float, said: str) -> None:
    assert fmt.count(number) == said


def test_ranges_and_replicas() -> None:
    assert fmt.usd_range(Range(low=180, expected=214, high=290)) == "$180–290"
    assert fmt.usd_range(Range(low=180.1, expected=180.2, high=180.3)) == "$180"
    assert fmt.replicas(Replicas(min=2, max=4)) == "2–4"
    assert fmt.replicas(Replicas(min=3, max=3)) == "3"


def test_a_share_below_all_is_never_shown_as_all() -> None:
    assert fmt.percent(0.9999) == "over 99 %"
    assert fmt.percent(1.0) == "100 %"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.65, "650 ms"), (7.52, "7.5 s"), (13.2, "13 s"), (7200, "2 h"), (86400 * 30, "30 days")],
)
def test_durations(seconds: float, said: str) -> None:
    assert fmt.duration_s(seconds) == said


@pytest.mark.parametrize(
    ("hours", "said"), [(None, "–"), (5.81 / 3600, "5.9 s"), (0.41, "25 min"), (6.0, "6 h")]
)
def test_a_finish_is_said_as_reasons_say_it(hours: float | None, said: str) -> None:
    assert fmt.finish(hours) == said


def test_age_of_prices() -> None:
    assert fmt.age_days("2026-07-20", date(2026, 11, 22)) == 125
    assert fmt.age_days("undated") is None


def test_ago() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert fmt.ago(now - timedelta(seconds=3), now) == "just now"
    assert fmt.ago(now - timedelta(minutes=5), now) == "5 min ago"
    assert fmt.ago(now - timedelta(days=3), now) == "3 days ago"


@pytest.mark.parametrize("text", ["=1+1", "+A1", "-2", "@SUM(A1)", "\tx", "\rx", " =1", "＝1"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    assert fmt.csv_safe(text) == "'" + text


def test_markdown_is_escaped_dollars_above_all() -> None:
    assert fmt.escape("$1 to $2 [x](y) `z` <b>") == r"\$1 to \$2 \[x\](y) \`z\` \<b\>"


def test_a_command_in_a_sentence_is_shown_as_one_and_nothing_else_is_markup() -> None:
    assert fmt.sentence("run `python -m x` $1 <b>") == r"run `python -m x` \$1 \<b\>"
    assert fmt.sentence("`<b>` ` `` **x**") == fmt.escape("`<b>` ` `` **x**")


def test_sources_become_links() -> None:
    said = fmt.linked("AWS Guide (a@1), https://docs.aws.amazon.com/x.html (read 2026-11-22)")
    assert said == "[AWS Guide (a@1)](https://docs.aws.amazon.com/x.html) (read 2026-11-22)"
    assert fmt.linked("own-estimate [x]") == r"own-estimate \[x\]"


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1.0, "replicas", "1 replica"),
        (2.0, "replicas", "2 replicas"),
        (1.0, "requests at once", "1 request at once"),
        (1.0, "vCPU", "1 vCPU"),
    ],
)
def test_one_of_a_thing_is_said_as_one(value: float, unit: str, said: str) -> None:
    assert fmt.quantity(value, unit) == said


def test_values_have_the_names_that_rules_use() -> None:
    assert fmt.name("gcp") == "Google Cloud"
    assert fmt.name("own-hardware") == "Own hardware"
    assert fmt.name("1y") == "1 year"
    assert fmt.name("torch") == "PyTorch"
