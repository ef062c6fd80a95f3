"""A person types and clicks at once: the click is not lost, and the record says what was typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from e2e_server import open_page, settle
from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("with_enter", "rounds"),
    [
        pytest.param(False, 3, id="click"),
        pytest.param(True, 20, id="enter twenty times", marks=pytest.mark.slow),
        pytest.param(False, 20, id="click twenty times", marks=pytest.mark.slow),
    ],
)
def test_a_click_straight_after_typing_downloads_what_was_typed(
    app: str, page: Page, with_enter: bool, rounds: int
) -> None:
    open_page(page, app)
    page.get_by_role("button", name=re.compile("Decision record$")).click()
    box = page.get_by_role("textbox", name="Decision-makers")
    button = page.get_by_role("button", name=re.compile("JSON, "))
    button.wait_for()
    settle(page)
    for count in range(rounds):
        box.fill(f"Ada the {count}")
        if with_enter:
            box.press("Enter")
        with page.expect_download(timeout=15_000) as waiting:
            button.click()
        written = json.loads(Path(waiting.value.path()).read_text())
        assert written["record"]["deciders"] == f"Ada the {count}"


def test_prices_are_downloaded_as_they_are_filtered_that_moment(app: str, page: Page) -> None:
    open_page(page, f"{app}/prices")
    box = page.get_by_label("Filter", exact=True)
    for wanted in ("sagemaker", "fargate"):
        box.fill(wanted)
        with page.expect_download(timeout=15_000) as waiting:
            page.get_by_role("button", name=re.compile("Download as CSV$")).click()
        lines = Path(waiting.value.path()).read_text().splitlines()
        assert len(lines) > 1
        assert all(wanted in line.lower() for line in lines[1:])
