"""The Advise page in a real browser: step by step, one answer changed, a number opened, a way out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from e2e_server import SLOW_MS, open_page, settle
from playwright.sync_api import Page, expect

from deploy.artifact import inspect
from deploy.bundle.pack import pack
from deploy.files import sha256_of
from deploy.targets import local_process, local_record

pytestmark = pytest.mark.browser


def test_a_newcomer_goes_step_by_step_and_the_winner_changes_with_an_answer(
    app: str, page: Page
) -> None:
    open_page(page, app)
    winner = page.locator(".st-key-verdict h2")
    before = winner.inner_text()
    page.get_by_role("radio", name="Step by step").click()
    expect(page.get_by_text("Step 1 of 7: Your model")).to_be_visible()
    box = page.get_by_role("spinbutton", name="One request takes (ms)")
    box.fill("9")
    box.press("Enter")
    page.wait_for_url(re.compile("service_time_ms=9(&|$)"))
    for title in ("Traffic", "Service", "Control"):
        page.get_by_role("button", name=f"Next: {title}").click()
        expect(page.get_by_text(re.compile(f"Step . of 7: {title}"))).to_be_visible()
    page.locator(".st-key-control-level").get_by_role("radio", name="Full").click()
    page.wait_for_url(re.compile("control.level=full"))
    expect(winner).not_to_have_text(before)
    expect(page.get_by_text("SELF-HOSTED", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page.get_by_text("Step 3 of 7: Service")).to_be_visible()
    page.get_by_role("radio", name="All at once").click()
    expect(box).to_have_value("9")


def test_a_number_opens_and_its_assumption_is_changed_in_place(app: str, page: Page) -> None:
    open_page(page, app)
    card = page.locator(".st-key-figure-people")
    before = card.locator("[data-testid=stMetricValue]").inner_text()
    card.get_by_role("button", name="How it comes about").click()
    opened = page.locator("[data-testid=stPopoverBody]")
    expect(opened.get_by_text("(hours a month + hours to set up ÷ 12)")).to_be_visible()
    expect(opened.get_by_text("assumed").first).to_be_visible()
    box = opened.get_by_role("spinbutton", name="Hours a month to run it")
    box.fill("1")
    box.press("Enter")
    page.wait_for_url(re.compile("team.assumptions="))
    expect(opened.get_by_text("changed", exact=True)).to_be_visible()
    expect(card.locator("[data-testid=stMetricValue]")).not_to_have_text(before)
    opened.get_by_role("button", name="Reset").click()
    expect(card.locator("[data-testid=stMetricValue]")).to_have_text(before)


def test_where_nothing_fits_the_smallest_change_is_one_click(app: str, page: Page) -> None:
    open_page(page, f"{app}/?service.p95_ms=1&model.service_time_ms=900")
    expect(page.get_by_role("heading", name="No option meets these answers")).to_be_visible()
    way = page.get_by_role("button", name=re.compile("^Change th")).first
    way.click(timeout=SLOW_MS)
    expect(page.get_by_text("Cloud bill a month").first).to_be_visible()


def test_a_model_that_does_not_load_is_said_and_leaves_nothing(
    app: str, home: Path, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_page(page, app)
    page.get_by_role("button", name=re.compile("on this machine")).click()
    page.get_by_role("button", name="Use the example breast_cancer.joblib").click()
    box = page.get_by_role("textbox", name="Name of the deployment")
    box.fill("broken")
    box.press("Enter")
    expect(page.get_by_text("broken server")).to_be_visible()
    monkeypatch.setenv("ADVISOR_HOME", str(home))
    damage_bundle("broken", next((home / "models").glob("*/breast_cancer.joblib")))
    page.get_by_text("I have read the plan").click()
    page.get_by_role("button", name="Deploy", exact=True).click()
    expect(page.get_by_text("ended while it was loading the model").first).to_be_visible()
    settle(page)
    assert not (home / "deployments" / "broken").exists()
    assert not [p for p in local_process.strays(home.resolve()) if "broken" in str(p)]
    page.get_by_role("link", name="Advise").click()
    expect(page.locator(".st-key-verdict h2")).to_be_visible()


def damage_bundle(name: str, model: Path) -> None:
    """Put the bundle of a deployment in place with a model file that cannot be loaded."""
    own = local_record.directory(name)
    own.mkdir(parents=True, exist_ok=True)
    packed = pack(inspect(model), own / "packing", variant=local_record.BUNDLE_VARIANT)
    bundle = packed.path.rename(own / local_record.bundle_name(packed.hash))
    shutil.rmtree(own / "packing", ignore_errors=True)
    digest = sha256_of(model)
    copies = [p for p in bundle.rglob("*") if p.is_file() and sha256_of(p) == digest]
    assert copies
    for copy in copies:
        copy.unlink()
        copy.write_bytes(b"broken")
