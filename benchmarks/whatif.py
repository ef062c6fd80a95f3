"""How long the what-ifs take, each asked about requirements that were not asked about before.

python -m benchmarks.whatif

Each alone in processor time; then all of them at once on worker processes, in time by the clock, which
means something on a machine with two idle cores alone: on two, and on one, as the page has them where
its own process needs the other core.
"""

from __future__ import annotations

import statistics
import time

from loky import ProcessPoolExecutor

from advisor import whatif
from advisor.presets import presets
from advisor.prices import load_book
from advisor.ranking import stability
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from advisor.rules import load_rules
from advisor.standing import Standing
from benchmarks.timing import Fresh, line, report, yardstick_s

PRESETS = ("fraud-detection", "chatbot")
AIM_MS = 250
WORKERS = 2
ROUNDS = 9


def main() -> None:
    unit = yardstick_s()
    with ProcessPoolExecutor(WORKERS) as pool, ProcessPoolExecutor(1) as single:
        for name in PRESETS:
            fresh = Fresh(_growing(presets()[name].requirements))
            answer = recommend(fresh(), doubt=False)
            print(f"Preset {name}, {len(answer.ranking)} options fit")
            parts = [report(job.__doc__ or "", lambda job=job, fresh=fresh: job(fresh()), unit, 3)
                     for job in JOBS]  # fmt: skip
            line("all of these together, processor time", sum(parts), unit)
            line("the same by the clock, on two workers", _clock_ms(pool, fresh), unit, AIM_MS)
            line("the same by the clock, on one worker", _clock_ms(single, fresh), unit)
            report("load curve of the winner", lambda fresh=fresh: load(fresh()), unit)


def flips(need: Requirements) -> None:
    """flips"""
    whatif.flips(need, recommend(need, doubt=False))


def sweep(need: Requirements) -> None:
    """volume sweep with break-even, 29 volumes"""
    whatif.volume_sweep(need)


def growth(need: Requirements) -> None:
    """growth, 36 months"""
    whatif.growth(need)


def draws(need: Requirements) -> None:
    """5,000 redraws, with the plans they are of"""
    standing = Standing(need, load_rules(), load_book())
    stability([c.plan.measures for c in standing.considered if c.plan is not None], standing.work)


JOBS = (flips, sweep, growth, draws)  # the longest first, so that both workers end together


def load(need: Requirements) -> object:
    return whatif.load_curve(need, recommend(need, doubt=False).ranking[0])


def _clock_ms(pool: ProcessPoolExecutor, fresh: Fresh) -> float:
    """Median over rounds, after one on which both workers have loaded everything."""
    taken = []
    for _ in range(ROUNDS + 1):
        need = fresh()
        started = time.perf_counter()
        for running in [pool.submit(job, need) for job in JOBS]:
            running.result()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken[1:])


def _growing(need: Requirements) -> Requirements:
    data = need.model_dump(mode="json")
    data["traffic"]["growth_percent_per_month"] = 8
    return parse(data)


if __name__ == "__main__":
    main()
