"""Scenarios as plain values: names, links, and how they differ."""

from __future__ import annotations

import pytest
import sample
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.presets import presets
from advisor.recommendation import CostLine, Recommendation
from ui.answers import encode, flatten
from ui.scenarios import (
    MOST_KEPT,
    Advised,
    Kept,
    answers,
    from_link,
    renamed,
    results,
    to_link,
    unused,
)

NEEDS = [p.requirements for p in presets().values()]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.sampled_from(NEEDS)), max_size=MOST_KEPT))
def test_a_link_brings_back_every_scenario(given_: list) -> None:
    kept: list[Kept] = []
    for name, need in given_:
        kept.append(Kept(unused(name, kept), flatten(need)))
    back, said = from_link(to_link(kept))
    assert said == []
    assert [one.name for one in back] == [one.name for one in kept]
    assert [encode(one.answers) for one in back] == [encode(one.answers) for one in kept]


def test_names_stay_apart() -> None:
    kept = [Kept("Ours", {}), Kept("Ours (2)", {})]
    assert unused("Ours", kept) == "Ours (3)"
    assert unused("  ", kept) == "Scenario"
    assert len(unused("x" * 200, [Kept("x" * 80, {})])) == 80
    assert [k.name for k in renamed(kept, "Ours (2)", "Ours")] == ["Ours", "Ours (2)"]
    assert [k.name for k in renamed(kept, "Ours", "A\nb")] == ["A b", "Ours (2)"]
    assert renamed(kept, "Ours", "   ") == kept


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"scenario.1": ""}, "scenario.1 is not a scenario"),
        ({"scenario.1": "a" * 5000}, "scenario.1 is not a scenario"),
        ({"scenario.1": "&".join(f"a{i}=1" for i in range(300))}, "is not a scenario"),
        ({"scenario.x": "name=A&model.format=docx"}, "A: model.format is 'docx'"),
        ({"scenario.1": "name=%3Cb%3E&colour=blue"}, "<b>: colour is not a question here"),
        ({"scenario.1": "name=A&service.p95_ms=100"}, "A does not answer"),
        ({f"scenario.{i}": "name=A&model.format=onnx" for i in range(30)}, "has 30 scenarios"),
    ],
)
def test_a_link_made_by_hand_says_what_was_dropped(params: dict[str, str], said: str) -> None:
    kept, sentences = from_link(params)
    assert any(said in sentence for sentence in sentences)
    assert len(kept) <= MOST_KEPT


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["scenario.1", "scenario.02", "scenario."]), st.text()))
def test_no_link_breaks_the_page(params: dict[str, str]) -> None:
    from_link(params)


def test_what_differs_is_marked_and_the_least_money_too() -> None:
    cheap, dear = sample.recommendation(), sample.recommendation()
    dear = dear.model_copy(update={"ranking": (cheap.ranking[1], *cheap.ranking)})
    need = NEEDS[0]
    rows = {
        row.label: row
        for row in results(
            [
                Advised("a", {}, need, cheap),
                Advised("b", {}, need, dear),
                Advised("c", {}, need, sample.nothing_fits()),
                Advised("d", {}, problem="contradicts"),
            ]
        )
    }
    total = rows["Total a month"]
    assert total.cells == ("$754", "$700", "–", "–")  # 214 + 540, 160 + 540
    assert total.differs
    assert total.lowest == (1,)
    assert rows["Managed or self-hosted"].cells == ("Managed", "Self-hosted", "nothing fits", "–")
    same = {row.label: row for row in results([Advised("a", {}, need, cheap)] * 2)}
    assert not any(row.differs or row.lowest for row in same.values())


def test_a_comparison_says_how_many_prices_of_each_bill_are_stale() -> None:
    lines = [
        sample.line("Machines", 10.0).model_copy(update={"as_of": as_of})
        for as_of in ("2020-01-01", "undated", "2999-01-01", "")
    ]
    fresh = sample.recommendation()
    ranked = fresh.ranking[0]

    def bill(*held: CostLine) -> Recommendation:
        best = ranked.model_copy(update={"lines": held})
        return fresh.model_copy(update={"ranking": (best,)})

    rows = results(
        [
            Advised("a", {}, NEEDS[0], bill(*lines)),
            Advised("b", {}, NEEDS[0], bill(lines[2])),
            Advised("c", {}, NEEDS[0], sample.nothing_fits()),
        ]
    )
    said = next(row for row in rows if row.label == "Unit prices of the bill")
    assert said.cells == ("2 of 3 older than 90 days or undated", "in date", "–")


def test_answers_are_compared_question_by_question() -> None:
    one = flatten(NEEDS[0])
    other = {**one, "service.p95_ms": 250.0, "model.gpu": True}
    rows = {row.label: row for row in answers([Advised("a", one), Advised("b", other)])}
    assert rows["Answer within"].cells == ("100 ms", "250 ms")
    assert rows["Needs a GPU"].cells == ("no", "yes")
    assert {label for label, row in rows.items() if row.differs} == {"Answer within", "Needs a GPU"}
