"""The decision record: complete, true to the answer, the same in each format, safe with what
people typed. Each format is read back by a reader that is not ours."""

from __future__ import annotations

import io
import json
import os
import re
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from fontTools.ttLib import TTFont
from markdown_it import MarkdownIt
from pypdf import PdfReader

from advisor import record, whatif
from advisor.presets import presets
from advisor.recommend import recommend
from advisor.recommendation import Flip
from advisor.record import pdf_fonts, words
from advisor.requirements import loads, parse
from advisor.ruled_out import among_the_asked, not_asked_for

ON = date(2026, 11, 22)
SECTIONS = (
    "Context and Problem Statement", "Decision Drivers", "Considered Options", "Decision Outcome",
    "Consequences", "Confirmation", "When to Look Again", "Pros and Cons of the Options",
    "Ruled Out", "More Information", "Assumptions", "Sources", "Requirements",
)  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "# heading\n## another",
    "[link](javascript:alert(1))",
    "`code` | table | **bold** _under_",
    "![x](http://example.org/x.png)",
    "---\nstatus: accepted",
    "=cmd|'/c calc'!A1",
    "1. first\n2. second",
    "&lt;img src=x onerror=alert(1)&gt;",
    "half \ud800 and \u202egnirts\u202c and \x1b[31m",
    "🎉 مرحبا بالعالم שלום 中文标题 हिन्दी",
)


@pytest.fixture(scope="module")
def fraud() -> tuple:
    need = presets()["fraud-detection"].requirements
    answer = recommend(need)
    flip = Flip(**{"from": 2e7}, field="traffic.requests_per_month", to=5.1e7, winner="ecs-ec2")
    return need, answer.model_copy(update={"flips": (flip,)})


@pytest.fixture(scope="module")
def nothing() -> tuple:
    need = parse(
        {
            "model": {"format": "onnx", "size_mb": 9, "memory_mb": 90, "service_time_ms": 60_000},
            "traffic": {"mode": "realtime", "requests_per_month": 1000},
            "service": {"p95_ms": 10},
        }
    )
    return need, whatif.complete(need, recommend(need))


@pytest.fixture(scope="module")
def paper(fraud) -> bytes:
    return record.pdf(*fraud, on=ON, name="Fraud 中文", deciders="Ada, Grace")


def tokens(text: str) -> list:
    return MarkdownIt("commonmark").enable("table").parse(text.split("\n---\n", 1)[1])


def headings(text: str) -> list[str]:
    found = tokens(text)
    return [found[i + 1].content for i, token in enumerate(found) if token.type == "heading_open"]


def shown(text: str) -> str:
    """What a reader of the rendered Markdown sees, without its markup."""
    parts = []
    for token in tokens(text):
        parts += [child.content for child in token.children or ()]
        parts.append("\n")
    return "".join(parts)


def pdf_text(content: bytes) -> str:
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
    return " ".join(" ".join(pages).split())


def test_every_section_of_madr_is_there(fraud) -> None:
    text = record.markdown(*fraud, on=ON)
    assert headings(text)[0] == "Run the model on " + fraud[1].ranking[0].name
    assert [h for h in headings(text) if h in SECTIONS] == list(SECTIONS)
    assert "date: 2026-11-22\n" in text
    assert text.startswith("---\nstatus: proposed\n")


def test_it_says_what_the_answer_says(fraud) -> None:
    need, answer = fraud
    seen = shown(record.markdown(need, answer))
    best = answer.ranking[0]
    assert record.usd(best.monthly_usd.expected) in seen
    assert record.usd(best.people_monthly_usd) in seen
    for ranked in answer.ranking:
        assert ranked.name in headings(record.markdown(need, answer))
        for line in ranked.lines:
            assert line.name in seen
    for excluded in among_the_asked(answer):
        assert excluded.because in seen
    assert not_asked_for(answer) in seen


def test_what_speaks_against_an_option_is_not_said_for_it(fraud) -> None:
    need, answer = fraud
    document = record.document(need, answer).record
    for said, ranked in zip(document.options, answer.ranking, strict=True):
        against = {r.because for r in ranked.reasons if r.points < 0}
        assert not against & set(said.good)
        assert against <= set(said.bad)
    assert any(r.points < 0 for ranked in answer.ranking for r in ranked.reasons)


def test_when_to_look_again_names_flips_growth_and_the_age_of_prices(fraud) -> None:
    need, answer = fraud
    grows = need.model_copy(
        update={"traffic": need.traffic.model_copy(update={"growth_percent_per_month": 8})}
    )
    said = record.document(grows, answer, on=ON).record.look_again
    # 1.08 ** 12.16 = 2.55 = 51 million / 20 million; 1.08 ** 9.006 = 2
    assert said[0] == (
        "traffic.requests_per_month at 51,000,000 instead of 20,000,000: then ECS on EC2 "
        "(in about 12 months at 8 % growth a month)"
    )
    assert any("doubled" in s and "about 9 months" in s for s in said)
    assert any(answer.prices_as_of in s for s in said)
    assert said[-1].startswith("2027-05-21")


