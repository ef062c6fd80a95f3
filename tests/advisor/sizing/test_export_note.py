"""When the advice says that an export to ONNX is worth it."""

from __future__ import annotations

import pytest

from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from advisor.sizing.export_note import export_note
from advisor.sizing.performance_data import class_rows


def need(**model: object) -> Requirements:
    return parse(
        {
            "model": {"format": "joblib", "size_mb": 10, "memory_mb": 300} | model,
            "traffic": {"mode": "realtime", "requests_per_month": 1_000_000},
        }
    )


def test_a_forest_by_class_is_told() -> None:
    said = export_note(need(model_class="random-forest-500"))
    assert said is not None
    assert "500 trees" in said
    assert "about 90 ms" in said
    assert "about 1.1 ms" in said
    assert "python -m deploy convert" in said
    assert "30 to 50 times as quick" in said  # beside the bundle's server, which asks trees itself
    assert "300 to 700" in said  # beside the library
    boosted = export_note(need(model_class="hist-gradient-boosting"))
    assert boosted is not None
    assert "forest" not in boosted


def test_a_slow_file_of_these_libraries_may_be_one() -> None:
    said = export_note(need(service_time_ms=22))
    assert said is not None
    assert "22 ms a request in a joblib file: if it is an ensemble of trees" in said


@pytest.mark.parametrize(
    "model",
    [
        {"service_time_ms": 22, "format": "onnx"},
        {"service_time_ms": 22, "format": "torch"},
        {"service_time_ms": 22, "format": "other"},
        {"service_time_ms": 3},
        {"model_class": "linear"},
        {"model_class": "trees-onnx", "format": "onnx"},
    ],
)
def test_where_nothing_is_gained_nothing_is_said(model: dict[str, object]) -> None:
    assert export_note(need(**model)) is None


def test_the_recommendation_carries_it() -> None:
    asked = need(model_class="random-forest-100")
    assert export_note(asked) in recommend(asked, doubt=False).warnings


def test_the_classes_named_are_slower_than_the_export() -> None:
    data = class_rows()
    rows = {row.name: row.service_time_ms for row in data.classes}
    assert all(rows[name] > rows[data.conversion.to] for name in data.conversion.classes)
