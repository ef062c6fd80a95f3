"""Find a Chromium for the browser tests, or let Playwright fetch one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
       "/Applications/Chromium.app/Contents/MacOS/Chromium")  # fmt: skip
HOW_TO_GET_ONE = (
    "Install one (Debian: apt-get install chromium; macOS: brew install --cask chromium), or name "
    "it in ADVISOR_CHROMIUM."
)


def find_browser(*, install: bool = False) -> str | None:
    """The path of a Chromium: named, installed, Playwright's own, or freshly fetched by it."""
    named = os.environ.get("ADVISOR_CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    for path in MAC:
        if Path(path).exists():
            return path
    return _playwrights_own() or (_fetch() if install else None)


def _playwrights_own() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _fetch() -> str | None:
    done = subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"],
        check=False, capture_output=True, timeout=300,
    )  # fmt: skip
    return _playwrights_own() if done.returncode == 0 else None


if __name__ == "__main__":
    print(find_browser() or f"No Chromium was found. {HOW_TO_GET_ONE}")
