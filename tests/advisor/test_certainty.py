"""Points and redraws are both told, and never say the opposite of each other."""

from __future__ import annotations

import pytest

from advisor import report
from advisor.certainty import certainty, headline, points_apart
from advisor.ranking import is_close
from advisor.recommend import recommend
from advisor.recommendation import Recommendation
from advisor.record.words import how_sure
from advisor.requirements import parse

NEED = parse(
    {
        "model": {"format": "onnx", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
        "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
    }
)


@pytest.fixture(scope="module")
def answer() -> Recommendation:
    return recommend(NEED, options=["lambda-url", "ecs-fargate"])


def told(answer: Recommendation, scores: tuple[float, float], share: float) -> Recommendation:
    ranking = tuple(
        r.model_copy(update={"score": s}) for r, s in zip(answer.ranking, scores, strict=True)
    )
    close = is_close(scores, share)
    return answer.model_copy(update={"ranking": ranking, "confidence": share, "close_call": close})


@pytest.mark.parametrize(
    ("scores", "share", "short", "sentence"),
    [
        ((0.8, 0.5), 0.98, "best in 98 % of redraws", "Best in 98 % of redraws"),
        (
            (0.8, 0.752), 0.98, "close on points, best in 98 % of redraws",
            "(6 % apart), but the first place was held in 98 % of redraws",
        ),
        (
            (0.8, 0.752), 0.5, "close call, best in 50 % of redraws",
            "6 % apart on points, and the first place was held in only 50 %",
        ),
        (
            (0.8, 0.6), 0.5, "close call, best in 50 % of redraws",
            "25 % apart on points, but the first place was held in only 50 %",
        ),
    ],
)  # fmt: skip
def test_both_measures_are_told_in_one_sentence(
    answer: Recommendation, scores: tuple[float, float], share: float, short: str, sentence: str
) -> None:
    made = told(answer, scores, share)
    assert headline(made) == short
    assert sentence in certainty(made)
    assert (made.ranking[1].name in certainty(made)) is made.close_call


def test_terminal_and_record_say_the_same_sentence(answer: Recommendation) -> None:
    made = told(answer, (0.8, 0.752), 0.98)
    assert certainty(made) in report.text(NEED, made)
    assert certainty(made) in how_sure(made)


def test_an_only_option_is_not_close(answer: Recommendation) -> None:
    alone = answer.model_copy(update={"ranking": answer.ranking[:1], "confidence": 1.0})
    assert points_apart(alone) == 1
    assert certainty(alone.model_copy(update={"close_call": False})).startswith("Best in 100 %")
