"""What was ruled out, as people read it: options in clouds that nobody asked for are one sentence."""

from __future__ import annotations

from advisor.catalog.loader import load_options
from advisor.recommendation import Excluded, Recommendation
from advisor.rule_text import spoken

CLOUD_RULE = "cloud"  # of the built-in rules


def among_the_asked(answer: Recommendation) -> tuple[Excluded, ...]:
    """The exclusions of options that run where the person allows; all are in `answer.excluded`."""
    elsewhere = _elsewhere(answer)
    return tuple(e for e in answer.excluded if e.option not in elsewhere)


def not_asked_for(answer: Recommendation) -> str:
    """ "Google Cloud, Azure: not asked for (placement.clouds)"; "" where every cloud is allowed."""
    known = load_options()
    clouds = dict.fromkeys(spoken(known[option].cloud.value) for option in _elsewhere(answer))
    return f"{', '.join(clouds)}: not asked for (placement.clouds)" if clouds else ""


def _elsewhere(answer: Recommendation) -> dict[str, None]:
    known = load_options()
    return dict.fromkeys(
        e.option
        for e in answer.excluded
        if e.rule == CLOUD_RULE and not e.policy and e.option in known
    )
