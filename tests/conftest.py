"""For all tests: the prices that ship, whatever has been refreshed on this machine."""

from __future__ import annotations

import os
from pathlib import Path

# Before anything reads a price; tests of refreshed prices set their own place.
os.environ["ADVISOR_PRICES"] = str(Path(__file__).parents[1] / "advisor" / "prices" / "data")
