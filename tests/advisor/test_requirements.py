"""What is asked: good answers are kept, bad ones are named with the value and the way out."""

from __future__ import annotations

import contextlib
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor import requirements
from advisor.errors import RequirementsError
from advisor.presets import presets
from advisor.requirements import Requirements, dumps, loads, parse

GOOD = {
    "model": {"format": "joblib", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
    "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
}


def changed(path: str, value: object) -> dict[str, object]:
    data = copy.deepcopy(GOOD)
    section, name = path.split(".")
    data.setdefault(section, {})[name] = value
    return data


def test_the_minimum_gets_the_promised_defaults() -> None:
    need = parse(GOOD)
    assert need.service.p95_ms == 200
    assert need.service.availability_percent == 99.5
    assert need.placement.regions == ("us-east-1",)
    assert [c.value for c in need.placement.clouds] == ["aws"]
    assert need.team.devops_skill.value == "basic"
    assert need.priorities.model_dump() == {
        "cost": 3, "latency": 3, "control": 2, "operations": 3,
        "launch": 2, "portability": 1, "elasticity": 1, "resilience": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("model.size_mb", -3, ["model.size_mb", "-3", "greater than 0"]),
        ("model.size_mb", "big", ["model.size_mb", "'big'", "number"]),
        ("model.sise_mb", 3, ["model.sise_mb", "not a known key", "size_mb"]),
        ("model.format", "keras", ["model.format", "'keras'", "onnx"]),
        ("traffic.pattern", "weekly", ["traffic.pattern", "'weekly'", "steady", "168"]),
        ("traffic.pattern", [1, 2, 3], ["traffic.pattern", "3 numbers", "168"]),
        ("traffic.pattern", [-1] * 168, ["traffic.pattern", "negative"]),
        ("traffic.pattern", [0] * 168, ["traffic.pattern", "all zeros"]),
        ("traffic.requests_per_month", float("inf"), ["traffic.requests_per_month", "finite"]),
        ("traffic.requests_per_month", 0, ["traffic.requests_per_month", "greater than 0"]),
        ("service.p95_ms", None, ["service.p95_ms", "real-time"]),
        ("service.availability_percent", 100, ["availability_percent", "less than 100"]),
        ("control.level", "total", ["control.level", "'total'", "full"]),
        ("model.gpu_memory_gb", 8, ["gpu_memory_gb", "model.gpu"]),
        ("traffic.peak_requests_per_second", 0.001, ["peak_requests_per_second", "0.001"]),
        ("traffic.peak_requests_per_second", 1e5, ["peak_requests_per_second", "100000"]),
        ("service.max_processing_s", 0.001, ["max_processing_s", "0.001"]),
    ],
)
def test_a_bad_answer_is_named_with_its_value(path: str, value: object, said: list[str]) -> None:
    with pytest.raises(RequirementsError) as caught:
        parse(changed(path, value))
    for part in said:
        assert part in str(caught.value)


def test_gpu_on_own_hardware_without_one_is_refused() -> None:
    data = changed("model.gpu", True)
    data["placement"] = {"clouds": ["own-hardware"]}
    with pytest.raises(RequirementsError, match=r"node_gpu.*set node_gpu to true"):
        parse(data)
    data["placement"] = {"clouds": ["own-hardware"], "node_gpu": True}
    assert parse(data).model.gpu


def test_every_problem_is_reported_at_once() -> None:
    data = changed("model.size_mb", -3)
    data["traffic"]["mode"] = "sometimes"  # type: ignore[index]
    with pytest.raises(RequirementsError) as caught:
        parse(data)
    assert len(caught.value.problems) == 2


def test_model_class_stands_in_for_a_measured_time() -> None:
    data = copy.deepcopy(GOOD)
    del data["model"]["service_time_ms"]
    with pytest.raises(RequirementsError, match="service_time_ms is missing"):
        parse(data)
    data["model"]["model_class"] = "anything"
    assert parse(data).model.service_time_ms is None


def test_yaml_and_json_are_both_read() -> None:
    need = parse(GOOD)
    assert loads(dumps(need)) == need
    assert loads(need.model_dump_json()) == need


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2", "not valid YAML"),
        ("model: 1\nx: [", r"not valid YAML or JSON: did not find .* at line 3, column 1"),
        ("just words", "mapping"),
        ("", "mapping"),
        ("a: &x [*x]", "an anchor or an alias"),
        ("!!python/object/apply:os.system ['true']", "has the tag"),
    ],
)
def test_text_that_is_no_requirements(text: str, said: str) -> None:
    with pytest.raises(RequirementsError, match=said):
        loads(text)


def test_a_huge_or_binary_file_is_refused(tmp_path) -> None:
    big = tmp_path / "big.yaml"
    big.write_text("a: 1\n" * 300_000)
    with pytest.raises(RequirementsError, match="at most 1 MB"):
        requirements.load(big)
    binary = tmp_path / "model.joblib"
    binary.write_bytes(b"\x80\x04\xff\xfe")
    with pytest.raises(RequirementsError, match="not UTF-8"):
        requirements.load(binary)
    with pytest.raises(RequirementsError, match="cannot read"):
        requirements.load(tmp_path / "missing.yaml")


@pytest.mark.parametrize("preset", presets().values(), ids=lambda p: p.id)
def test_presets_survive_the_file(preset) -> None:
    assert loads(dumps(preset.requirements)) == preset.requirements


def test_every_field_carries_its_question() -> None:
    for section_name, section in Requirements.model_fields.items():
        for name, field in section.annotation.model_fields.items():
            where = f"{section_name}.{name}"
            extra = field.json_schema_extra
            assert field.title, where
            assert field.description, where
            assert extra["ask"] in {"essential", "detail", "expert"}, where
            has_unit = name.rsplit("_", 1)[-1] in {"mb", "ms", "s", "h", "gb", "usd"}
            assert not has_unit or "unit" in extra, where


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda children: (
            st.lists(children, max_size=4)
            | st.dictionaries(st.text(max_size=12), children, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_nothing_but_a_requirements_error_comes_out(data: object) -> None:
    with contextlib.suppress(RequirementsError):
        parse(data)
