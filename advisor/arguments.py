"""What speaks for an option and what against it, in sentences with the numbers.

Rules that fired come first. Where they say less than asked for, the criteria of the ranking speak:
those that carry the score most, and those on which another option does better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from advisor.catalog.loader import option as catalog_option
from advisor.durations import duration
from advisor.ranking import RULES
from advisor.recommendation import Ranked, Reason, Recommendation
from advisor.requirements import Mode, Requirements

SOURCE = "the ranking (docs/method.md, Rank)"
# A criterion speaks for an option when at least this much of its utility is there.
_GOOD = 0.6
_LEVELS = {"control": "control", "portability": "portability", "elasticity": "elasticity",
           "resilience": "resilience"}  # fmt: skip


def reasons_for(need: Requirements, ranked: Ranked, count: int = 3) -> tuple[Reason, ...]:
    """At most `count` reasons, the strongest first."""
    out = list(ranked.speaks_for[:count])
    for criterion in _strongest(ranked):
        if len(out) >= count:
            break
        out.append(Reason(rule=criterion, because=_FOR[criterion](need, ranked), source=SOURCE))
    return tuple(out)


def strongest_against(need: Requirements, ranked: Ranked, answer: Recommendation) -> Reason | None:
    """The strongest reason against an option: what its rules say, else where another does better.

    Others are the one ranked next and the best of the other kind: nobody weighs an option against
    one that is far behind. None when no rule speaks against it and no criterion on which one is better.
    """
    if ranked.speaks_against:
        return ranked.speaks_against[0]
    others = [other for other in answer.ranking if other.option != ranked.option]
    rivals = [*others[:1], *[o for o in others[1:] if o.kind != ranked.kind][:1]]
    better = [
        (
            other.contributions.get(name, 0.0) - ranked.contributions.get(name, 0.0),
            name,
            other,
        )
        for other in rivals
        for name in _BETTER
    ]
    if not better:
        return None
    gain, name, other = max(better, key=lambda row: row[0])
    if gain <= 1e-9:
        return None
    return Reason(rule=name, because=_BETTER[name](need, ranked, other), source=SOURCE)


def _strongest(ranked: Ranked) -> Iterator[str]:
    named = [name for name in ranked.contributions if name != RULES and name in _FOR]
    for name in sorted(named, key=lambda name: -ranked.contributions[name]):
        if ranked.utilities.get(name, 0.0) >= _GOOD and ranked.contributions[name] > 0:
            yield name


def _speed(need: Requirements, ranked: Ranked) -> str:
    target, service = need.service.p95_ms, need.service
    if ranked.p95_ms is not None and target:
        return (
            f"p{service.percentile:g} of {ranked.p95_ms:,.0f} ms leaves "
            f"{1 - ranked.p95_ms / target:.0%} of the {target:,.0f} ms target unused"
        )
    done = "Done after" if need.traffic.mode is Mode.batch else "Answered within"
    return (
        f"{done} {duration(ranked.finish_h or 0.0)} of the {duration(service.deadline_h)} there are"
    )


def _weeks(ranked: Ranked) -> float:
    return catalog_option(ranked.option).level("launch_weeks")


def _level(name: str) -> Callable[[Requirements, Ranked], str]:
    def say(need: Requirements, ranked: Ranked) -> str:
        rationale = catalog_option(ranked.option).levels[name].rationale
        return f"{name.capitalize()}: {rationale}"

    return say


def _level_better(name: str) -> Callable[[Requirements, Ranked, Ranked], str]:
    def say(need: Requirements, ranked: Ranked, other: Ranked) -> str:
        rationale = catalog_option(other.option).levels[name].rationale
        own = catalog_option(ranked.option).levels[name].rationale
        return f"{other.name} is better on {name} ({rationale}); here: {own}"

    return say


def _faster(need: Requirements, ranked: Ranked, other: Ranked) -> str:
    if ranked.p95_ms is not None and other.p95_ms is not None:
        return (
            f"{other.name} answers faster: p{need.service.percentile:g} of {other.p95_ms:,.0f} ms "
            f"against {ranked.p95_ms:,.0f} ms"
        )
    sooner, later = other.finish_h or 0.0, ranked.finish_h or 0.0
    return f"{other.name} is done sooner: {duration(sooner)} against {duration(later)}"


def _usd(amount: float) -> str:
    return f"${amount:,.0f}" if amount >= 10 else f"${amount:,.2f}"


_FOR: dict[str, Callable[[Requirements, Ranked], str]] = {
    "cost": lambda need, r: (
        f"{_usd(r.total_monthly_usd)} a month in all, people's time included, for "
        f"{need.traffic.requests_per_month:,.0f} requests"
    ),
    "latency": _speed,
    "operations": lambda need, r: (
        f"About {r.people.monthly_hours.expected:,.1f} h of people's time a month to run it"
    ),
    "launch": lambda need, r: (
        f"Runs after about {_weeks(r):g} of the {need.team.weeks_to_launch:g} weeks there are"
    ),
    **{name: _level(level) for name, level in _LEVELS.items()},
}
_BETTER: dict[str, Callable[[Requirements, Ranked, Ranked], str]] = {
    "cost": lambda need, r, o: (
        f"{o.name} costs {_usd(r.total_monthly_usd - o.total_monthly_usd)} a month less in all "
        f"({_usd(o.total_monthly_usd)} against {_usd(r.total_monthly_usd)})"
    ),
    "latency": _faster,
    "operations": lambda need, r, o: (
        f"{o.name} takes fewer hours to run: {o.people.monthly_hours.expected:,.1f} h a month "
        f"against {r.people.monthly_hours.expected:,.1f} h"
    ),
    "launch": lambda need, r, o: (
        f"{o.name} runs sooner: after about {_weeks(o):g} weeks against {_weeks(r):g}"
    ),
    **{name: _level_better(level) for name, level in _LEVELS.items()},
}
