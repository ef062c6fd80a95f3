"""How long the what-ifs take, each asked about requirements that were not asked about before.

python -m benchmarks.whatif
"""

from __future__ import annotations

from advisor import whatif
from advisor.presets import presets
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from benchmarks.timing import Fresh, report, yardstick_s

PRESETS = ("fraud-detection", "chatbot")


def main() -> None:
    unit = yardstick_s()
    for name in PRESETS:
        fresh = Fresh(_growing(presets()[name].requirements))
        answer = recommend(fresh(), doubt=False)
        print(f"Preset {name}, {len(answer.ranking)} options fit")
        report("flips", lambda fresh=fresh: flips(fresh()), unit, 1)
        report("volume sweep with break-even, 29 volumes",
               lambda fresh=fresh: whatif.volume_sweep(fresh()), unit, 1)  # fmt: skip
        report("growth, 36 months", lambda fresh=fresh: whatif.growth(fresh()), unit, 1)
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
