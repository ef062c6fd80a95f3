"""How long a verdict takes: one region and all options, then every region of three clouds.

    python -m benchmarks.verdict

Each figure is also given as a ratio to a fixed piece of arithmetic timed in the same run, so that
runs on different machines, or on a busy one, can be compared.
"""

from __future__ import annotations

from advisor.catalog.loader import load_options
from advisor.consider import regions_by_cloud
from advisor.errors import UnknownPriceError
from advisor.presets import presets
from advisor.prices import load_book
from advisor.ranking import stability
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from advisor.rules import load_rules
from advisor.sizing.candidates import candidates
from advisor.standing import Standing
from advisor.workload import resolve
from benchmarks.timing import Fresh, report, yardstick_s

PRESET = "fraud-detection"
DRAWS = 5_000
ONE_MS, ALL_MS = 30, 100  # aims


def main() -> None:
    need = presets()[PRESET].requirements
    whole = everywhere(need)
    one, every = Fresh(need), Fresh(whole)
    standing = Standing(need, load_rules(), load_book())
    measured = [c.plan.measures for c in standing.considered if c.plan is not None]
    regions = sum(map(len, regions_by_cloud(whole, load_book())[0].values())) - 2
    print(
        f"Preset {PRESET}; {len(load_options())} options, {len(measured)} fit in one region; "
        f"{regions} regions of three clouds: {priced(whole):,} machines priced"
    )
    unit = yardstick_s()
    for name, run, aim_ms in (
        ("verdict, one region, nothing changed", lambda: recommend(need, doubt=False), ONE_MS),
        ("verdict, one region, another volume", lambda: recommend(one(), doubt=False), ONE_MS),
        ("who wins, another volume", lambda: winner(one()), None),
        ("verdict, every region of three clouds", lambda: recommend(whole, doubt=False), ALL_MS),
        ("the same, another volume", lambda: recommend(every(), doubt=False), ALL_MS),
        (f"{DRAWS:,} redraws of {len(measured)} options",
         lambda: stability(measured, standing.work, draws=DRAWS), None),
    ):  # fmt: skip
        report(name, run, unit, aim_ms=aim_ms)


def winner(need: Requirements) -> str | None:
    return Standing(need, load_rules(), load_book()).winner


def everywhere(need: Requirements) -> Requirements:
    """The same requirements in every region that the price book has."""
    book, data = load_book(), need.model_dump(mode="json")
    clouds = ["aws", "gcp", "azure"]
    data["placement"] |= {
        "clouds": clouds,
        "regions": [region for cloud in clouds for region in book.regions(cloud)],
    }
    return parse(data)


def priced(need: Requirements) -> int:
    """How many machines hold the model, over all options and regions (functions not counted)."""
    book, work, total = load_book(), resolve(need), 0
    regions, _ = regions_by_cloud(need, book)
    for option in load_options().values():
        if option.scaling == "per-request":
            continue
        for region in regions.get(option.cloud.value, ()):
            try:
                total += len(candidates(option, work, region, book))
            except UnknownPriceError:
                continue
    return total


if __name__ == "__main__":
    main()
