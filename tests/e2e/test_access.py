"""Keyboard and axe: our own violations are zero, Streamlit's own are listed by name."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from e2e_server import SLOW_MS, latency_box, open_page, settle, violations
from playwright.sync_api import Browser, Page, expect

from advisor.presets import presets
from ui.answers import flatten
from ui.scenarios import Kept, to_link

pytestmark = pytest.mark.browser

SCENARIOS = urlencode(
    to_link([Kept(p.name, flatten(p.requirements)) for p in list(presets().values())[:4]])
)
PAGES = (
    "", "compare", f"compare?{SCENARIOS}", "options", "measure", "deployments", "prices", "method",
    "deploy",
)  # fmt: skip


@pytest.mark.parametrize(
    ("scheme", "colours_only"),
    [
        ("light", False),
        ("dark", True),  # the rest of the page is the same
        pytest.param("dark", False, marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_of_ours(
    app: str, chromium: Browser, scheme: str, colours_only: bool
) -> None:
    context = chromium.new_context(viewport={"width": 1360, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    said = {}
    for path in PAGES:
        open_page(page, f"{app}/{path}")
        settle(page)
        if found := violations(page, colours_only=colours_only):
            said[path] = found
    open_page(page, app)
    for state, reach in {"questions and popover open": _open, "step by step": _step}.items():
        reach(page)
        page.wait_for_timeout(600)  # what opens fades in
        settle(page)
        if found := violations(page, colours_only=colours_only):
            said[state] = found
    context.close()
    assert said == {}


def _open(page: Page) -> None:
    """More detail with chips in it, and a popover beside it."""
    page.get_by_text(re.compile("^More detail")).click()
    page.locator(".st-key-more-placement summary").click()
    page.locator(".st-key-placement-clouds").scroll_into_view_if_needed()
    settle(page)
    page.get_by_role("button", name=re.compile("Decision record$")).click()
    expect(page.get_by_role("textbox", name="Decision-makers")).to_be_visible()


def _step(page: Page) -> None:
    """One topic at a time, and a figure that is opened."""
    page.keyboard.press("Escape")
    page.get_by_role("radio", name="Step by step").click()
    expect(page.get_by_text("Step 1 of 7")).to_be_visible()
    settle(page)
    people = page.locator(".st-key-figure-people")
    people.get_by_role("button", name="How it comes about").click()
    expect(page.get_by_role("spinbutton", name="Hours a month to run it")).to_be_visible()


def test_the_first_answer_is_reached_and_changed_by_keyboard(app: str, page: Page) -> None:
    open_page(page, app)
    box = latency_box(page)
    for _ in range(80):
        page.keyboard.press("Tab")
        if box.evaluate("element => element === document.activeElement"):
            break
    else:
        pytest.fail("80 steps with Tab did not reach the latency target")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("220")
    page.keyboard.press("Enter")
    page.wait_for_url("**/*service.p95_ms=220*")
    expect(page.locator(".st-key-verdict")).to_contain_text("of 220 ms")
    button = page.get_by_role("button", name="on this machine")
    for _ in range(80):
        page.keyboard.press("Tab")
        if button.evaluate("element => element === document.activeElement"):
            break
    else:
        pytest.fail("80 steps with Tab did not reach the verdict's button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("on this machine")


def test_every_field_has_a_label_and_nothing_scrolls_sideways_on_a_phone(
    app: str, chromium: Browser
) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, is_mobile=True)
    page = context.new_page()
    for path in PAGES:
        open_page(page, f"{app}/{path}")
        settle(page)
        wide = page.evaluate(
            "document.querySelector('[data-testid=stMain]').scrollWidth - window.innerWidth"
        )
        assert wide <= 0, f"/{path} is {wide} px wider than the phone"
    open_page(page, app)
    top = page.locator(".st-key-verdict").bounding_box()
    form = page.locator(".st-key-answers").bounding_box()
    assert top is not None
    assert form is not None
    assert top["y"] < form["y"]  # the answer first
    context.close()


def test_a_model_and_its_plan_are_read_whole_on_a_phone(app: str, chromium: Browser) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    for path, last in (("deploy", "I have read the plan"), ("measure", "Convert and compare")):
        open_page(page, f"{app}/{path}")
        page.get_by_role("button", name=re.compile(r"example .*\.joblib")).click()
        expect(page.get_by_text(last)).to_be_visible()
        settle(page)
        assert violations(page) == {}
        for table in page.get_by_test_id("stTable").all():
            cut = table.evaluate(
                "table => Math.max(...[table, ...table.querySelectorAll('*')]"
                ".map(e => e.scrollWidth - e.clientWidth - (e.clientWidth ? 0 : 1e6)))"
            )
            assert cut <= 1
    context.close()


def test_nothing_is_loaded_from_elsewhere_and_nothing_fails(app: str, page: Page) -> None:
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on(
        "console",
        lambda message: failed.append(message.text) if message.type == "error" else None,
    )
    open_page(page, app)
    foreign = [
        url
        for url in asked
        if not url.startswith((app, app.replace("http", "ws"), "data:", "blob:"))
    ]
    assert foreign == []
    assert failed == []
