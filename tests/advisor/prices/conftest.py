"""A small price book on a shelf of its own, and vendors that list its prices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import vendor_lists as lists
from small_book import put_on_shelf, small_book
from vendor_server import Vendor, serving

from advisor.prices import PriceBook


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_book(tmp_path_factory.mktemp("seed") / "seed")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: Path) -> Path:
    """A home of its own; refreshed prices go on this shelf, where the seed is in use."""
    monkeypatch.delenv("ADVISOR_PRICES", raising=False)
    monkeypatch.setenv("ADVISOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADVISOR_GCP_API_KEY", "a-test-key")
    place = tmp_path / "home" / "prices"
    put_on_shelf(seed, place)
    return place


@pytest.fixture(scope="module")
def book(seed: Path) -> PriceBook:
    return PriceBook(seed)


@pytest.fixture(scope="module")
def aws_lists(book: PriceBook) -> Vendor:
    return lists.aws_bulk(book, ["us-east-1", "eu-west-1"])


@pytest.fixture
def aws(aws_lists: Vendor) -> Iterator[Vendor]:
    with serving(Vendor(files=dict(aws_lists.files))) as vendor:
        yield vendor
