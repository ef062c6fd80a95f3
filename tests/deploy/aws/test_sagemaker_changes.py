"""What can go wrong or change between a plan and its end, and what is left in the account then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked, need, sized, weighted
from emulator.client import Emulator

from advisor.errors import (
    AdvisorError,
    DeployError,
    PreflightError,
    RunCancelledError,
    StalePlanError,
)
from deploy.aws.bootstrap import STACK_NAME
from deploy.aws.session import AwsSettings
from deploy.target import Event, Plan
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

JSON = "application/json"
SLOWLY = partial(pytest.param, marks=pytest.mark.slow)  # the quick run takes one of each
ROW = b'{"instances": [[1, 1, 1, 1]]}'
EMPTY = (
    "stacks", "buckets", "repositories", "projects", "roles", "policies", "alarms", "made", "running",
)  # fmt: skip


@pytest.fixture
def target(emulator: Emulator) -> SageMakerTarget:
    return SageMakerTarget(AwsSettings(poll_seconds=QUICK))


def nothing_is_left(emulator: Emulator) -> bool:
    state = emulator.state()
    for what in EMPTY:
        assert not state[what], (what, state[what])
    return True


def only_the_bootstrap_is_left(emulator: Emulator) -> bool:
    state = emulator.state()
    assert (state["made"], state["running"], state["alarms"]) == ([], [], {})
    assert list(state["repositories"].values()) == [[]]
    assert list(state["buckets"].values()) == [[]]
    stacks = dict(state["stacks"])
    assert stacks.pop("model-deployment-advisor") == "CREATE_COMPLETE"
    assert set(stacks.values()) <= {"REVIEW_IN_PROGRESS"}
    return True


def answer(target: SageMakerTarget, plan: Plan) -> object:
    return target.predict(plan, ROW, JSON).body["predictions"]


def test_with_a_bootstrap_apply_executes_the_very_change_set_that_was_previewed(
    target: SageMakerTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model))
    before = emulator.state()
    assert before["stacks"]["mda-fraud"] == "REVIEW_IN_PROGRESS"
    assert before["made"] == []
    assert plan.parameters["change_set"].split(":")[5].startswith("changeSet/plan-")
    assert target.status(plan).state == "planned"
    target.apply(plan, Log())
    made = "cloudformation.CreateChangeSet"
    assert emulator.state()["calls"][made] == before["calls"][made]


def test_an_update_replaces_the_model_keeps_the_endpoint_and_one_old_image(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path, doubled_model: Path
) -> None:
    first = target.plan(asked(onnx_model))
    target.apply(first, Log())
    before = answer(target, first)
    second = target.plan(asked(doubled_model))
    actions = {(r.action, r.kind.rpartition("::")[2]) for r in second.resources}
    assert {("replace", "Model"), ("replace", "EndpointConfig"), ("update", "Endpoint")} <= actions
    target.apply(second, Log())
    after = answer(target, second)
    assert (before, after) == ([10.0], [20.0])
    state = emulator.state()
    assert len(state["repositories"]["model-deployment-advisor"]) == 2  # one to go back to
    assert len(state["running"]) == 1
    assert len([m for m in state["made"] if "::Model " in m]) == 1
    target.destroy(second, Log(), everything=True)
    assert nothing_is_left(emulator)


def test_a_failed_update_goes_on_serving_what_was_there(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path, doubled_model: Path
) -> None:
    first = target.plan(asked(onnx_model))
    target.apply(first, Log())
    emulator.fault("update AWS::SageMaker::Endpoint", "", "Insufficient capacity")
    with pytest.raises(DeployError, match=r"Insufficient capacity; it was rolled back and serves"):
        target.apply(target.plan(asked(doubled_model)), Log())
    assert answer(target, first) == [10.0]
    assert target.status(first).state == "running"
    assert emulator.state()["repositories"]["model-deployment-advisor"] == [
        emulator.state()["properties"][m]["PrimaryContainer"]["Image"].rpartition(":")[2]
        for m in emulator.state()["properties"]
        if "::Model " in m
    ]


def test_a_failed_scaling_policy_rolls_everything_back_and_leaves_nothing(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    busy = need(traffic={"requests_per_month": 400_000_000, "pattern": "business-hours"})
    emulator.fault("create AWS::ApplicationAutoScaling::ScalingPolicy", "", "Rate exceeded")
    log = Log()
    with pytest.raises(
        DeployError, match=r"failed at ScalingPolicy \(.*\): Rate exceeded"
    ) as caught:
        target.apply(target.plan(asked(onnx_model, requirements=busy)), log)
    assert "not taken back" not in str(caught.value)
    assert "Endpoint create complete" in log.messages  # it ran already, and still went
    assert nothing_is_left(emulator)


def test_a_container_that_does_not_start_is_taken_back(
    target: SageMakerTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    """The image is broken for real: its server cannot listen."""
    plan = target.plan(asked(onnx_model))
    emulator.fault("container", "", "65536")  # no such port
    with pytest.raises(DeployError, match="did not pass the ping health check"):
        target.apply(plan, Log())
    assert only_the_bootstrap_is_left(emulator)


def test_a_failed_build_tells_its_log_and_leaves_nothing(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    emulator.fault("build", "", "no space left on device")
    with pytest.raises(
        DeployError, match=r"failed in build: .*no space left on device; mend that and deploy again"
    ):
        target.apply(target.plan(asked(onnx_model)), Log())
    assert nothing_is_left(emulator)


def test_the_same_plan_can_be_applied_after_a_passing_failure(
    target: SageMakerTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model))
    emulator.fault("codebuild.StartBuild", "AccessDeniedException", "not authorized", status=400)
    with pytest.raises(PreflightError, match="denied permission to start the image build"):
        target.apply(plan, Log())
    assert only_the_bootstrap_is_left(emulator)
    assert target.apply(plan, Log()).state == "running"


@pytest.mark.parametrize("when", [SLOWLY("Login Succeeded"), "Endpoint create in progress"])
def test_cancelling_in_the_middle_leaves_nothing(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path, when: str
) -> None:
    plan = target.plan(asked(onnx_model))
    with pytest.raises(RunCancelledError):
        target.apply(plan, cancelling(when))
    assert nothing_is_left(emulator)


def cancelling(when: str) -> Callable[[Event], None]:
    """Raises once, as the runs do when somebody asked to cancel."""
    told: list[str] = []

    def emit(event: Event) -> None:
        if event.message == when and when not in told:
            told.append(when)
            raise RunCancelledError("the run was cancelled")

    return emit


class KilledError(BaseException):
    """The process ends: nothing is taken back, nothing is told."""


@pytest.mark.parametrize(
    "when",
    [
        SLOWLY("ImageBuild create complete"),
        SLOWLY("Login Succeeded"),
        "Endpoint create in progress",
    ],
)
def test_a_run_that_was_killed_is_resumed_by_applying_again(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path, when: str
) -> None:
    plan = target.plan(asked(onnx_model))

    def die(event: Event) -> None:
        if event.message == when:
            raise KilledError

    with pytest.raises(KilledError):
        target.apply(plan, die)
    assert target.apply(plan, Log()).state == "running"
    assert answer(target, plan) == [10.0]
    assert len(emulator.state()["running"]) == 1
    executed = emulator.state()["calls"]["cloudformation.ExecuteChangeSet"]
    assert executed == 2  # the bootstrap's and the endpoint's, each once


def test_what_could_not_be_taken_back_is_named(
    target: SageMakerTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    emulator.fault("create AWS::SageMaker::Endpoint", "", "no capacity")
    emulator.fault("ecr.BatchDeleteImage", "ServerException", "try later", times=9)
    with pytest.raises(DeployError, match=r"no capacity; .*not taken back: the image bundle-"):
        target.apply(target.plan(asked(onnx_model)), Log())


def test_an_image_that_is_there_is_not_built_again_nor_taken_from_another(
    target: SageMakerTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    first, second = target.plan(asked(onnx_model, "one")), target.plan(asked(onnx_model, "two"))
    target.apply(first, Log())
    target.apply(second, Log())
    assert len(emulator.state()["builds"]) == 1
    report = target.destroy(first, Log())
    assert any("another deployment runs it" in kept for kept in report.kept)
    assert answer(target, second) == [10.0]
    with pytest.raises(DeployError, match="the account still runs two"):
        target.destroy(first, Log(), everything=True)


def test_stale_plans_are_refused_before_anything_is_made(
    target: SageMakerTarget,
    bootstrapped: None,
    emulator: Emulator,
    onnx_model: Path,
    tmp_path: Path,
) -> None:
    model = weighted(tmp_path / "model.onnx", [1.0, 2.0, 3.0, 4.0])
    plan = target.plan(asked(model))
    before = emulator.state()["calls"].get("codebuild.StartBuild", 0)

    def refused(stale: Plan) -> str:
        with pytest.raises(StalePlanError, match="plan again") as caught:
            target.apply(stale, Log())
        return str(caught.value)

    assert "account 999999999999" in refused(plan.model_copy(update={"account": "999999999999"}))
    other = plan.parameters | {"template": "another"}
    assert "template" in refused(plan.model_copy(update={"parameters": other}))
    weighted(model, [9.0, 9.0, 9.0, 9.0])
    assert "changed after the plan" in refused(plan)
    assert emulator.state()["calls"].get("codebuild.StartBuild", 0) == before


def test_a_plan_that_another_apply_overtook_is_refused_and_harms_nothing(
    target: SageMakerTarget,
    bootstrapped: None,
    emulator: Emulator,
    onnx_model: Path,
    doubled_model: Path,
) -> None:
    first = target.plan(asked(onnx_model))
    target.apply(first, Log())
    mine, theirs = target.plan(asked(doubled_model)), target.plan(asked(doubled_model))
    target.apply(theirs, Log())
    with pytest.raises(StalePlanError):
        target.apply(mine, Log())
    assert answer(target, theirs) == [20.0]
    assert target.status(theirs).state == "running"


def test_a_plan_nobody_wants_is_taken_away_whole(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model))
    assert target.discard(plan) == [f"the change set of the stack {STACK_NAME}"]
    assert target.discard(plan) == []
    assert nothing_is_left(emulator)
    with pytest.raises(StalePlanError):
        target.apply(plan, Log())
    assert nothing_is_left(emulator)


def test_destroying_a_plan_that_was_never_applied(
    target: SageMakerTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model))
    assert target.destroy(plan, Log()).left_behind == []
    assert only_the_bootstrap_is_left(emulator)


def test_an_endpoint_deleted_by_hand_is_told_and_destroyed_all_the_same(
    target: SageMakerTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    plan = target.plan(asked(onnx_model))
    target.apply(plan, Log())
    emulator.forget("AWS::SageMaker::Endpoint", "mda-fraud")
    status = target.status(plan)
    assert (status.state, status.endpoint) == ("failed", None)
    assert "deleted by hand" in status.message
    with pytest.raises(DeployError, match="not found"):
        target.predict(plan, ROW, JSON)


def test_blocking_findings_stop_the_plan_and_are_all_named(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    emulator.quotas(
        {
            "ml.c5.large for endpoint usage": 0,
            "ml.c5.xlarge for endpoint usage": 4,
            "ml.m5.large for endpoint usage": 4,
        }
    )
    poor = need(budget={"monthly_usd": 1000}).model_copy(
        update={"budget": need(budget={"monthly_usd": 5}).budget}
    )
    request = asked(onnx_model, requirements=poor, ranked=sized(need()), public=True)
    with pytest.raises(PreflightError) as caught:
        target.plan(request)
    said = str(caught.value)
    assert "above the budget of $5" in said
    assert "cannot be made public" in said
    assert "may run 0 × ml.c5.large" in said
    assert nothing_is_left(emulator)


def test_a_quota_that_may_not_be_read_does_not_block(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    emulator.fault("service-quotas.ListServiceQuotas", "AccessDeniedException", "not authorized")
    (quota,) = [f for f in target.preflight(asked(onnx_model)) if f.check == "quota"]
    assert (quota.ok, quota.blocking) == (False, False)


def test_a_machine_that_only_the_price_list_knows_is_refused(
    target: SageMakerTarget, emulator: Emulator, onnx_model: Path
) -> None:
    machine = sized(need()).model_copy(update={"machine": "ml.c7g.medium"})
    with pytest.raises(PreflightError, match=r"takes no ml\.c7g\.medium; it takes ml\.c7g\.large"):
        target.plan(asked(onnx_model, ranked=machine))


def test_a_private_network_needs_a_vpc_and_an_arm_machine_an_arm_image(
    target: SageMakerTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    wanted = {
        "requirements": need(control={"private_network": True}),
        "ranked": sized(need()).model_copy(update={"machine": "ml.c7g.large"}),
    }
    with pytest.raises(PreflightError, match="no VPC was named"):
        target.plan(asked(onnx_model, **wanted))
    subnet, group = "subnet-0123456789abcdef0", "sg-0123456789abcdef0"
    settings = {"subnet_ids": [subnet], "security_group_ids": [group]}
    target.apply(target.plan(asked(onnx_model, **wanted, settings=settings)), Log())
    state = emulator.state()
    model = next(v for k, v in state["properties"].items() if "::Model " in k)
    assert model["VpcConfig"] == {"Subnets": [subnet], "SecurityGroupIds": [group]}
    (build,) = state["builds"]
    assert build["environment"]["type"] == "ARM_CONTAINER"
    assert "aarch64" in build["environment"]["image"]
    # The same bundle on the other processor is another image, and both have a tag of their own.
    other = target.plan(asked(onnx_model, "other"))
    target.apply(other, Log())
    state = emulator.state()
    assert [b["environment"]["type"] for b in state["builds"]][1:] == ["LINUX_CONTAINER"]
    (tags,) = state["repositories"].values()
    assert sorted(tags) == [
        f"bundle-{other.bundle_hash[:24]}",
        f"bundle-{other.bundle_hash[:24]}-arm64",
    ]
    target.destroy(other, Log())
    (tags,) = emulator.state()["repositories"].values()
    assert tags == [f"bundle-{other.bundle_hash[:24]}-arm64"]


@pytest.mark.slow
def test_every_error_on_the_way_is_an_advisor_error(
    target: SageMakerTarget, bootstrapped: None, emulator: Emulator, onnx_model: Path
) -> None:
    """Each call that an apply makes fails once; the account is never left with anything running."""
    plan = target.plan(asked(onnx_model))
    for call in ("logs.GetLogEvents", "cloudformation.ExecuteChangeSet"):
        emulator.fault(call, "InvalidParameterException", f"{call} is out of order")
        with pytest.raises(AdvisorError, match="is out of order"):
            target.apply(plan, Log())
        assert only_the_bootstrap_is_left(emulator), call
