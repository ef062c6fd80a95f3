"""The whole way in a real browser: answers, verdict, model, plan, deploy, prediction, destroy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psutil
import pytest
from e2e_server import ROOT, choose_example, is_open, open_page, verdict_text, violations
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

EXAMPLE = ROOT / "examples" / "breast_cancer.joblib"


def try_here(page: Page) -> None:
    """From the verdict to the page that deploys to this machine."""
    page.get_by_role("button", name=re.compile("on this machine")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("on this machine")


def plan_locally(page: Page, name: str) -> None:
    """From the verdict to a plan for this machine, with the example model uploaded."""
    try_here(page)
    page.locator("input[type=file]").set_input_files(EXAMPLE)
    expect(page.get_by_text("Allowed")).to_be_visible()
    box = page.get_by_role("textbox", name="Name of the deployment")
    box.fill(name)
    box.press("Enter")
    expect(page.get_by_text(f"{name} server")).to_be_visible()


def start(page: Page) -> None:
    page.get_by_text("I have read the plan").click()
    page.get_by_role("button", name="Deploy", exact=True).click()
    page.wait_for_url(re.compile("run="))


def server_process(home: Path, name: str) -> tuple[psutil.Process, int]:
    record = json.loads((home / "deployments" / name / "server.json").read_text())
    return psutil.Process(record["pid"]), record["port"]


def is_gone(process: psutil.Process) -> bool:
    """Ended: nothing of it runs, though its parent may not have asked for its exit code yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_from_the_verdict_to_a_prediction_and_back_to_nothing(
    app: str, home: Path, page: Page
) -> None:
    open_page(page, app)
    choose_example(page, "Chatbot")
    choose_example(page, "Fraud detection")
    verdict = page.locator(".st-key-verdict")
    expect(verdict.get_by_text("Cloud bill a month")).to_be_visible()
    assert re.search(r"\$\d", verdict.inner_text())

    plan_locally(page, "journey")
    expect(page.get_by_text("nothing: listens on 127.0.0.1 only")).to_be_visible()
    start(page)
    expect(page.get_by_text("A real prediction came back")).to_be_visible()
    expect(page.get_by_role("tab", name="curl")).to_be_visible()

    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_text("200", exact=True)).to_be_visible()

    assert violations(page) == {}

    process, port = server_process(home, "journey")
    assert process.is_running()
    assert is_open(port)

    page.get_by_text("Yes, remove journey").click()
    page.get_by_role("button", name="Destroy").click()
    expect(page.get_by_text("Gone: nothing of it runs")).to_be_visible()
    assert is_gone(process)
    assert not is_open(port)
    assert not (home / "deployments" / "journey").exists()

    open_page(page, f"{app}/deployments")
    expect(page.get_by_role("heading", name="Deployments", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="journey", exact=True)).to_have_count(0)


def test_a_refresh_keeps_the_progress_and_a_second_viewer_sees_it(
    app: str, home: Path, page: Page, chromium: Browser
) -> None:
    open_page(page, app)
    plan_locally(page, "refreshed")
    start(page)
    page.reload()
    expect(page.get_by_text("A real prediction came back")).to_be_visible()

    context = chromium.new_context()
    other = context.new_page()
    other.goto(page.url)
    expect(other.get_by_text("A real prediction came back")).to_be_visible()
    for viewer in (page, other):  # the last thing drawn of a deployment that answers
        expect(viewer.get_by_text("Load test: is it as fast as predicted?")).to_be_visible()
    steps = page.locator("[data-testid=stExpander]").count()
    assert steps > 1
    expect(other.locator("[data-testid=stExpander]")).to_have_count(steps)
    context.close()

    page.get_by_role("link", name="All deployments").click()
    run = page.locator("a[href*='run=refreshed-apply']")  # others deployed here before
    there = page.get_by_test_id("stMain").get_by_role("link", name="All deployments")
    run.first.click()  # a link from that page to itself: the address has to follow
    page.wait_for_url(re.compile(r"/deployments\?run="))
    page.get_by_text("Move it to another target").click()
    expect(page.get_by_role("button", name="Say what would change")).to_be_visible()
    there.click()
    page.wait_for_url(re.compile("/deployments$"))
    expect(run.first).to_be_visible()
    page.go_back()
    expect(there).to_be_visible()

    process, port = server_process(home, "refreshed")
    page.get_by_text("Yes, remove refreshed").click()
    page.get_by_role("button", name="Destroy").click()
    expect(page.get_by_text("Gone: nothing of it runs")).to_be_visible()
    assert is_gone(process)
    assert not is_open(port)


def test_a_refresh_before_deploying_keeps_the_model(app: str, page: Page) -> None:
    open_page(page, app)
    plan_locally(page, "kept")
    page.reload()
    expect(page.get_by_text("Allowed")).to_be_visible()
    expect(page.get_by_text("I have read the plan")).to_be_visible()


def test_a_file_that_is_no_model_is_refused_in_words(app: str, page: Page, tmp_path: Path) -> None:
    bad = tmp_path / "notes.joblib"
    bad.write_text("this is not a model")
    open_page(page, app)
    try_here(page)
    page.locator("input[type=file]").set_input_files(bad)
    expect(page.get_by_role("alert")).to_contain_text("notes.joblib")
    assert page.get_by_role("button", name="Deploy", exact=True).count() == 0


def test_a_pickle_that_asks_for_code_is_refused_and_runs_nothing(
    app: str, page: Page, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    bad = tmp_path / "model.pkl"
    bad.write_bytes(f"cos\nsystem\n(S'touch {canary}'\ntR.".encode())
    open_page(page, app)
    try_here(page)
    page.locator("input[type=file]").set_input_files(bad)
    expect(page.get_by_role("alert")).to_contain_text("system")
    assert page.get_by_role("button", name="Deploy", exact=True).count() == 0
    assert not canary.exists()


def test_without_aws_credentials_the_page_says_so_and_keeps_the_answers(
    app: str, page: Page
) -> None:
    open_page(page, app)
    before = verdict_text(page)
    page.get_by_role("button", name="Plan the deployment").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Deploy to")
    expect(page).to_have_url(re.compile(r"/deploy\?option=\w.*&to=\w.*&answers=\w"))
    page.locator("input[type=file]").set_input_files(EXAMPLE)
    page.get_by_role("button", name="Make the plan").click()
    expect(page.get_by_role("alert")).to_contain_text("no AWS credentials were found")
    assert page.get_by_role("button", name="Deploy", exact=True).count() == 0
    page.get_by_role("link", name="Advise").click()
    assert verdict_text(page) == before


def test_an_account_that_cannot_be_asked_is_said_on_the_deployments_page(
    app: str, page: Page
) -> None:
    open_page(page, f"{app}/deployments")
    page.get_by_role("button", name="Look into the account").click()
    expect(page.get_by_role("alert")).to_contain_text("no AWS credentials were found")
    expect(page.get_by_role("button", name="Look again")).to_be_visible()
    assert violations(page) == {}
