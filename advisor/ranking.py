"""Criteria, utilities, weights, scores, and how stable the winner is.

Every utility lies on a fixed scale from 0 to 1 that depends on the requirements alone, never on
the other options: taking a loser away cannot change the winner.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from advisor.recommendation import Range
from advisor.requirements import Mode, Priorities
from advisor.workload import Workload

CRITERIA = (
    "cost", "latency", "control", "operations", "launch", "portability", "elasticity", "resilience",
)  # fmt: skip
RULES = "rules"  # the contribution of preferring rules, beside the criteria

SCALES: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("scoring.yaml").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Measures:
    """What an option is scored on."""

    option: str
    total_usd: Range  # cloud bill and people's time
    people_hours: Range
    headroom: float  # 1 - response / target (or finish / deadline)
    control: float
    launch_weeks: float
    portability: float
    elasticity: float
    resilience: float
    points: float  # of the preferring rules that fired


def cost_floor_usd(work: Workload) -> float:
    """The cost that nobody beats: an hour of attention, and the bare work at an m5's list price.

    Only the requirements enter, so the scale is the same whatever options are there.
    """
    scale = SCALES["cost"]
    kind = "reference_gpu_hour_usd" if work.need.model.gpu else "reference_vcpu_hour_usd"
    attention = work.need.team.hourly_usd * scale["floor_hours"]
    return float(attention + scale["floor_usd"] + work.work_vcpu_hours * scale[kind])


def utilities(measures: Measures, work: Workload) -> dict[str, float]:
    """Utility of each criterion, 0 to 1."""
    return dict(zip(CRITERIA, _row(measures, work, _scale(work)), strict=True))


def score(measures: Measures, work: Workload) -> float:
    """What `contributions` sum to, to the last digit."""
    return _score(measures, work, _scale(work))


def scored(points: float) -> float:
    """What points of preferring rules add to a score."""
    return float(SCALES["rules"]["point_weight"] * points)


def highest_scores(measured: Sequence[Measures], works: Sequence[Workload]) -> list[float]:
    """Of each, at least its `score` for any of the workloads, which differ in the volume alone."""
    scales = [_scale(work) for work in works]
    kindest = scales[0]._replace(
        floor_usd=max(scale.floor_usd for scale in scales),
        moves=min(scale.moves for scale in scales),
    )
    return [_score(measures, works[0], kindest) for measures in measured]


def contributions(
    measures: Measures, utility: Mapping[str, float], priorities: Priorities
) -> dict[str, float]:
    """What each criterion adds to the score; they sum to it. Rules stand beside the criteria."""
    shares = zip(CRITERIA, _shares(priorities), strict=True)
    out = {name: share * utility[name] for name, share in shares}
    out[RULES] = scored(measures.points)
    return out


def stability(
    measured: Sequence[Measures], work: Workload, draws: int | None = None, seed: int = 20261122
) -> dict[str, float]:
    """Share of redraws in which each option wins.

    Cost and hours are drawn from their ranges, response times within +-20 %, weights within
    +-50 %. Each option has a random stream of its own, so others coming and going change nothing
    in its draws.
    """
    if not measured:
        return {}
    if len(measured) == 1:
        return {measured[0].option: 1.0}
    scale = SCALES["draws"]
    draws = draws or int(scale["count"])
    wobble = scale["response_spread"]
    drawn = _weights(_given(work.need.priorities), draws, seed)
    scores = np.empty((draws, len(measured)))
    for i, measures in enumerate(measured):
        stream = np.random.default_rng([seed, zlib.crc32(measures.option.encode())])
        total = _draw(stream, measures.total_usd, draws)
        hours = _draw(stream, measures.people_hours, draws)
        slack = 1 - (1 - measures.headroom) * stream.uniform(1 - wobble, 1 + wobble, draws)
        utility = _utilities(work, total, hours, slack, measures)
        scores[:, i] = (utility * drawn).sum(axis=1) + scored(measures.points)
    wins = np.bincount(scores.argmax(axis=1), minlength=len(measured)) / draws
    return {m.option: float(share) for m, share in zip(measured, wins, strict=True)}


def is_close(scores: Sequence[float], share: float) -> bool:
    """A close call: the runner-up within 10 % of the best score, or under 60 % of redraws won.

    `scores` are best first.
    """
    if len(scores) < 2:
        return False
    margin = (scores[0] - scores[1]) / scores[0] if scores[0] > 0 else 0.0
    limits = SCALES["close_call"]
    return bool(margin < limits["margin"] or share < limits["share"])


def headroom(work: Workload, p95_ms: float | None, finish_h: float | None) -> float:
    """How much of the target is left unused: 1 is all of it, 0 none."""
    service = work.need.service
    if work.need.traffic.mode is Mode.realtime and p95_ms is not None and service.p95_ms:
        return 1 - p95_ms / service.p95_ms
    if finish_h is not None:
        return 1 - finish_h / service.deadline_h
    return 0.0


def _score(measures: Measures, work: Workload, scale: _Scale) -> float:
    parts = [share * u for share, u in zip(scale.shares, _row(measures, work, scale), strict=True)]
    return float(sum((*parts, scored(measures.points))))


def _row(measures: Measures, work: Workload, scale: _Scale) -> list[float]:
    """Utilities in the order of the criteria."""
    slack, short = measures.headroom, max(0.0, scale.control_asked - measures.control)
    usd = max(measures.total_usd.expected, scale.floor_usd) / scale.floor_usd
    hours = max(measures.people_hours.expected, scale.best_hours) / scale.best_hours
    row = (
        1 - math.log2(usd) / SCALES["cost"]["doublings"],
        0.0 if slack < 0 else scale.kept + (1 - scale.kept) * slack / scale.reserve,
        1 - short * SCALES["control"]["shortfall_factor"],
        1 - math.log(hours) / scale.hours_range,
        1 - SCALES["launch"]["share"] * (measures.launch_weeks / work.need.team.weeks_to_launch),
        measures.portability,
        1 - scale.moves * (1 - measures.elasticity),
        measures.resilience,
    )
    return [float(min(max(u, 0.0), 1.0)) for u in row]


class _Scale(NamedTuple):
    """What utilities are reckoned with for a workload, whatever the option."""

    floor_usd: float
    best_hours: float
    hours_range: float  # logarithm of the worst hours over the best
    kept: float  # utility of a response at the target
    reserve: float
    control_asked: float
    moves: float  # how far traffic moves; a steady stream has no use for elasticity
    shares: tuple[float, ...]  # of each criterion in the score, in their order


def _scale(work: Workload) -> _Scale:
    found: _Scale | None = work.kept.get("scale")
    if found is None:
        low, high = SCALES["operations"]["best_hours"], SCALES["operations"]["worst_hours"]
        full = math.log(SCALES["elasticity"]["full_at_peak_to_mean"])
        found = work.kept["scale"] = _Scale(
            floor_usd=cost_floor_usd(work),
            best_hours=low,
            hours_range=math.log(high / low),
            kept=SCALES["latency"]["kept"],
            reserve=SCALES["latency"]["reserve"],
            control_asked=SCALES["control"]["asked"][work.need.control.level.value],
            moves=min(1.0, math.log(max(work.peak_to_mean, 1.0)) / full),
            shares=_shares(work.need.priorities),
        )
    return found


def _given(priorities: Priorities) -> tuple[float, ...]:
    return tuple(getattr(priorities, name) for name in CRITERIA)


def _shares(priorities: Priorities) -> tuple[float, ...]:
    weights = _given(priorities)
    whole = sum(weights)
    return tuple(weight / whole for weight in weights)


@lru_cache(maxsize=16)
def _weights(given: tuple[float, ...], draws: int, seed: int) -> NDArray[np.float64]:
    """Redrawn weights, shape (draws, criteria): the same for every option, volume and price."""
    spread = SCALES["draws"]["weight_spread"]
    common = np.random.default_rng(seed)
    drawn = np.array(given) * common.uniform(1 - spread, 1 + spread, (draws, len(given)))
    drawn /= drawn.sum(axis=1, keepdims=True)
    drawn.flags.writeable = False
    return drawn


def _utilities(
    work: Workload,
    total_usd: NDArray[np.float64],
    hours: NDArray[np.float64],
    slack: NDArray[np.float64],
    measures: Measures,
) -> NDArray[np.float64]:
    """Utilities of all criteria, shape (draws, criteria)."""
    scale = _scale(work)
    floor, low, kept = scale.floor_usd, scale.best_hours, scale.kept
    cost = 1 - np.log2(np.maximum(total_usd, floor) / floor) / SCALES["cost"]["doublings"]
    operations = 1 - np.log(np.maximum(hours, low) / low) / scale.hours_range
    latency = np.where(slack < 0, 0.0, kept + (1 - kept) * slack / scale.reserve)
    short = np.maximum(0.0, scale.control_asked - measures.control)
    control = 1 - short * SCALES["control"]["shortfall_factor"]
    weeks = measures.launch_weeks / work.need.team.weeks_to_launch
    launch = 1 - SCALES["launch"]["share"] * weeks
    elasticity = 1 - scale.moves * (1 - measures.elasticity)
    columns = [
        cost, latency, control, operations, launch, measures.portability, elasticity,
        measures.resilience,
    ]  # fmt: skip
    table = np.empty((len(total_usd), len(columns)))
    for i, column in enumerate(columns):
        table[:, i] = column
    return np.clip(table, 0.0, 1.0, out=table)


def _draw(stream: np.random.Generator, spread: Range, draws: int) -> NDArray[np.float64]:
    """Triangular draws between low and high with the expected value as the mode."""
    low, high = min(spread.low, spread.expected), max(spread.high, spread.expected)
    if high - low < 1e-12:
        return np.full(draws, spread.expected)
    return stream.triangular(low, spread.expected, high, draws)
