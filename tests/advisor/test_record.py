"""The decision record: complete, true to the answer, and safe with what people typed."""

from __future__ import annotations

import re
from datetime import date

import pytest

from advisor import record, whatif
from advisor.presets import presets
from advisor.recommend import recommend
from advisor.requirements import loads, parse

SECTIONS = (
    "## Context and Problem Statement", "## Decision Drivers", "## Considered Options",
    "## Decision Outcome", "### Consequences", "### Confirmation",
    "## Pros and Cons of the Options", "## Ruled Out", "## More Information",
)  # fmt: skip


@pytest.fixture(scope="module")
def fraud() -> tuple:
    need = presets()["fraud-detection"].requirements
    return need, recommend(need)


def test_every_section_of_madr_is_there(fraud) -> None:
    text = record.markdown(*fraud, on=date(2026, 11, 22))
    for section in SECTIONS:
        assert section in text
    assert "date: 2026-11-22" in text


def test_it_says_what_the_answer_says(fraud) -> None:
    need, answer = fraud
    text = record.markdown(need, answer)
    best = answer.ranking[0]
    assert best.name in text
    assert record.usd(best.monthly_usd.expected) in text
    assert record.usd(best.people_monthly_usd) in text
    for ranked in answer.ranking:
        assert f"### {ranked.name}" in text
    for excluded in answer.excluded:
        assert excluded.because in text


def test_the_requirements_in_it_read_back(fraud) -> None:
    need, answer = fraud
    block = re.search(r"```yaml\n(.*?)```", record.markdown(need, answer), re.DOTALL)
    assert block is not None
    assert loads(block[1]) == need


def test_nothing_fits_is_a_record_too() -> None:
    need = parse(
        {
            "model": {"format": "onnx", "size_mb": 9, "memory_mb": 90, "service_time_ms": 60_000},
            "traffic": {"mode": "realtime", "requests_per_month": 1000},
            "service": {"p95_ms": 10},
        }
    )
    answer = whatif.complete(need, recommend(need))
    text = record.markdown(need, answer)
    assert "No option fits" in text
    assert answer.relaxations[0].because in text


@pytest.mark.parametrize(
    "typed",
    [
        "<script>alert(1)</script>",
        "# heading\n## another",
        "[link](javascript:alert(1))",
        "`code` | table | **bold**",
        "![x](http://example.org/x.png)",
        "---\nstatus: accepted",
    ],
)
def test_what_people_type_stays_text(fraud, typed: str) -> None:
    text = record.markdown(*fraud, title=typed, deciders=typed)
    title = next(line for line in text.splitlines() if line.startswith("# "))
    assert "<script" not in text
    assert "](" not in title
    assert text.count("\n## ") == record.markdown(*fraud).count("\n## ")
    assert text.count("\n---\n") == 1
    assert len([line for line in text.splitlines() if line.startswith("# ")]) == 1


def test_residency_is_escaped() -> None:
    need = parse(
        {
            "model": {"format": "onnx", "size_mb": 9, "memory_mb": 90, "service_time_ms": 5},
            "traffic": {"mode": "realtime", "requests_per_month": 1000},
            "control": {"data_residency": "us"},
        }
    )
    text = record.markdown(need, recommend(need, doubt=False), title="a <b>bold</b> *title*")
    assert "&lt;b&gt;bold&lt;/b&gt; \\*title\\*" in text
