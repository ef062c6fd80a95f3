"""A whole account in a real browser: deployed, seen there, moved, and taken down by somebody else."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_server import ROOT, open_page, server, settle, violations
from playwright.sync_api import Locator, Page, expect

sys.path.insert(0, str(ROOT / "tests" / "deploy" / "aws"))

from emulator.client import Emulator

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLE = ROOT / "examples" / "breast_cancer.joblib"
RUN_MS = 300_000


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "account")
    yield emulator
    emulator.close()


def into(account: Emulator) -> dict[str, str]:
    return account.environment() | {"ADVISOR_AWS_POLL_SECONDS": "0.1"}


def agree(page: Page, label: str, name: str, button: str) -> None:
    """Type the name where the page asks for it, and press the button."""
    box = page.get_by_role("textbox", name=label)
    box.fill(name)
    box.press("Enter")
    page.get_by_role("button", name=button, exact=True).click()


def deploy(page: Page, app: str, name: str) -> None:
    """From the first example's verdict into the account."""
    open_page(page, app)
    page.get_by_role("button", name="Plan the deployment").click()
    page.locator("input[type=file]").set_input_files(EXAMPLE)
    expect(page.get_by_text("Allowed")).to_be_visible()
    settle(page)
    box = page.get_by_role("textbox", name="Name of the deployment")
    box.fill(name)
    box.press("Enter")
    settle(page)
    page.get_by_role("button", name="Make the plan").click()
    agree(page, f"Type {name} to confirm that this may be made in", name, "Deploy")
    page.wait_for_url(re.compile("run="))
    expect(page.get_by_text("A real prediction came back")).to_be_visible(timeout=RUN_MS)


def look(page: Page, app: str) -> Locator:
    """What the page says to stand in the account, a row each."""
    open_page(page, f"{app}/deployments")
    page.get_by_role("button", name=re.compile("^cloud_sync Look|^Look (into|again)")).click()
    expect(page.get_by_text("into account 123456789012")).to_be_visible()
    settle(page)
    return page.get_by_test_id("stTable").locator("tbody tr")


def test_deployed_seen_in_the_account_moved_and_taken_down_by_somebody_else(
    account: Emulator, tmp_path: Path, page: Page
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    with server(ours, more=into(account)) as app:
        deploy(page, app, "fraud")
        rows = look(page, app)
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text(re.compile(r"fraud\s*SageMaker .+Running"))
        expect(rows.locator("td").last).to_have_text("yes")
        assert violations(page) == {}

        page.get_by_role("link", name="Progress and result").click()
        page.get_by_text("Move it to another target").click()
        choice = page.get_by_role("combobox", name=re.compile("Move to"))
        choice.click()
        choice.fill("Fargate")
        choice.press("Enter")
        page.get_by_role("button", name="Say what would change").click()
        expect(page.get_by_text("Leave the old one standing")).to_be_visible()
        assert account.state()["stacks"]["mda-fraud-2"] == "REVIEW_IN_PROGRESS"  # and no more
        agree(page, "Type fraud to move it", "fraud", "Move")
        page.wait_for_url(re.compile("run=fraud-move-"))
        title = page.get_by_role("heading", level=1)
        expect(title).to_have_text("Moving fraud")
        expect(title).to_have_text("fraud", timeout=RUN_MS)
        expect(page.get_by_text("A real prediction came back")).to_be_visible()
        assert set(account.state()["stacks"]) == {"model-deployment-advisor", "mda-fraud-2"}

    with server(theirs, more=into(account)) as app:
        rows = look(page, app)
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text(re.compile(r"fraud-2\s*ECS on Fargate"))
        expect(rows.locator("td").last).to_have_text("no")
        agree(page, "Type fraud-2 to agree", "fraud-2", "Destroy")
        expect(page.get_by_text("Gone: nothing of it runs")).to_be_visible(timeout=RUN_MS)
        assert set(account.state()["stacks"]) == {"model-deployment-advisor"}
        look(page, app)
        expect(page.get_by_text("Nothing of this tool stands there")).to_be_visible()
