"""How long the what-ifs take, each asked about requirements that were not asked about before.

python -m benchmarks.whatif
"""

from __future__ import annotations

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


def main() -> None:
    unit = yardstick_s()
    for name in PRESETS:
        fresh = Fresh(_growing(presets()[name].requirements))
        answer = recommend(fresh(), doubt=False)
        standing = Standing(fresh(), load_rules(), load_book())
        measured = [c.plan.measures for c in standing.considered if c.plan is not None]
        print(f"Preset {name}, {len(answer.ranking)} options fit")
        parts = [
            report("flips", lambda fresh=fresh: flips(fresh()), unit, 3),
            report("volume sweep with break-even, 29 volumes",
                   lambda fresh=fresh: whatif.volume_sweep(fresh()), unit, 3),
            report("growth, 36 months", lambda fresh=fresh: whatif.growth(fresh()), unit, 3),
            report("5,000 redraws",
                   lambda standing=standing, measured=measured: stability(measured, standing.work),
                   unit),
        ]  # fmt: skip
        line("all of these together", sum(parts), unit, AIM_MS)
        report("load curve of the winner", lambda fresh=fresh: load(fresh()), unit)


def flips(need: Requirements) -> object:
    return whatif.flips(need, recommend(need, doubt=False))


def load(need: Requirements) -> object:
    return whatif.load_curve(need, recommend(need, doubt=False).ranking[0])


def _growing(need: Requirements) -> Requirements:
    data = need.model_dump(mode="json")
    data["traffic"]["growth_percent_per_month"] = 8
    return parse(data)


if __name__ == "__main__":
    main()
