"""Many volumes at once give, to the last digit, what `recommend` gives at each of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.at_volumes import AtVolumes
from advisor.catalog.loader import load_options
from advisor.errors import RequirementsError
from advisor.presets import presets
from advisor.prices import load_book
from advisor.recommend import recommend
from advisor.requirements import Requirements
from advisor.rule_values import each_volume, of_need
from advisor.rules import PolicyText, load_rules
from advisor.sizing.provisioned import instances_kept_ready, weeks_kept_ready
from advisor.sizing.serverless import cold_share_and_starts, cold_weeks
from advisor.standing import Standing
from advisor.volumes import Volumes
from advisor.whatif import at_volume, with_answer
from advisor.workload import resolve

CHANGES = {
    "model.service_time_ms": st.sampled_from([0.7, 35.0, 600.0]),
    "model.service_time_cv": st.sampled_from([0.0, 1.0, 2.5]),
    "model.memory_mb": st.sampled_from([150.0, 5_000.0, 20_000.0]),
    "traffic.pattern": st.sampled_from(["steady", "business-hours", "spiky", "nightly", "rare"]),
    "traffic.mode": st.sampled_from(["realtime", "async", "batch"]),
    "service.p95_ms": st.sampled_from([30.0, 300.0, 3_000.0]),
    "service.cold_starts_ok": st.booleans(),
    "service.availability_percent": st.sampled_from([99.0, 99.95]),
    "control.private_network": st.booleans(),
    "control.models_per_endpoint": st.sampled_from([1, 12]),
    "placement.clouds": st.sampled_from([["aws", "gcp", "azure"], ["own-hardware", "kubernetes"]]),
    "placement.regions": st.sampled_from([["eu-west-1", "us-west-2"], ["sa-east-1"]]),
    "placement.commitment": st.sampled_from(["none", "1y"]),
    "placement.spot": st.booleans(),
    "placement.arm": st.booleans(),
    "budget.monthly_usd": st.sampled_from([None, 300.0]),
}
POLICY = PolicyText(
    "volume.yaml",
    """
name: of the volume
rules:
  - id: big
    kind: forbid
    options: [ec2]
    when: need.clouds.exists(row, row == 'aws' && need.requests_per_month > 30000000.0)
    because: "too many: {need.requests_per_month}"
  - id: dear
    kind: forbid
    phase: plan
    options: [eks, ecs-ec2]
    when: plan.monthly_usd > 900.0 && plan.replicas_max >= 3.0 && plan.machine != 'each.plan.vcpu'
    because: "${plan.monthly_usd} on {plan.machine}"
""",
)


def check(need: Requirements, volumes: list[float], policies: tuple[PolicyText, ...] = ()) -> None:
    rules, book = load_rules(policies), load_book()
    many = at_many(need, policies)
    many.look(volumes)
    pruned = at_many(need, policies)
    pruned.find_winners(volumes)
    for volume in volumes:
        one = Standing(at_volume(need, volume), rules, book)
        for option_id in load_options():
            spot, plan = many.of(option_id, volume), one.of(option_id).plan
            assert spot.fits == (plan is not None), (option_id, volume)
            if plan is not None:
                bill, people = plan.monthly_usd.expected, plan.people.monthly_usd.expected
                assert spot.bill_usd == bill, (option_id, volume)
                assert spot.total_usd == bill + people
                assert spot.ranked_usd == pytest.approx(plan.total_usd.expected, rel=1e-12)
                assert (spot.at_least, spot.region) == (plan.at_least, plan.region)
                assert (spot.machine, spot.replicas_max) == (
                    plan.sized.machine, plan.sized.replicas_max,
                )  # fmt: skip
        assert many.winner(volume) == pruned.winner(volume) == one.winner, volume


def at_many(need: Requirements, policies: tuple[PolicyText, ...] = ()) -> AtVolumes:
    rules, book = load_rules(policies), load_book()
    return AtVolumes(lambda volume: at_volume(need, volume), need, rules, book)


@pytest.mark.parametrize("name", sorted(presets()))
def test_presets_from_few_to_many_requests(name: str) -> None:
    check(presets()[name].requirements, [float(v) for v in np.geomspace(200, 7e8, 6)])


def test_they_are_what_recommend_says_in_full() -> None:
    need = at_volume(presets()["fraud-detection"].requirements, 3.3e6)
    many = at_many(need)
    answer = recommend(need, doubt=False)
    many.look([3.3e6, 4e6])
    assert many.winner(3.3e6) == answer.winner
    for ranked in answer.ranking:
        assert many.of(ranked.option, 3.3e6).bill_usd == ranked.monthly_usd.expected
    for excluded in answer.excluded:
        assert excluded.because in str(many.why_not(excluded.option, 3.3e6))


def test_team_policies_on_the_volume_and_on_the_plan() -> None:
    need = presets()["custom-app"].requirements
    check(need, [float(v) for v in np.geomspace(1e5, 6e8, 9)], (POLICY,))


def test_who_wins_is_told_without_the_options_that_could_not() -> None:
    reckoned: list[int] = []
    need = presets()["chatbot"].requirements
    seen = AtVolumes(
        lambda volume: at_volume(need, volume), need, load_rules(), load_book(),
        lambda: reckoned.append(1),
    )  # fmt: skip
    seen.find_winners(float(v) for v in np.geomspace(1e6, 1e8, 12))
    assert 1 <= len(reckoned) <= 4 < len(seen.contending)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_requirements(data: st.DataObject) -> None:
    need = presets()[data.draw(st.sampled_from(sorted(presets())))].requirements
    for path in data.draw(st.lists(st.sampled_from(sorted(CHANGES)), max_size=4, unique=True)):
        try:
            need = with_answer(need, path, data.draw(CHANGES[path]))
        except RequirementsError:
            continue
    exponents = st.lists(st.floats(2, 9.5), min_size=2, max_size=4, unique=True)
    check(need, [10**x for x in data.draw(exponents)])


def test_rules_see_the_same_figures_of_each_volume() -> None:
    need = with_answer(presets()["chatbot"].requirements, "traffic.peak_requests_per_second", 0.9)
    works = tuple(resolve(at_volume(need, volume)) for volume in (123.0, 4.5e6, 7.7e8))
    each = each_volume(Volumes(works))
    for i, work in enumerate(works):
        single = of_need(work).plain
        assert {name: values[i] for name, values in each.items()} == {n: single[n] for n in each}


def test_weeks_of_functions_are_those_of_one() -> None:
    works = [resolve(at_volume(presets()["chatbot"].requirements, v)) for v in (2e3, 9e5, 6e8)]
    rates = np.array([work.rates for work in works])
    _values, first, where = np.unique(rates[-1], return_index=True, return_inverse=True)
    cold, starts = cold_weeks(rates[:, first], where, 0.085, 600.0, 0.4)
    ready = weeks_kept_ready(rates, np.array([0.02, 0.9]), 0.001)
    for i, work in enumerate(works):
        assert (cold[i], starts[i]) == cold_share_and_starts(work.rates, 0.085, 600.0, 0.4)
        for k, service_s in enumerate((0.02, 0.9)):
            one = instances_kept_ready(work.rates, service_s, 0.001)
            assert (ready[k, i] == one).all()
