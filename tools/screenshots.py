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
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "e2e"), str(ROOT / "tools")]

from e2e_server import FLAGS, open_page, server, settle  # noqa: E402
from find_browser import HOW_TO_GET_ONE, find_browser  # noqa: E402

from advisor.presets import presets  # noqa: E402
from ui.answers import encode, flatten  # noqa: E402
from ui.scenarios import Kept, to_link  # noqa: E402

SCENARIOS = urlencode(
    to_link([Kept(p.name, flatten(p.requirements)) for p in list(presets().values())[:3]])
)
GROWING = urlencode(
    encode(
        {
            **flatten(presets()["fraud-detection"].requirements),
            "traffic.growth_percent_per_month": 6.0,
        }
    )
)
DESK, PHONE = (1360, 900), (390, 844)
NOTHING_FITS = "?service.p95_ms=1&model.service_time_ms=900&traffic.requests_per_month=20000000"
TABS = (
    "Cost", "Size and week", "Volume", "Growth", "What would change it", "Every number", "Ruled out",
)  # fmt: skip
WAIT_MS = 180_000
MARGIN = 16
HIGHEST = 1600  # of a picture: the rest of a long page says the same again


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
            "compare": f"compare?{SCENARIOS}",
            "compare-empty": "compare",
            "options": "options",
            "measure": "measure",
            "deployments-empty": "deployments",
            "prices": "prices",
            "method": "method",
        }.items():
            open_page(page, f"{app}/{address}")
            _patient(page)
            _shoot(page, folder / f"{name}-{scheme}.png")
            if name == "advise":
                _tabs(page, app, folder, scheme)


def _tabs(page: Page, app: str, folder: Path, scheme: str) -> None:
    open_page(page, f"{app}/?{GROWING}")
    for tab in TABS:
        page.get_by_role("tab", name=re.compile(f"^{tab}")).click()
        page.wait_for_timeout(800)
        _patient(page)
        area = page.locator(".st-key-behind").first
        _shoot(page, folder / f"{tab.lower().replace(' ', '-')}-{scheme}.png", of=area)
    if scheme == "light":
        page.locator("[data-testid=stMain]").evaluate("element => element.scrollTo(0, 0)")
        for name in ("Scenarios", "Decision record"):
            page.get_by_role("button", name=re.compile(f"{name}$")).click()
            _shoot(page, folder / f"{name.lower().replace(' ', '-')}-light.png")
            page.keyboard.press("Escape")


def _phone(browser: Browser, app: str, folder: Path) -> None:
    with _page(browser, PHONE, "light") as page:
        for name, address in {
            "advise": "",
            "compare": f"compare?{SCENARIOS}",
            "options": "options",
            "measure": "measure",
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
    """Until what is computed aside has been found."""
    page.wait_for_function(
        "() => !/hourglass_top|trying each answer/.test(document.body.innerText)", timeout=WAIT_MS
    )
    settle(page)


def _shoot(page: Page, path: Path, *, whole: bool = False, of: Locator | None = None) -> None:
    """The window, the whole page, or a part of it that may be higher than the window."""
    before = page.viewport_size
    if before and (whole or of):
        high = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": before["width"], "height": min(int(high) + 20, 6000)})
    page.wait_for_timeout(700)
    page.screenshot(path=path, clip=_clip(of) if of else None)
    # So many colours are enough for a page and take a third of the room; rare ones are kept.
    with Image.open(path) as picture:
        cut = picture.convert("RGB").crop((0, 0, picture.width, min(picture.height, HIGHEST)))
    few = cut.quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    if before and (whole or of):
        page.set_viewport_size(before)
    print(path, f"{path.stat().st_size / 1000:.0f} KB")


def _clip(of: Locator) -> FloatRect:
    """The place of a part of the page, with a margin."""
    box = of.bounding_box()
    if box is None:
        raise RuntimeError(f"{of} is not on the page")
    return {
        "x": box["x"] - MARGIN,
        "y": box["y"] - MARGIN,
        "width": box["width"] + 2 * MARGIN,
        "height": min(box["height"], HIGHEST) + 2 * MARGIN,
    }


if __name__ == "__main__":
    sys.exit(main())
