"""The advisor answers as people who know did, and where it does not, it says why."""

from __future__ import annotations

import pytest

from advisor.catalog.loader import load_options
from advisor.recommend import recommend
from benchmarks.scenarios import Case, cases, held

EXPERTS, FURTHER = cases("expert_cases.yaml"), cases("further_cases.yaml")
HELD_OUT, FRESH = cases("held_out_cases.yaml"), cases("fresh_cases.yaml")
BLIND, SIGNED = cases("blind_cases.yaml"), cases("signed_cases.yaml")
EVERY = (*EXPERTS, *FURTHER, *HELD_OUT, *FRESH, *BLIND, *SIGNED)
MAY_DIFFER = 2


@pytest.fixture(scope="module")
def winners() -> dict[str, str | None]:
    return {case.id: recommend(case.need, doubt=False).winner for case in EVERY}


def test_the_cases_are_complete_and_told_apart() -> None:
    assert len(EXPERTS) == 16
    assert len(FURTHER) >= 20
    assert len({case.id for case in EVERY}) == len(EVERY)
    for case in EVERY:
        assert case.says
        assert case.source
        assert set(case.expects) <= set(load_options()), case.id


@pytest.mark.parametrize("case", EVERY, ids=lambda c: c.id)
def test_the_answer_is_the_experts_or_has_its_reason(
    case: Case, winners: dict[str, str | None]
) -> None:
    if case.differs:
        assert winners[case.id] not in case.expects, "the reason is out of date: they agree"
    else:
        assert winners[case.id] in case.expects


@pytest.mark.parametrize(
    "every",
    [EXPERTS, FURTHER, HELD_OUT, FRESH, BLIND, SIGNED],
    ids=["experts", "further", "held out", "fresh", "blind", "signed"],
)
def test_few_may_differ(every: tuple[Case, ...]) -> None:
    assert sum(bool(case.differs) for case in every) <= MAY_DIFFER


def test_most_answers_hold_when_weights_and_hours_move() -> None:
    kept = [held(case, recommend(case.need, doubt=False)) for case in EXPERTS]
    assert sum(k.corners > 0.5 for k in kept) >= 15
    assert sum(k.draws > 0.9 for k in kept) >= 12
    assert all(0 <= k.corners <= 1 and 0 <= k.draws <= 1 for k in kept)


def test_an_expected_option_that_is_not_there_never_holds() -> None:
    case = EXPERTS[0]
    answer = recommend(case.need, doubt=False, options=["sagemaker-realtime"])
    assert held(case, answer).draws == 0
