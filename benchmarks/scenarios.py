"""Does the advisor answer as the experts did, and does the answer hold? docs/method.md quotes it.

python -m benchmarks.scenarios           the table, about a minute
python -m benchmarks.scenarios --quick   without the other readings of what a text leaves open

A case is a choice and who would make it. Those of tests/data/expert_cases.yaml (the yardstick) are
published; further_cases.yaml (to try the advisor on what it was not built around), held_out_cases.yaml
and fresh_cases.yaml (both written when the scales and rules were final), blind_cases.yaml and
signed_cases.yaml (answered before the advisor was asked) were made from published guidance and limits,
and a few are judgement.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from advisor.errors import AdvisorError
from advisor.ranking import CRITERIA, RULES, Measures, utilities
from advisor.recommend import recommend
from advisor.recommendation import Range, Ranked, Recommendation
from advisor.requirements import Requirements, parse
from advisor.whatif import with_answer
from advisor.workload import Workload, resolve

DATA = Path(__file__).parents[1] / "tests" / "data"
FILES = ("expert_cases.yaml", "further_cases.yaml", "held_out_cases.yaml", "fresh_cases.yaml",
         "blind_cases.yaml", "signed_cases.yaml")  # fmt: skip
SPREAD = 0.5
HOURS = np.linspace(1 - SPREAD, 1 + SPREAD, 11)
DRAWS = 2000
READINGS = tuple(itertools.product((0.5, 1.0, 2.0), (0.5, 1.0, 2.0)))  # traffic, service time


@dataclass(frozen=True)
class Case:
    """A published choice: `expects` are the options that a reader of `says` would name."""

    id: str
    says: str
    source: str
    expects: tuple[str, ...]
    need: Requirements
    differs: str  # why another answer is defended; empty: none is


@dataclass(frozen=True)
class Held:
    """Share of redraws in which an expected option still comes first."""

    corners: float  # every weight at one end or the other, all hours at 0.5, 1 or 1.5
    draws: float  # weights and each option's hours anywhere within


def cases(name: str) -> tuple[Case, ...]:
    """The cases of a file in tests/data."""
    rows: list[dict[str, Any]] = yaml.safe_load((DATA / name).read_text(encoding="utf-8"))["cases"]
    return tuple(
        Case(
            id=row["id"], says=row["says"], source=row["source"], expects=tuple(row["expects"]),
            need=parse(row["requirements"]), differs=row.get("differs", ""),
        )
        for row in rows
    )  # fmt: skip


def held(case: Case, answer: Recommendation) -> Held:
    """How often an expected option wins when weights and people's hours move by +-50 %."""
    work = resolve(case.need)
    tables = np.array([_by_hours(r, work) for r in answer.ranking])  # (options, hours, criteria)
    extra = np.array([r.contributions[RULES] for r in answer.ranking])
    wanted = np.array([r.option in case.expects for r in answer.ranking])
    weights = np.array([case.need.priorities.model_dump()[name] for name in CRITERIA])
    ends = weights * np.array(list(itertools.product((1 - SPREAD, 1 + SPREAD), repeat=8)))
    middle = len(HOURS) // 2
    corner = [
        _share(tables[:, [at] * len(ends)], ends, extra, wanted)
        for at in (0, middle, len(HOURS) - 1)
    ]
    rng = np.random.default_rng(20261122)
    drawn = weights * rng.uniform(1 - SPREAD, 1 + SPREAD, (DRAWS, len(CRITERIA)))
    at = rng.integers(len(HOURS), size=(len(tables), DRAWS))
    picked = np.take_along_axis(tables, at[:, :, None], axis=1)
    return Held(float(np.mean(corner)), _share(picked, drawn, extra, wanted))


def other_readings(case: Case) -> float:
    """Share of readings with half to twice the traffic and the service time that agree."""
    agreed = []
    for volume, slow in READINGS:
        need = case.need
        try:
            need = with_answer(
                need, "traffic.requests_per_month", need.traffic.requests_per_month * volume
            )
            assert need.model.service_time_ms is not None, case.id
            need = with_answer(need, "model.service_time_ms", need.model.service_time_ms * slow)
        except AdvisorError:
            continue  # a reading that contradicts itself is none
        agreed.append(recommend(need, doubt=False).winner in case.expects)
    return float(np.mean(agreed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the other readings")
    quick = parser.parse_args().quick
    start = time.perf_counter()
    for name in FILES:
        _table(name, quick)
    print(f"\n{time.perf_counter() - start:.0f} s")


def _table(name: str, quick: bool) -> None:
    print(f"\n{name}\n\n| case | expert | advisor | margin | corners | draws | readings |")
    print("|---|---|---|---|---|---|---|")
    agree, always, mostly, sums = 0, 0, 0, np.zeros(3)
    every = cases(name)
    for case in every:
        answer = recommend(case.need, doubt=False)
        kept = held(case, answer)
        readings = float("nan") if quick else other_readings(case)
        same = answer.winner in case.expects
        agree += same
        always += kept.corners == 1
        mostly += kept.draws >= 0.9
        sums += (kept.corners, kept.draws, readings)
        print(
            f"| {case.id} | {', '.join(case.expects)} | {'' if same else 'differs: '}"
            f"{answer.winner} | {_margin(case, answer):+.3f} | {kept.corners:.0%} | "
            f"{kept.draws:.0%} | {readings:.0%} |",
            flush=True,
        )
    mean = sums / len(every)
    print(
        f"\n{agree} of {len(every)} agree. With weights and hours within +-50 %: {always} in every "
        f"corner, {mostly} in at least 90 % of the draws; on average {mean[0]:.0%} of the corners, "
        f"{mean[1]:.0%} of the draws"
        + ("." if quick else f", {mean[2]:.0%} of the other readings.")
    )


def _margin(case: Case, answer: Recommendation) -> float:
    """Score of the best expected option less that of the best other one."""
    wanted = [r.score for r in answer.ranking if r.option in case.expects]
    others = [r.score for r in answer.ranking if r.option not in case.expects]
    return (max(wanted) if wanted else 0.0) - (max(others) if others else 0.0)


def _by_hours(ranked: Ranked, work: Workload) -> NDArray[np.float64]:
    """Utilities of an option for each factor on its people's hours, (hours, criteria)."""
    rows = []
    for factor in HOURS:
        usd = ranked.monthly_usd.expected + ranked.people_monthly_usd * factor
        hours = ranked.people.monthly_hours.expected * factor
        moved = utilities(_measures(ranked.option, usd, hours), work)
        found = dict(ranked.utilities) | {k: moved[k] for k in ("cost", "operations")}
        rows.append([found[name] for name in CRITERIA])
    return np.array(rows)


def _measures(option: str, usd: float, hours: float) -> Measures:
    return Measures(
        option=option,
        total_usd=Range(low=usd, expected=usd, high=usd),
        people_hours=Range(low=hours, expected=hours, high=hours),
        headroom=0, control=0, launch_weeks=1, portability=0, elasticity=0, resilience=0, points=0,
    )  # fmt: skip


def _share(
    tables: NDArray[np.float64],
    weights: NDArray[np.float64],
    extra: NDArray[np.float64],
    wanted: NDArray[np.bool_],
) -> float:
    """Share of the draws whose best option is a wanted one; tables (options, draws, criteria)."""
    if not len(tables):
        return 0.0
    whole = weights / weights.sum(axis=1, keepdims=True)
    scores = np.einsum("odc,dc->od", tables, whole) + extra[:, None]
    return float(wanted[scores.argmax(axis=0)].mean())


if __name__ == "__main__":
    main()