def test_confirmation_has_dates_and_numbers(fraud) -> None:
    need, answer = fraud
    said = record.document(need, answer, on=ON).record.confirmation
    assert said[0].startswith("By 2026-12-20, a load test")  # 4 weeks to launch
    assert "95 % within 100 ms" in said[0]
    assert said[1].startswith("By 2027-01-24, the bill")


def test_the_requirements_in_it_read_back(fraud) -> None:
    need, answer = fraud
    block = re.search(r"```yaml\n(.*?)```", record.markdown(need, answer), re.DOTALL)
    assert block is not None
    assert loads(block[1]) == need


def test_the_json_record_keeps_its_schema_and_reads_back(fraud, nothing) -> None:
    for need, answer in (fraud, nothing):
        text = record.as_json(need, answer, name="Ours", notes="Line one\nLine two", on=ON)
        data = json.loads(text)
        jsonschema.Draft202012Validator(record.schema()).validate(data)
        assert record.DecisionRecord.model_validate(data).requirements == need
        assert loads(text) == need  # whatever reads requirements reads a record
        plain = answer.model_dump(mode="json", by_alias=True)
        assert {key: data[key] for key in plain} == plain
        assert data["record"]["notes"] == "Line one\nLine two"


def test_the_schema_refuses_a_record_that_is_not_one(fraud) -> None:
    data = json.loads(record.as_json(*fraud))
    del data["record"]["outcome"]
    with pytest.raises(jsonschema.ValidationError, match="outcome"):
        jsonschema.validate(data, record.schema())


def test_the_pdf_says_the_same_and_names_itself(fraud, paper) -> None:
    _, answer = fraud
    reader = PdfReader(io.BytesIO(paper))
    assert reader.metadata is not None
    assert reader.metadata.title == f"Fraud 中文: run the model on {answer.ranking[0].name}"
    assert reader.metadata.author == "Ada, Grace"
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert reader.trailer["/Root"]["/ViewerPreferences"]["/DisplayDocTitle"].value is True
    text = pdf_text(paper)
    for section in SECTIONS:
        assert section in text
    for ranked in answer.ranking:
        assert record.usd(ranked.monthly_usd.expected) in text
    assert len(reader.pages) > 2
    for number, page in enumerate(reader.pages, start=1):
        assert f"2026-11-22 · page {number}" in page.extract_text()
    outline = [item.title for item in _flat(reader.outline)]
    assert set(SECTIONS) <= set(outline)


def test_the_pdf_carries_the_record_as_data(fraud, paper) -> None:
    need, _ = fraud
    reader = PdfReader(io.BytesIO(paper))
    attached = reader.attachments["decision-record.json"][0].decode()
    assert loads(attached) == need
    assert json.loads(attached)["record"]["name"] == "Fraud 中文"


def test_the_same_input_gives_the_same_bytes(nothing) -> None:
    assert record.pdf(*nothing, on=ON) == record.pdf(*nothing, on=ON)


def test_a_table_goes_on_over_pages_under_its_headings(fraud) -> None:
    need, answer = fraud
    long = answer.model_copy(update={"excluded": answer.excluded * 6})
    pages = [p.extract_text() for p in PdfReader(io.BytesIO(record.pdf(need, long))).pages]
    tables = [text for text in pages if "Because" in text and "Rule" in text]
    assert len(tables) > 2  # the heading row is drawn again on each page


def test_nothing_fits_is_a_record_too(nothing) -> None:
    need, answer = nothing
    text = record.markdown(need, answer)
    assert "No option fits" in text
    assert answer.relaxations[0].because in shown(text)
    assert "No option fits" in pdf_text(record.pdf(need, answer))


@pytest.mark.parametrize("typed", HOSTILE)
def test_what_people_type_stays_text_in_markdown(fraud, typed: str) -> None:
    plain = record.markdown(*fraud)
    text = record.markdown(*fraud, title=typed, deciders=typed, name=typed, notes=typed)
    assert text.encode()  # no half characters
    assert text.count("\n---\n") == 1
    # nothing typed became a heading, a link, an image, code, emphasis or HTML
    kinds = {"html_inline", "html_block", "image", "em_open", "strong_open", "code_inline"}
    found = [c for token in tokens(text) for c in (token, *(token.children or ()))]
    assert not kinds & {token.type for token in found}
    links = [str(t.attrs.get("href")) for t in found if t.type == "link_open"]
    assert all(link.startswith(("https://", "http://example.org")) for link in links)
    assert len(headings(text)) == len(headings(plain))
    assert "\u202e" not in text


