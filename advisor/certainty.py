"""How sure the first place is, in one sentence that says both of its measures.

Points (how far apart the first two scores are) and redraws (how often the first held its place) may
differ: the scores move together when inputs are redrawn, so a small distance can be a firm one.
"""

from __future__ import annotations

from advisor.ranking import SCALES
from advisor.recommendation import Recommendation

REDRAWS = "redraws of the uncertain inputs"


def points_apart(answer: Recommendation) -> float:
    """How far the runner-up's score is below the best one, as a share of it; 1 without one."""
    if len(answer.ranking) < 2 or answer.ranking[0].score <= 0:
        return 1.0
    first, second = answer.ranking[:2]
    return (first.score - second.score) / first.score


def headline(answer: Recommendation) -> str:
    """A few words: "best in 98 % of redraws", "close on points, best in 98 % of redraws"."""
    said = f"best in {_percent(answer.confidence)} of redraws"
    if not answer.close_call:
        return said
    return f"close on points, {said}" if _held(answer) else f"close call, {said}"


def certainty(answer: Recommendation) -> str:
    """A sentence without its full stop; names the runner-up where it is close."""
    share = _percent(answer.confidence)
    if not answer.close_call or len(answer.ranking) < 2:
        return f"Best in {share} of {REDRAWS}"
    apart = points_apart(answer)
    near = apart < SCALES["close_call"]["margin"]
    second = answer.ranking[1].name
    if near and _held(answer):
        return (
            f"Close on points with {second} ({_percent(apart)} apart), but the first place was "
            f"held in {share} of {REDRAWS}"
        )
    if near:
        return (
            f"A close call with {second}: {_percent(apart)} apart on points, and the first place "
            f"was held in only {share} of {REDRAWS}"
        )
    return (
        f"A close call with {second}: {_percent(apart)} apart on points, but the first place was "
        f"held in only {share} of {REDRAWS}"
    )


def _held(answer: Recommendation) -> bool:
    return answer.confidence >= float(SCALES["close_call"]["share"])


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
