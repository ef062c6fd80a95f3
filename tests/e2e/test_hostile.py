"""What people should not type, typed into the real page: it stays text, and answers stay."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from e2e_server import latency_box, open_page
from markdown_it import MarkdownIt
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from advisor.presets import presets
from advisor.requirements import loads
from ui.answers import encode, flatten
from ui.scenarios import Kept, to_link

pytestmark = pytest.mark.browser

HTML = "<img src=x onerror=window.hit=1>"
NAME = f"={HTML} **b** [l](javascript:hit) $1 🎉 مرحبا 中文"
WORDS = f"{NAME} <script>window.hit=1</script> =cmd|'/c calc'!A1 שלום"


def nothing_was_run(page: Page) -> None:
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("a[href^=javascript]").count() == 0


def scenario_file(path: Path) -> Path:
    """Requirements with a name and notes that are not meant well."""
    need = presets()["fraud-detection"].requirements.model_dump(mode="json", exclude_unset=True)
    need["service"]["p95_ms"] = 130
    path.write_text(
        json.dumps({"name": NAME, "notes": f"# {WORDS}\n- x", **need}, ensure_ascii=False)
    )
    return path


def take_file(page: Page, path: Path) -> None:
    page.get_by_role("button", name=re.compile("File$")).click()
    page.get_by_test_id("stPopoverBody").locator("input[type=file]").set_input_files(path)


def test_words_stay_words_on_the_page_and_in_each_record(
    app: str, page: Page, tmp_path: Path
) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    open_page(page, app)
    take_file(page, scenario_file(tmp_path / "need.json"))
    page.wait_for_url(re.compile("service.p95_ms=130"))
    expect(latency_box(page)).to_have_value("130")
    expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)  # it closes once it has the file
    page.get_by_role("button", name=re.compile(r"Scenarios \(1\)")).click()
    expect(page.get_by_test_id("stPopoverBody")).to_contain_text(HTML)
    nothing_was_run(page)
    page.keyboard.press("Escape")

    page.get_by_role("button", name=re.compile("Decision record$")).click()
    box = page.get_by_role("textbox", name="Decision-makers")
    box.fill(WORDS)
    box.press("Enter")
    got: dict[str, bytes] = {}
    for label, suffix in (("PDF", "pdf"), ("Markdown", "md"), ("JSON", "json")):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=re.compile(f"{label}, ")).click()
        path = tmp_path / f"got.{suffix}"
        waiting.value.save_as(path)
        got[suffix] = path.read_bytes()
    page.keyboard.press("Escape")

    data = json.loads(got["json"])
    assert data["record"]["deciders"] == WORDS
    assert data["record"]["name"] == NAME
    drawn = MarkdownIt().render(got["md"].decode())
    assert "<img" not in drawn
    assert "<script" not in drawn
    assert 'href="javascript' not in drawn
    assert "&lt;script&gt;window.hit=1" in drawn
    pdf = PdfReader(io.BytesIO(got["pdf"]))
    assert "onerror=window.hit=1" in pdf.pages[0].extract_text().replace("\n", "")
    assert loads(pdf.attachments["decision-record.json"][0].decode()).service.p95_ms == 130

    page.get_by_role("link", name="Compare", exact=True).first.click()
    expect(page.get_by_role("textbox", name="Name of scenario 1")).to_have_value(NAME)
    nothing_was_run(page)
    assert dialogs == []


@pytest.mark.slow
def test_a_link_made_by_hand_runs_nothing_and_leaves_a_page(app: str, page: Page) -> None:
    kept = to_link([Kept(NAME, flatten(presets()["chatbot"].requirements))])
    rest = {"control.data_residency": WORDS, "placement.regions": f"us-east-1,{HTML}"}
    for query in (
        urlencode(encode(flatten(presets()["fraud-detection"].requirements)) | kept | rest),
        urlencode({"service.p95_ms": "1e999", "traffic.pattern": "1," * 400, HTML: HTML}),
        "service.p95_ms=%00%ff&&&=&traffic.requests_per_month=-5&model.format[]=x&scenario.1=%7B",
    ):
        open_page(page, f"{app}/?{query}")
        expect(page.get_by_role("alert").first).to_be_visible()
        expect(latency_box(page)).to_be_visible()
        nothing_was_run(page)


def test_a_file_too_large_or_broken_changes_nothing(app: str, page: Page, tmp_path: Path) -> None:
    open_page(page, f"{app}/?service.p95_ms=170")
    large = tmp_path / "large.yaml"
    large.write_text("model:\n" + "  - x: [1, 2, 3]\n" * 600_000)  # 10 MB
    take_file(page, large)
    expect(page.get_by_test_id("stPopoverBody")).to_contain_text(
        re.compile("must be .* or smaller")
    )
    broken = tmp_path / "=cmd'<b>x.yaml"
    broken.write_text("model: [")
    page.get_by_test_id("stPopoverBody").locator("input[type=file]").set_input_files(broken)
    expect(page.get_by_text("was not taken over; your answers are as they were")).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="<b>x.yaml").first).to_be_visible()
    expect(latency_box(page)).to_have_value("170")


@pytest.mark.slow
def test_two_tabs_on_one_scenario_keep_their_own_work(app: str, page: Page) -> None:
    other = page.context.new_page()
    for shown, value in ((page, "210"), (other, "220")):
        open_page(shown, app)
        box = latency_box(shown)
        box.fill(value)
        box.press("Enter")
        shown.wait_for_url(re.compile(f"service.p95_ms={value}"))
    other.reload()
    expect(latency_box(other)).to_have_value("220")
    expect(latency_box(page)).to_have_value("210")
    page.go_back()
    expect(latency_box(page)).to_have_value("100")
    expect(latency_box(other)).to_have_value("220")
