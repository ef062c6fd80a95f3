"""Makes the pictures in docs/screenshots: every page, light, dark, and on a phone.

    python tools/screenshots.py [FOLDER]

Starts the app with a home of its own, deploys the example model to this machine for the pictures
of a deployment, and removes it again.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tools")]

from e2e_server import FLAGS, open_page, server, settle  # noqa: E402
from find_browser import HOW_TO_GET_ONE, find_browser  # noqa: E402

DESK, PHONE = (1360, 900), (390, 844)
NOTHING_FITS = "?service.p95_ms=1&model.service_time_ms=900&traffic.requests_per_month=20000000"
WAIT_MS = 90_000


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    path = find_browser()
    if path is None:
        print(f"NOT MADE: no Chromium was found. {HOW_TO_GET_ONE}", file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory() as home,
        server(Path(home)) as app,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        for scheme in ("light", "dark"):
            _desk(browser, app, folder, scheme)
        _phone(browser, app, folder)
        _deployment(browser, app, folder)
        browser.close()
    return 0


def _desk(browser: Browser, app: str, folder: Path, scheme: str) -> None:
    with _page(browser, DESK, scheme) as page:
        for name, address in {
            "advise": "",
            "nothing-fits": NOTHING_FITS,
            "options": "options",
            "deployments-empty": "deployments",
            "prices": "prices",
            "method": "method",
        }.items():
            open_page(page, f"{app}/{address}")
            _patient(page)
            _shoot(page, folder / f"{name}-{scheme}.png")
            if name == "advise":
                _tabs(page, folder, scheme)


def _tabs(page: Page, folder: Path, scheme: str) -> None:
    for tab in ("Cost", "Size and week", "What would change it", "Ruled out"):
        page.get_by_role("tab", name=re.compile(f"^{tab}")).click()
        page.wait_for_timeout(800)
        _shoot(page, folder / f"{tab.lower().replace(' ', '-')}-{scheme}.png", whole=True)


def _phone(browser: Browser, app: str, folder: Path) -> None:
    with _page(browser, PHONE, "light") as page:
        for name, address in {
            "advise": "",
            "options": "options",
            "deployments": "deployments",
            "prices": "prices",
            "method": "method",
        }.items():
            open_page(page, f"{app}/{address}")
            _patient(page)
            _shoot(page, folder / f"{name}-phone.png")
            if name == "advise":
                _shoot(page, folder / "advise-phone-whole.png", whole=True)


def _deployment(browser: Browser, app: str, folder: Path) -> None:
    with _page(browser, DESK, "light") as page:
        open_page(page, app)
        page.get_by_role("button", name=re.compile("on this machine")).click()
        page.get_by_role("button", name="Use the example breast_cancer.joblib").click()
        page.get_by_text("I have read the plan").wait_for(timeout=WAIT_MS)
        settle(page)
        _shoot(page, folder / "plan-light.png", whole=True)
        page.get_by_text("I have read the plan").click()
        page.get_by_role("button", name="Deploy", exact=True).click()
        page.get_by_text("A real prediction came back").wait_for(timeout=WAIT_MS)
        page.get_by_role("button", name="Predict", exact=True).click()
        settle(page)
        _shoot(page, folder / "deployed-light.png", whole=True)
        address = page.url
        with _page(browser, DESK, "dark") as dark:
            open_page(dark, address)
            _shoot(dark, folder / "deployed-dark.png", whole=True)
        with _page(browser, DESK, "light") as listed:
            open_page(listed, f"{app}/deployments")
            _shoot(listed, folder / "deployments-light.png")
        page.get_by_text("Yes, remove").click()
        page.get_by_role("button", name="Destroy").click()
        page.get_by_text("Gone: nothing of it runs").wait_for(timeout=WAIT_MS)
        _shoot(page, folder / "destroyed-light.png")


@contextmanager
def _page(browser: Browser, size: tuple[int, int], scheme: str) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-US",
    )
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    yield page
    context.close()


def _patient(page: Page) -> None:
    """Until the changes that would alter the verdict have been found."""
    page.wait_for_function(
        "() => !document.body.innerText.includes('trying each answer')", timeout=WAIT_MS
    )
    settle(page)


def _shoot(page: Page, path: Path, *, whole: bool = False) -> None:
    before = page.viewport_size
    if whole and before:
        high = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": before["width"], "height": min(int(high) + 20, 5000)})
    page.wait_for_timeout(700)
    page.screenshot(path=path)
    # 256 colours are enough for a page and take a third of the room.
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
    small.save(path, optimize=True)
    if whole and before:
        page.set_viewport_size(before)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
