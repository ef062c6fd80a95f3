"""A refresh against a vendor on this machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import vendor_lists as lists
from vendor_server import Vendor

from advisor.prices.refresh import refresh
from advisor.prices.refresh.web import Web
from advisor.prices.shelf import book_in_use

TODAY = date(2026, 11, 22)


def untouched(shelf: Path) -> bool:
    """Whether the seed is still in use."""
    return book_in_use() == shelf / "books" / "seed"


def quick(cancelled: Callable[[], bool] = lambda: False) -> Web:
    """The client of the product with short pauses."""
    return Web(cancelled=cancelled, pause_s=0.01)


def run(vendor: Vendor, provider: str = "aws", regions: tuple[str, ...] = ("us-east-1",),
        **more: object) -> object:  # fmt: skip
    return refresh(provider, regions=regions, endpoint=vendor.url, today=TODAY, web=quick(), **more)


def change(aws: Vendor, name: str, region: str, old: bytes, new: bytes) -> None:
    path = lists.list_path(name, region)
    assert old in aws.files[path]
    aws.files[path] = aws.files[path].replace(old, new)
