"""Every figure opens to numbers that give it: worked out again here from the inputs alone."""

from __future__ import annotations

import math

import pytest

from advisor.explain import TEXTS, Figure, explain, figure
from advisor.presets import presets
from advisor.recommend import recommend
from advisor.recommendation import CostLine, Ranked
from advisor.requirements import Requirements, parse
from advisor.traffic import weekly_rates


def cases() -> list[tuple[Requirements, Ranked]]:
    out = []
    for preset in presets().values():
        answer = recommend(preset.requirements, doubt=False)
        out += [(preset.requirements, ranked) for ranked in answer.ranking]
    return out


@pytest.fixture(scope="module")
def opened() -> list[tuple[Requirements, Ranked, dict[str, Figure]]]:
    return [(need, r, {f.id: f for f in explain(need, r)}) for need, r in cases()]


def test_the_money_adds_up(opened) -> None:
    for _need, ranked, found in opened:
        lines = [f for name, f in found.items() if name.startswith("line-")]
        assert len(lines) == len(ranked.lines)
        known = [f.value for f in lines if f.value is not None]
        assert found["bill"].value == pytest.approx(math.fsum(known))
        for line in lines:
            quantity, price = (i.value for i in line.inputs)
            if price is not None:
                assert line.value == pytest.approx(quantity * price)
        assert found["total"].value == pytest.approx(found["bill"].value + found["people"].value)
        assert found["bill_low"].value <= found["bill"].value <= found["bill_high"].value


def test_people_are_hours_times_their_price(opened) -> None:
    for _need, _ranked, found in opened:
        monthly, setup, hourly, _skill = (i.value for i in found["people"].inputs)
        assert found["people"].value == pytest.approx((monthly + setup / 12) * hourly)


def test_speed_and_size_follow_from_their_inputs(opened) -> None:
    seen = set()
    for need, ranked, found in opened:
        peak = max(weekly_rates(need.traffic))
        assert found["peak_rate"].value == pytest.approx(peak)
        speed = next(i.value for i in found["service_time"].inputs if "Speed" in i.name)
        assert found["service_time"].value * speed == pytest.approx(need.model.service_time_ms)
        if "utilisation" in found:
            size = ranked.sizing
            each = max(
                rate / replicas
                for rate, replicas in zip(
                    weekly_rates(need.traffic), size.hourly_replicas, strict=True
                )
            )
            worked = each * size.service_time_ms / 1000 / size.concurrency
            assert found["utilisation"].value == pytest.approx(worked, rel=1e-6)
            assert found["replica_hours"].value == pytest.approx(
                sum(size.hourly_replicas) * 730 / 168
            )
            seen.add("fleet")
        if "response_functions" in found:
            seen.add("functions")
        if "finish" in found:
            seen.add("finish")
    assert seen == {"fleet", "functions", "finish"}


def test_the_score_is_the_sum_of_what_is_shown(opened) -> None:
    for need, _ranked, found in opened:
        inputs = found["score"].inputs
        assert found["score"].value == pytest.approx(sum(i.value for i in inputs))
        weights = need.priorities.model_dump()
        whole = sum(weights.values())
        for item in inputs[:-1]:
            name = item.field.removeprefix("priorities.")
            assert 0 <= item.value <= weights[name] / whole + 1e-9


def test_each_figure_has_its_words_its_source_and_no_gap_in_them(opened) -> None:
    for _need, _ranked, found in opened:
        for one in found.values():
            assert one.name
            assert one.formula
            assert one.source
            said = one.name + one.formula + one.worked + one.note + one.source
            assert "{" not in said
            assert "nan" not in one.worked


def test_an_answer_is_told_from_a_default_and_carries_its_field() -> None:
    base = presets()["fraud-detection"].requirements
    ranked = recommend(base, doubt=False).ranking[0]
    hourly = next(i for i in figure(base, ranked, "people").inputs if i.field == "team.hourly_usd")
    assert hourly.certainty == "default"
    data = base.model_dump(mode="json")
    data["team"] |= {"hourly_usd": 120, "assumptions": {ranked.option: {"monthly_hours": 3}}}
    need = parse(data)
    ranked = recommend(need, doubt=False).option(ranked.option)
    inputs = figure(need, ranked, "people").inputs
    assert [i.certainty for i in inputs[:3]] == ["your answer", "assumed", "your answer"]
    assert inputs[0].value == 3


def test_an_unknown_price_is_unknown_and_never_zero() -> None:
    need = presets()["fraud-detection"].requirements
    ranked = recommend(need, doubt=False).ranking[0]
    gap = CostLine(
        name="Nodes", quantity=10, unit="h", unit_price_usd=None, usd=0.0, source="nobody", as_of=""
    )
    ranked = ranked.model_copy(update={"lines": (*ranked.lines, gap), "at_least": True})
    found = {f.id: f for f in explain(need, ranked)}
    line = found[f"line-{len(ranked.lines) - 1}"]
    assert line.value is None
    assert line.certainty == "unknown"
    assert "at least" in found["bill"].note


def test_every_text_is_used() -> None:
    import yaml

    texts = set(yaml.safe_load(TEXTS.read_text(encoding="utf-8"))["figures"])
    used = {f.id for need, r in cases() for f in explain(need, r)}
    assert texts - used == {"line"}
