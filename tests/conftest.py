"""For all tests: the prices that ship, whatever has been refreshed on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# `tools/run_tests.py` looks for these nowhere else.
PLACES = {"browser": HERE / "e2e", "emulator": HERE / "deploy" / "aws"}

# Before anything reads a price; tests of refreshed prices set their own place.
os.environ["ADVISOR_PRICES"] = str(HERE.parent / "advisor" / "prices" / "data")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, place in PLACES.items():
            if item.get_closest_marker(marker) and not item.path.is_relative_to(place):
                raise pytest.UsageError(
                    f"{item.nodeid} is marked {marker}, and such tests are looked for in "
                    f"{place.relative_to(HERE.parent)} only; move it there"
                )
