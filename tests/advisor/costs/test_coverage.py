"""What has no price is counted and said, and never counts as nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor.catalog.loader import load_options
from advisor.costs import audit
from advisor.costs.coverage import coverage
from advisor.prices import load_book
from advisor.recommend import recommend
from advisor.recommendation import Ranked
from advisor.requirements import parse

BOOK = load_book()
# The most lines without a price that a cloud may have: a refresh or new data brings it down.
MOST_UNKNOWN = {"aws": 1205, "gcp": 60, "azure": 563}


def test_the_default_regions_have_every_price_but_what_nobody_published() -> None:
    rows = {
        (r.cloud, r.region): r
        for cloud in MOST_UNKNOWN
        for r in coverage(BOOK, [cloud], regions=[BOOK.default_region(cloud)])
    }
    assert rows["aws", "us-east-1"].unknown == {}
    assert rows["azure", "eastus"].unknown == {}
    assert rows["gcp", "us-central1"].unknown == {"Private endpoints": 1}
    for row in rows.values():
        assert row.bills >= 4
        assert row.lines > 2 * row.bills
        assert row.unpriced == ()


@pytest.mark.slow
@pytest.mark.parametrize("cloud", MOST_UNKNOWN)
def test_unknown_lines_do_not_become_more(cloud: str) -> None:
    assert sum(row.unknown_lines for row in coverage(BOOK, [cloud])) <= MOST_UNKNOWN[cloud]


@pytest.mark.parametrize(
    ("cloud", "region"),
    [("aws", "eu-south-1"), ("gcp", "asia-east1"), ("azure", "brazilsouth")],
)
def test_a_total_with_an_unknown_line_says_at_least(cloud: str, region: str) -> None:
    answer = recommend(
        parse(
            {
                "model": {"format": "onnx", "size_mb": 100, "memory_mb": 400, "service_time_ms": 9},
                "traffic": {"mode": "realtime", "requests_per_month": 9_000_000},
                "placement": {"clouds": [cloud], "regions": [region]},
            }
        ),
        doubt=False,
    )
    seen = 0
    for ranked in answer.ranking:
        unknown = [line for line in ranked.lines if line.unit_price_usd is None]
        assert ranked.at_least == bool(unknown)
        for line in unknown:
            seen += 1
            assert line.usd == 0
            assert line.quantity > 0
            assert "unit price unknown" in line.source
        assert all(x.usd > 0 for x in ranked.lines if x.unit_price_usd is not None)
    assert seen


def test_a_region_is_not_chosen_because_its_prices_are_unknown() -> None:
    def gateway(*regions: str) -> Ranked:
        asked = parse(
            {
                "model": {"format": "onnx", "size_mb": 100, "memory_mb": 400, "service_time_ms": 9},
                "traffic": {"mode": "realtime", "requests_per_month": 60_000_000},
                "placement": {"regions": list(regions)},
            }
        )
        found = recommend(asked, options=["lambda-apigateway"], doubt=False)
        return found.ranking[0]

    complete, unknown = gateway("us-east-1"), gateway("me-south-1")
    assert unknown.at_least
    assert unknown.monthly_usd.expected < complete.monthly_usd.expected
    assert gateway("me-south-1", "us-east-1").region == "us-east-1"


def test_every_priced_thing_has_its_column_in_the_audit() -> None:
    shown = {thing for things in audit.COLUMNS.values() for thing in things}
    billed = {thing for option in load_options().values() for thing in option.bill}
    assert billed == shown


@pytest.mark.parametrize("option", load_options().values(), ids=lambda o: o.id)
def test_every_option_says_what_is_not_on_its_bill(option) -> None:
    assert option.outside_bill
    things = [left.thing for left in option.outside_bill]
    assert len(set(things)) == len(things)


def test_the_table_in_the_docs_is_the_one_of_the_option_files() -> None:
    page = (Path(__file__).parents[3] / "docs" / "method.md").read_text(encoding="utf-8")
    shown = page.split("<!-- billed -->\n")[1].split("\n<!-- /billed -->")[0]
    assert shown == audit.table(), "print it again with python -m advisor.costs.audit"
