"""One app and one Chromium for the browser tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from e2e_server import FLAGS, SLOW_MS, server
from playwright.sync_api import Browser, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from find_browser import HOW_TO_GET_ONE, find_browser

expect.set_options(timeout=SLOW_MS)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        said = f"NOT RUN: no Chromium was found. {HOW_TO_GET_ONE}"
        if os.environ.get("ADVISOR_STRICT") == "1":
            pytest.fail(said)
        pytest.skip(said)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The app's home; servers that a failed journey left in it end with the session."""
    path = tmp_path_factory.mktemp("advisor-home")
    yield path
    for process in psutil.process_iter(["cwd"]):
        if (process.info["cwd"] or "").startswith(f"{path}{os.sep}"):
            process.kill()


@pytest.fixture(scope="session")
def app(home: Path) -> Iterator[str]:
    """The address of the app, started as a user starts it."""
    with server(home) as url:
        yield url


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1360, "height": 900}, locale="en-US")
    shown = context.new_page()
    shown.set_default_timeout(SLOW_MS)
    yield shown
    context.close()
