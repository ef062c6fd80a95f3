"""A new version, and the way back to the one before, under an error or a kill at every call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fault_runs import interrupted
from fault_wire import KILL, denied
from faults_support import ANSWER, TARGETS, Case, left

from advisor.errors import StalePlanError
from deploy.bundle.pack import image_tag
from deploy.target import Plan

JOBS = ("aws-batch", "sagemaker-batch", "sagemaker-async")  # an answer takes a job
pytestmark = [pytest.mark.emulator, pytest.mark.hours, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("option", TARGETS)
def test_updating_and_going_back_are_told_taken_back_and_resumed(
    case: Case, doubled_model: Path
) -> None:
    """After each interruption one of the two versions serves; begun again, it is the wanted one."""
    first = case.plan()
    case.apply(first)
    second = case.planned(doubled_model)
    case.apply(second)
    standing, earlier = [second, first], [first, second]
    for fault, answer in (("killed", lambda _: KILL), ("access denied", lambda s: denied(s[0]))):
        for verb, wanted in (("roll back", first), ("update", second)):
            back = verb == "roll back"
            plans: list[Plan] = []

            def plan(back: bool = back) -> Plan:
                if back:
                    return case.target.plan_rollback(standing[0], earlier)
                return case.planned(doubled_model)

            work = again(case, plan, plans)
            interrupted(
                case, fault, verb, work, answer, afterwards=lambda said: serves(case, first, said)
            )
            assert case.answer(plans[-1]) == (ANSWER if wanted is first else 2 * ANSWER)
            standing[0] = plans[-1]
    tags = {image_tag(plan.bundle_hash) for plan in (first, second)}
    assert [set(kept) for kept in case.emulator.state()["repositories"].values()] == [tags]
    case.destroy(standing[0])
    assert left(case.emulator) == []


def again(case: Case, plan: Callable[[], Plan], plans: list[Plan]) -> Callable[[], None]:
    """Apply the plan that there is; one that is not there, or stale, is made."""

    def work() -> None:
        if not plans:
            plans.append(plan())
        try:
            case.apply(plans[-1])
        except StalePlanError:
            plans.append(plan())
            case.apply(plans[-1])

    return work


def serves(case: Case, plan: Plan, said: str) -> None:
    """Whatever happened, there is one stack, and it is no wreck; after an error one version answers."""
    state = case.emulator.state()
    status = state["stacks"][f"mda-{case.name}"]
    assert status.startswith(("CREATE_COMPLETE", "UPDATE_")), status
    assert "FAILED" not in status
    if said and case.option not in JOBS:
        assert case.answer(plan) in (ANSWER, 2 * ANSWER), said