def test_what_people_type_is_what_is_read() -> None:
    md = MarkdownIt("commonmark")
    for typed in ("a_b service_time_ms _x_ **b** R&D &amp; <b> 3 > 2 [x] `c` \\", "1) one", "+ x"):
        inline = md.parse(record.escape(typed))[1]
        assert "".join(child.content for child in inline.children or ()) == typed


@pytest.mark.parametrize("typed", [HOSTILE[0], HOSTILE[-2], HOSTILE[-1]])
def test_no_text_breaks_the_pdf(nothing, typed: str) -> None:
    need, answer = nothing
    reader = PdfReader(io.BytesIO(record.pdf(need, answer, title=typed, notes=typed)))
    assert reader.pages[0].extract_text()


def test_letters_without_a_glyph_are_written_out(monkeypatch) -> None:
    monkeypatch.setattr(pdf_fonts, "_installed", lambda code: None)
    assert [f.family for f in pdf_fonts.fonts("中 🎉")] == ["text", "text", "mono"]
    held = pdf_fonts.fonts("x")
    assert pdf_fonts.written("Ω → ≈ é ж ש", held) == "Ω → ≈ é ж ש"
    assert pdf_fonts.written("🎉 中文 x", held) == "[party popper] [U+4E2D U+6587] x"
    assert pdf_fonts.written("👍🏽", held) == "[thumbs up sign]"


def test_a_font_of_ones_own_is_used_and_a_bad_one_is_refused(monkeypatch, tmp_path) -> None:
    from advisor.errors import InputError

    bad = tmp_path / "bad.ttf"
    bad.write_text("no font")
    monkeypatch.setenv("ADVISOR_PDF_FONTS", str(bad))
    with pytest.raises(InputError, match="cannot be read"):
        pdf_fonts.fonts("x")
    own = next(font.path for font in pdf_fonts._shipped(False) if font.family == pdf_fonts.MONO)
    monkeypatch.setenv("ADVISOR_PDF_FONTS", str(own))
    box = "\u2592"  # a shade that the mono font has and the text font lacks
    assert [f.family for f in pdf_fonts.fonts(box)] == ["text", "text", "mono"]
    assert pdf_fonts._own(0, str(own)).letters > {ord(box)}


def _a_font_with(tmp_path: Path, letter: str) -> Path:
    """A font that has one letter that no shipped font has."""
    shipped = next(f.path for f in pdf_fonts._shipped(False) if f.family == pdf_fonts.MONO)
    path = tmp_path / "machine.ttf"
    with TTFont(shipped) as font:
        for table in font["cmap"].tables:
            if table.isUnicode() and table.format in (4, 12):
                table.cmap = {ord(letter): font.getBestCmap()[ord("A")]}
        font.save(path)
    return path


def test_a_font_of_the_machine_is_used_where_it_has_the_letter(
    nothing, monkeypatch, tmp_path
) -> None:
    path = _a_font_with(tmp_path, "中")
    asker = tmp_path / "fc-match"  # as fontconfig does, it names a font whether or not it fits
    asker.write_text(f"#!/bin/sh\nprintf '%s|0' '{path}'\n")
    asker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    pdf_fonts._installed.cache_clear()
    try:
        held = pdf_fonts.fonts("中文")
        assert pdf_fonts.written("中文", held) == "中[U+6587]"
        content = record.pdf(*nothing, on=ON, title="中文")
    finally:
        pdf_fonts._installed.cache_clear()
    assert "中[U+6587]" in pdf_text(content)


def test_without_fontconfig_letters_are_written_out(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    pdf_fonts._installed.cache_clear()
    try:
        assert pdf_fonts.written("文", pdf_fonts.fonts("文")) == "[U+6587]"
    finally:
        pdf_fonts._installed.cache_clear()


def test_what_options_cost_is_drawn_and_said(fraud, paper) -> None:
    _, answer = fraud
    text, table = pdf_text(paper), record.markdown(*fraud)
    for ranked in answer.ranking:
        bill, people = record.usd(ranked.monthly_usd.expected), ranked.people_monthly_usd
        together = record.usd(ranked.total_monthly_usd)
        assert f"{bill} + {record.usd(people)} = {together}" in text
        assert re.search(rf"\| {re.escape(ranked.name)} \|.*{re.escape(together)} \|", table)


def test_amounts_have_no_powers_of_ten(fraud) -> None:
    assert not re.search(r"\de[+-]\d", record.markdown(*fraud))
    assert words.unit_price(2e-7) == "$0.0000002"
    assert words.unit_price(0.047688) == "$0.047688"
    assert words.quantity(2e7) == "20,000,000"
    assert words.quantity(58.59375) == "58.5938"
    assert words.quantity(0.00001) == "0.00001"


def _flat(outline: list) -> list:
    return [x for item in outline for x in (_flat(item) if isinstance(item, list) else [item])]
