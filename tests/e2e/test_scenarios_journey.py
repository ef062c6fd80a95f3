"""Scenarios and records as a person meets them: keep, change, compare, share, download, read back."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from e2e_server import SLOW_MS, free_port, latency_box, open_page, server
from markdown_it import MarkdownIt
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from advisor.requirements import loads

pytestmark = pytest.mark.browser


def answer_within(page: Page, milliseconds: str) -> None:
    box = latency_box(page)
    box.fill(milliseconds)
    box.press("Enter")
    page.wait_for_url(re.compile(f"service.p95_ms={milliseconds}(&|$)"))


def keep_as(page: Page, name: str) -> None:
    page.get_by_role("button", name=re.compile("^(bookmark )?Scenarios")).click()
    box = page.get_by_role("textbox", name="Name of a new scenario")
    box.fill(name)
    box.press("Enter")
    page.get_by_role("button", name="Keep as a new scenario").click()
    expect(page.get_by_text(f"{name} is open and saved")).to_be_visible()
    page.keyboard.press("Escape")


def test_two_scenarios_are_compared_and_the_link_shows_them_in_another_browser(
    app: str, page: Page, chromium: Browser
) -> None:
    open_page(page, app)
    answer_within(page, "110")
    keep_as(page, "Fast")
    answer_within(page, "900")
    keep_as(page, "<i>Slow</i>")
    page.get_by_role("link", name="Compare", exact=True).first.click()
    expect(page.get_by_role("heading", name="Compare scenarios")).to_be_visible()
    asked = page.get_by_role("table", name="The answers of each scenario")
    expect(asked.get_by_role("columnheader", name="<i>Slow</i>")).to_be_visible()
    line = asked.get_by_role("row", name=re.compile("≠ Answer within"))
    expect(line).to_contain_text("110 ms")
    expect(line).to_contain_text("900 ms")
    advised = page.get_by_role("table", name="The advice for each scenario").inner_text()

    page.wait_for_url(re.compile(r"compare\?scenario"))
    context = chromium.new_context(viewport={"width": 1360, "height": 900})
    other = context.new_page()
    other.set_default_timeout(SLOW_MS)
    open_page(other, page.evaluate("location.href"))
    expect(other.get_by_role("textbox", name="Name of scenario 2")).to_have_value("<i>Slow</i>")
    assert other.get_by_role("table", name="The advice for each scenario").inner_text() == advised

    # what one of the two does leaves the other as it was
    other.get_by_role("button", name="Delete").nth(1).click()
    expect(other.get_by_role("textbox", name="Name of scenario 2")).to_have_count(0)
    expect(page.get_by_role("textbox", name="Name of scenario 2")).to_have_value("<i>Slow</i>")
    other.go_back()
    expect(other.get_by_role("textbox", name="Name of scenario 2")).to_have_value("<i>Slow</i>")
    context.close()


def test_each_record_is_downloaded_and_read_back(app: str, page: Page, tmp_path: Path) -> None:
    open_page(page, app)
    answer_within(page, "140")
    page.get_by_role("button", name=re.compile("Decision record")).click()
    got: dict[str, bytes] = {}
    for label, suffix in (("PDF", "pdf"), ("Markdown", "md"), ("JSON", "json")):
        with page.expect_download(timeout=SLOW_MS) as waiting:
            page.get_by_role("button", name=re.compile(f"{label}, ")).click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        assert path.name == f"decision-record.{suffix}"
        got[suffix] = path.read_bytes()

    need = loads(got["json"].decode())
    assert need.service.p95_ms == 140
    chosen = json.loads(got["json"])["ranking"][0]["name"]
    pdf = PdfReader(io.BytesIO(got["pdf"]))
    assert chosen in pdf.pages[0].extract_text()
    assert loads(pdf.attachments["decision-record.json"][0].decode()) == need
    text = got["md"].decode()
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    assert loads(block[1]) == need
    assert chosen in MarkdownIt().render(text)
    expect(page.locator(".st-key-verdict")).to_contain_text(chosen)

    # and the page opens a record again
    page.keyboard.press("Escape")
    answer_within(page, "150")
    page.get_by_role("button", name=re.compile("File$")).click()
    inside = page.get_by_test_id("stPopoverBody")
    inside.locator("input[type=file]").set_input_files(tmp_path / "decision-record.json")
    page.wait_for_url(re.compile("service.p95_ms=140"))
    expect(latency_box(page)).to_have_value("140")


@pytest.mark.slow
def test_a_lost_connection_loses_no_answer_and_no_scenario(page: Page, tmp_path: Path) -> None:
    """The server goes away in the middle of work and comes back without its memory."""
    port = free_port()
    with server(tmp_path, port) as app:
        open_page(page, app)
        answer_within(page, "170")
        keep_as(page, "Before")
        answer_within(page, "180")
        page.wait_for_url(re.compile("scenario.1="))
    with server(tmp_path, port):
        page.get_by_role("link", name="Compare", exact=True).first.wait_for()
        page.reload()
        expect(latency_box(page)).to_have_value("180")
        expect(page.get_by_role("button", name=re.compile(r"Scenarios \(1\)"))).to_be_visible()
