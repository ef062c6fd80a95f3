"""Answers and links: what goes in comes out, and what cannot be used is said."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.errors import RequirementsError
from advisor.presets import presets
from advisor.requirements import Requirements, parse
from ui import answers as flat


def through_a_link(need: Requirements) -> Requirements:
    text = urlencode(flat.encode(flat.flatten(need)))
    link = flat.decode(dict(parse_qsl(text, keep_blank_values=True)))
    assert link.dropped == []
    assert link.filled == []
    return flat.to_requirements(link.answers)


@pytest.mark.parametrize("preset_id", list(presets()))
def test_a_link_carries_a_preset_unchanged(preset_id: str) -> None:
    need = presets()[preset_id].requirements
    assert through_a_link(need) == need


def test_a_link_carries_weeks_hours_lists_and_empty_answers() -> None:
    need = parse(
        {
            "model": {"format": "onnx", "size_mb": 0.5, "memory_mb": 300, "model_class": "linear"},
            "traffic": {
                "mode": "batch",
                "requests_per_month": 123456.789,
                "pattern": [float(hour % 24) / 3 for hour in range(168)],
            },
            "team": {"assumptions": {"eks": {"monthly_hours": 6.5}, "ec2": {"setup_hours": 2}}},
            "placement": {"clouds": ["gcp", "aws"], "regions": ["europe-west1", "eu-west-1"]},
            "control": {"data_residency": "eu"},
            "service": {"max_processing_s": 0.25},
        }
    )
    assert through_a_link(need) == need


def test_a_link_is_short_and_leaves_defaults_out() -> None:
    link = flat.encode(flat.flatten(presets()["fraud-detection"].requirements))
    assert "team.hourly_usd" not in link
    assert link["traffic.requests_per_month"] == "20000000"
    assert len(urlencode(link)) < 600


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("model.format", "docx", "model.format is 'docx'; input should be 'joblib'"),
        ("model.size_mb", "-3", "model.size_mb is '-3'; input should be greater than 0"),
        ("model.size_mb", "nan", "finite"),
        ("service.p95_ms", "soon", "valid number"),
        ("placement.clouds", "aws,mars", "placement.clouds"),
        ("traffic.pattern", "1,2,3", "has 3 numbers"),
        ("traffic.pattern", "1,x", "cannot be read"),
        ("team.assumptions", "eks:six", "cannot be read"),
        ("traffic.latency", "7", "traffic.latency is not a question here"),
    ],
)
def test_what_a_link_says_wrongly_is_dropped_and_named(path: str, text: str, said: str) -> None:
    good = flat.encode(flat.starting_answers())
    link = flat.decode({**good, path: text})
    assert len(link.dropped) == 1
    assert said in link.dropped[0]
    assert flat.problems(link.answers) == []


def test_a_bare_link_is_the_first_example_and_a_partial_one_says_what_it_took() -> None:
    assert flat.decode({}).answers == flat.starting_answers()
    link = flat.decode({"service.p95_ms": "250"})
    assert link.answers["service.p95_ms"] == 250
    assert "model.format" in link.filled
    assert link.answers["service.cold_starts_ok"] is True  # its default, not the example's answer


@pytest.mark.parametrize(
    "params", [{"utm": "x"}, {"traffic.mode": "batch"}, {"team.hourly_usd": "50"}]
)
def test_no_link_leaves_the_page_without_advice(params: dict[str, str]) -> None:
    assert flat.problems(flat.decode(params).answers) == []


HOSTILE = st.sampled_from(
    ["nan", "inf", "-1e400", "9" * 5000, "0x10", "1_000", "true,", "," * 400, "a:b:c:d", "::", "\x00",
     "<script>", "=1+1", "\ud800", "[1]", "{}", "٣", "1e3", "None"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*flat.questions(), "x", "model"]), HOSTILE | st.text()))
def test_a_hostile_link_leaves_answers_that_can_be_shown(params: dict[str, str]) -> None:
    """Whatever an address says: answers of the right kind, or sentences saying what is wrong."""
    link = flat.decode(params)
    assert set(link.answers) == set(flat.questions())
    assert flat.decode(flat.encode(link.answers)).dropped == []
    for sentence in [*link.dropped, *flat.problems(link.answers)]:
        assert len(sentence) < 600


def test_a_question_that_is_not_asked_has_its_default() -> None:
    held = flat.starting_answers() | {"model.gpu": False, "model.gpu_memory_gb": 24.0}
    assert flat.to_requirements(held).model.gpu_memory_gb is None
    assert "model.gpu_memory_gb" not in flat.encode(held)
    held["model.gpu"] = True
    assert flat.to_requirements(held).model.gpu_memory_gb == 24


def test_contradictions_come_as_sentences() -> None:
    held = flat.starting_answers() | {
        "control.hosting": "managed",
        "placement.clouds": ["kubernetes"],
    }
    with pytest.raises(RequirementsError):
        flat.to_requirements(held)
    assert any("control.hosting is managed" in sentence for sentence in flat.problems(held))


def test_every_field_of_the_requirements_is_asked() -> None:
    fields = {
        f"{section}.{name}"
        for section, info in Requirements.model_fields.items()
        for name in info.annotation.model_fields
    }
    assert fields == set(flat.questions())
    assert all(q.title and q.help for q in flat.questions().values())


def test_whole_and_fractional_numbers_are_one_answer() -> None:
    one, other = flat.starting_answers(), flat.starting_answers()
    other["model.size_mb"] = int(one["model.size_mb"])
    assert flat.same(one, other)
    other["model.size_mb"] += 0.5
    assert not flat.same(one, other)
