"""What is remembered is what would be computed: by the answers read, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.catalog.loader import load_options
from advisor.consider import Considered, Look, consider, promise, regions_by_cloud
from advisor.errors import RequirementsError, UnknownPriceError
from advisor.memo import Memo, forgetting
from advisor.prices import load_book
from advisor.ranking import contributions, scored, utilities
from advisor.ranking import score as quick_score
from advisor.requirements import Requirements, parse
from advisor.rules import RuleSet, load_rules
from advisor.standing import Standing
from advisor.whatif import with_answer
from advisor.workload import Workload, resolve

BASE = parse(
    {
        "model": {"format": "joblib", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
        "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
    }
)
CHANGES = {
    "traffic.requests_per_month": st.floats(1e2, 1e10),
    "traffic.pattern": st.sampled_from(["steady", "business-hours", "spiky", "nightly", "rare"]),
    "traffic.mode": st.sampled_from(["realtime", "async", "batch"]),
    "traffic.request_mb": st.sampled_from([0.001, 0.5, 7.0, 40.0]),
    "model.service_time_ms": st.floats(0.5, 900),
    "model.memory_mb": st.floats(100, 30_000),
    "model.format": st.sampled_from(["joblib", "onnx"]),
    "model.gpu": st.booleans(),
    "service.p95_ms": st.floats(15, 5_000),
    "service.percentile": st.sampled_from([90, 95, 99]),
    "service.cold_starts_ok": st.booleans(),
    "service.availability_percent": st.sampled_from([99.0, 99.5, 99.95]),
    "team.devops_skill": st.sampled_from(["none", "basic", "intermediate", "expert"]),
    "team.hourly_usd": st.sampled_from([30, 90, 150]),
    "control.level": st.sampled_from(["low", "some", "high", "full"]),
    "control.private_network": st.booleans(),
    "placement.clouds": st.sampled_from([["aws"], ["aws", "gcp", "azure"], ["own-hardware"]]),
    "placement.regions": st.sampled_from([["us-east-1"], ["eu-west-1", "us-west-2"], []]),
    "placement.arm": st.booleans(),
    "placement.commitment": st.sampled_from(["none", "1y"]),
    "placement.spot": st.booleans(),
    "budget.monthly_usd": st.sampled_from([None, 80.0, 900.0]),
    "priorities.cost": st.sampled_from([0, 3, 5]),
}


@st.composite
def walks(draw: st.DrawFn) -> list[Requirements]:
    """A few requirements that differ in one answer each, as somebody at the page gives them."""
    need, out = BASE, []
    for path in draw(st.lists(st.sampled_from(sorted(CHANGES)), min_size=3, max_size=6)):
        try:
            need = with_answer(need, path, draw(CHANGES[path]))
        except RequirementsError:
            continue
        out.append(need)
    return out


def plain(need: Requirements) -> dict[str, Considered]:
    """Every option looked at with nothing remembered."""
    book, rules = load_book(), RuleSet([load_rules().checked])
    regions, _ = regions_by_cloud(need, book)
    with forgetting():
        return {
            option.id: consider(option, resolve(need), regions, rules, book, ranges=False)
            for option in load_options().values()
        }


def score(found: Considered, work: Workload) -> float:
    assert found.plan is not None
    utility = utilities(found.plan.measures, work)
    return sum(contributions(found.plan.measures, utility, work.need.priorities).values())


def check_walk(walk: list[Requirements]) -> None:
    rules, book = load_rules(), load_book()
    for need in walk:
        reference = plain(need)
        quick = Standing(need, rules, book)
        work = quick.work
        regions, _ = regions_by_cloud(need, book)
        ranked = [(-score(c, work), c.option.id) for c in reference.values() if c.plan]
        assert quick.winner == (min(ranked)[1] if ranked else None)
        for option_id, expected in reference.items():
            found = quick.of(option_id)
            assert (found.fired, found.unpriced) == (expected.fired, expected.unpriced), option_id
            assert found.plan == expected.plan, option_id
            if found.plan is not None:
                first = rules.open_to(found.option, work)
                assert first is not None, option_id
                later = rules.most_points(found.option)
                given = sum(f.points for f in first.preferred)
                most = rules.most_points_before(found.option, work)
                assert most is not None
                assert most >= given - 1e-9, option_id
                best = quick_score(promise(found.option, work), work) + scored(given + later)
                assert best >= score(found, work) - 1e-9, option_id
                assert quick_score(found.plan.measures, work) == score(found, work), option_id
                look = Look(found.option, work, regions, rules, book, first, ranges=False)
                total = found.plan.total_usd.expected
                assert look.least_usd <= total * (1 + 1e-9), option_id


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(walks())
def test_remembering_changes_no_answer(walk: list[Requirements]) -> None:
    check_walk(walk)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(walks())
def test_remembering_changes_no_answer_over_many_walks(walk: list[Requirements]) -> None:
    check_walk(walk)


def test_a_change_of_what_was_not_read_finds_the_result_again() -> None:
    memo: Memo[float] = Memo()
    asked: list[float] = []

    def doubled(work: Workload) -> float:
        asked.append(work.need.model.memory_mb)
        return work.need.model.memory_mb * 2

    assert memo.get("x", resolve(BASE), doubled) == 1200
    other = with_answer(BASE, "traffic.requests_per_month", 77)
    assert memo.get("x", resolve(other), doubled) == 1200
    assert asked == [600]
    assert memo.get("x", resolve(with_answer(other, "model.memory_mb", 700)), doubled) == 1400
    assert memo.get("y", resolve(BASE), doubled) == 1200
    assert asked == [600, 700, 600]


def test_what_an_inner_function_read_the_outer_one_depends_on() -> None:
    inner: Memo[float] = Memo()
    outer: Memo[float] = Memo()

    def peak(work: Workload) -> float:
        return inner.get("peak", work, lambda seen: seen.peak_per_s) + work.need.service.percentile

    first = outer.get("x", resolve(BASE), peak)
    busier = with_answer(BASE, "traffic.requests_per_month", 4_000_000)
    assert outer.get("x", resolve(busier), peak) > first
    assert outer.get("x", resolve(BASE), peak) == first


def test_a_price_that_is_not_known_stays_so() -> None:
    memo: Memo[float] = Memo()
    asked = []

    def unknown(work: Workload) -> float:
        asked.append(work.need.placement.regions)
        raise UnknownPriceError("no price of it")

    for _ in range(2):
        with pytest.raises(UnknownPriceError, match="no price of it"):
            memo.get("x", resolve(BASE), unknown)
    assert len(asked) == 1


def test_a_full_memo_starts_again() -> None:
    memo: Memo[float] = Memo(most=3)
    for n in range(1, 9):
        need = with_answer(BASE, "model.memory_mb", n)
        assert memo.get("x", resolve(need), lambda work: work.need.model.memory_mb) == n
    assert memo.size <= 3


REGIONS = st.lists(
    st.sampled_from(
        ["us-east-1", "eu-west-1", "eu-north-1", "ap-south-1", "sa-east-1", "us-central1",
         "europe-west4", "asia-south1", "eastus", "westeurope", "northeurope"]
    ),
    min_size=2, max_size=6, unique=True,
)  # fmt: skip


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(walks(), REGIONS)
def test_the_cheapest_of_many_regions_is_that_of_looking_at_each(
    walk: list[Requirements], regions: list[str]
) -> None:
    rules, book = load_rules(), load_book()
    for given_ in walk[-1:]:
        need = with_answer(given_, "placement.clouds", ["aws", "gcp", "azure"])
        need = with_answer(need, "placement.regions", regions)
        among, _ = regions_by_cloud(need, book)
        for option in load_options().values():
            together = consider(option, resolve(need), among, rules, book, ranges=False)
            alone = [
                consider(option, resolve(need), among | {option.cloud.value: (region,)}, rules,
                         book, ranges=False).plan
                for region in among.get(option.cloud.value, ())
            ]  # fmt: skip
            fits = [(plan.total_usd.expected, plan.region) for plan in alone if plan]
            found = together.plan
            assert (found and (found.total_usd.expected, found.region)) == (
                min(fits) if fits else None
            )
