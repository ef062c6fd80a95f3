"""Rates: splitting a quantity over tiers, and finding the rate of a region."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import InputError, PriceBookError, UnknownPriceError
from advisor.prices import Rate, Tier, load_book
from advisor.prices.rates import RATE_COLUMNS, read_rates, read_skus
from advisor.prices.store import write_csv

BOOK = load_book()


def rate(*tiers: tuple[float, float]) -> Rate:
    return Rate("a.sku", "us-east-1", "GB", tuple(Tier(*t) for t in tiers), "a list", "2026-01-01",
                "list")  # fmt: skip


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    starts = draw(st.lists(st.floats(1e-3, 1e9), max_size=4, unique=True).map(sorted))
    prices = draw(st.lists(st.floats(1e-9, 10), min_size=len(starts) + 1, max_size=len(starts) + 1))
    return rate(*zip([0.0, *starts], sorted(prices, reverse=True), strict=True))


quantities = st.floats(0, 1e12)


@settings(deadline=None)
@given(rates(), quantities, quantities)
def test_shares_add_up_to_the_quantity(some: Rate, quantity: float, after: float) -> None:
    shares = some.split(quantity, after)
    assert math.isclose(sum(s for s, _ in shares), quantity, rel_tol=1e-9, abs_tol=1e-3)
    assert all(share > 0 for share, _ in shares)


@settings(deadline=None)
@given(rates(), quantities, quantities)
def test_more_never_costs_less(some: Rate, quantity: float, more: float) -> None:
    assert some.usd(quantity + more) >= some.usd(quantity) * (1 - 1e-9)


@settings(deadline=None)
@given(rates(), quantities)
def test_the_price_is_continuous_where_a_tier_begins(some: Rate, quantity: float) -> None:
    for tier in some.tiers:
        step = max(tier.start * 1e-9, 1e-9)
        before, behind = some.usd(max(0.0, tier.start - step)), some.usd(tier.start + step)
        dearest = max(t.unit_price_usd for t in some.tiers)
        assert behind - before <= 2 * step * dearest * 1.1 + 1e-9 * behind


@settings(deadline=None)
@given(rates(), quantities, quantities)
def test_two_parts_cost_what_the_whole_costs(some: Rate, first: float, second: float) -> None:
    whole = some.usd(first + second)
    assert math.isclose(some.usd(first) + some.usd(second, after=first), whole, rel_tol=1e-6)


def test_a_quantity_on_the_edge_stays_in_the_lower_tier() -> None:
    some = rate((0, 2.0), (10, 1.0))
    assert some.split(10) == [(10, 2.0)]
    assert some.split(12) == [(10, 2.0), (2, 1.0)]
    assert some.split(5, after=10) == [(5, 1.0)]
    assert some.split(0) == []


@pytest.mark.parametrize("quantity", [-1.0, math.nan, math.inf])
def test_impossible_quantities_are_refused(quantity: float) -> None:
    with pytest.raises(InputError, match=r"a\.sku"):
        rate((0, 1.0)).split(quantity)


def test_a_region_of_its_own_comes_before_the_row_for_everywhere() -> None:
    here, elsewhere = BOOK.rate("eks.cluster_hour", "us-east-1"), BOOK.rate(
        "eks.cluster_hour", "eu-north-1")  # fmt: skip
    assert here.kind == "list"
    assert elsewhere.kind == "default"
    assert elsewhere.region == "eu-north-1"


@pytest.mark.parametrize(
    ("sku", "region", "words"),
    [
        ("nat.hour", "sa-east-1", ("nat.hour", "sa-east-1")),
        ("nat.hours", "us-east-1", ("nat.hours", "nat.hour")),
        ("nat.hour", "us-east1-", ("us-east1-", "did you mean")),
        ("eks.cluster_hour", "us-central1", ("eks.cluster_hour", "us-central1")),
        ("gke.cluster_hour", "us-east-1", ("gke.cluster_hour", "us-east-1")),
    ],
)
def test_unknown_prices_name_sku_and_region(
    sku: str, region: str, words: tuple[str, ...]
) -> None:  # fmt: skip
    with pytest.raises(UnknownPriceError) as caught:
        BOOK.rate(sku, region)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_metering_and_allowances() -> None:
    assert BOOK.metering("apigw.http_step_kb").value == 512
    with pytest.raises(UnknownPriceError, match=r"apigw\.http_step_kb"):
        BOOK.metering("apigw.http_steps_kb")
    arm, x86 = (BOOK.allowance_for(f"lambda.gb_second.{a}") for a in ("arm", "x86"))
    assert arm is not None
    assert arm is x86
    assert BOOK.allowance_for("nat.hour") is None


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([("nat.hour", "us-east-1", 5, 0.1, "list", "2026-01-01", "x")], "start"),
        ([("nat.hour", "us-east-1", 0, 0.1, "list", "2026-01-01", "x"),
          ("nat.hour", "us-east-1", 0, 0.1, "list", "2026-01-01", "x")], "higher"),
        ([("no.such", "us-east-1", 0, 0.1, "list", "2026-01-01", "x")], "no.such"),
        ([("nat.hour", "us-east-1", 0, "free", "list", "2026-01-01", "x")], "free"),
        ([("nat.hour", "us-east-1", 0, 1, "list", "2026-01-01", "x", "extra")], "line 2"),
    ],
)  # fmt: skip
def test_damaged_rates_are_refused(tmp_path: Path, rows: list[tuple], word: str) -> None:
    write_csv(tmp_path / "rates.csv", RATE_COLUMNS, rows)
    with pytest.raises(PriceBookError, match=word):
        read_rates(tmp_path / "rates.csv", read_skus(BOOK.directory / "skus.csv"))
