"""Reasons for and against: rules first, then what the ranking itself says."""

from __future__ import annotations

import pytest

from advisor.arguments import reasons_for, strongest_against
from advisor.presets import presets
from advisor.ranking import CRITERIA
from advisor.recommend import recommend


@pytest.mark.parametrize("preset_id", list(presets()))
def test_three_reasons_for_and_no_sentence_twice(preset_id: str) -> None:
    need = presets()[preset_id].requirements
    best = recommend(need, doubt=False).ranking[0]
    said = [r.because for r in reasons_for(need, best)]
    assert len(said) == len(set(said)) == 3
    fired = [r.because for r in best.reasons][:3]
    assert said[: len(fired)] == fired


def test_without_rules_the_criteria_that_carry_the_score_speak() -> None:
    need = presets()["fraud-detection"].requirements
    best = recommend(need, doubt=False).ranking[0].model_copy(update={"reasons": ()})
    said = reasons_for(need, best, 4)
    carried = [best.contributions[r.rule] for r in said]
    assert carried == sorted(carried, reverse=True)
    assert f"{best.p95_ms:,.0f} ms" in " ".join(r.because for r in said)


@pytest.mark.parametrize("preset_id", list(presets()))
def test_what_speaks_against_is_a_warning_or_a_criterion_on_which_another_is_better(
    preset_id: str,
) -> None:
    need = presets()[preset_id].requirements
    answer = recommend(need, doubt=False)
    best = answer.ranking[0]
    against = strongest_against(need, best, answer)
    if best.warnings:
        assert against == best.warnings[0]
        return
    assert against is not None
    assert against.rule in CRITERIA
    others = [r for r in answer.ranking[1:] if against.because.startswith(r.name)]
    assert others[0].contributions[against.rule] > best.contributions[against.rule]


def test_nothing_speaks_against_the_only_option_without_a_warning() -> None:
    need = presets()["fraud-detection"].requirements
    answer = recommend(need, doubt=False)
    best = answer.ranking[0].model_copy(update={"warnings": ()})
    alone = answer.model_copy(update={"ranking": (best,)})
    assert strongest_against(need, best, alone) is None
