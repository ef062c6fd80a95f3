"""Every target under faults: an error at every call, a cut connection, expired credentials, a resource
that does not come up, and a process killed after every call.

`python tools/fault_table.py` runs all of it and writes docs/faults.md; `make test` runs a sample.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from fault_rows import Row, keep
from fault_runs import at, interrupted, stays
from fault_wire import CUT, EXPIRED, KILL, QUOTA, THROTTLED, Act, Answer, Site, denied
from faults_support import BUILDS, TARGETS, Case, left, said_of

from advisor.errors import AdvisorError, StalePlanError
from deploy.bundle.pack import image_tag
from deploy.kubernetes.cluster import KINDS
from deploy.target import Plan, Status

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(3600)]

NAMED = re.compile(r"not taken back|left behind|still runs|stands|not deleted")
STARTS = (  # calls that make something, which a quota can refuse
    "codebuild.StartBuild", "cloudformation.CreateChangeSet", "cloudformation.ExecuteChangeSet",
    "s3.PutObject", "scheduler.CreateSchedule", "batch.SubmitJob", "ecs.RunTask",
    "sagemaker.CreateTransformJob", "kubernetes.PATCH deployments",
)  # fmt: skip
IN_CLUSTER = "Kubernetes "  # objects of a plan that are no resources of its stack
FEW = ("codebuild.StartBuild", "cloudformation.ExecuteChangeSet", "cloudformation.DeleteStack")


@pytest.mark.parametrize(
    "option",
    [pytest.param(o, marks=[] if o == "lambda-url" else pytest.mark.hours) for o in TARGETS],
)
def test_a_cut_or_throttled_call_is_repeated_and_makes_nothing_twice(case: Case) -> None:
    """Each call once, the first time: the connection is cut after AWS did what was asked."""
    for fault, what in (("time-out", CUT), ("throttling", THROTTLED)):
        seen: set[Site] = set()
        plans: list[Plan] = []

        def once(
            site: Site, seen: set[Site] = seen, what: Answer | str = what
        ) -> Answer | str | None:
            return None if site in seen else (seen.add(site) or what)

        verbs: dict[str, Callable[[], object]] = {
            "plan": lambda plans=plans: plans.append(case.plan()),
            "apply": lambda plans=plans: case.apply(plans[0]),
            "status": lambda plans=plans: case.target.status(plans[0]),
            "predict": lambda plans=plans: case.predict(plans[0]),
            "destroy": lambda plans=plans: case.destroy(plans[0]),
        }
        before = len(case.emulator.state()["builds"])
        for verb, work in verbs.items():
            calls = sorted({call for call, _ in case.wire.during(work, once)})
            keep(*(Row(case.option, fault, verb, call, "resumed") for call in calls))
        assert left(case.emulator) == []
        assert len(case.emulator.state()["builds"]) == before + 1  # one build, also when cut


@pytest.mark.hours
@pytest.mark.parametrize("option", TARGETS)
def test_an_error_at_any_call_is_told_and_taken_back(case: Case) -> None:
    """AWS denies a call for good, or throttles it for longer than the retries, or a quota is full."""
    first = case.plan()
    sites = case.wire.during(lambda: case.apply(first))
    case.keep_image(first)
    case.destroy(first)
    build = max(i for i, (call, _) in enumerate(sites) if call.startswith(("ecr", "s3", "codeb")))
    known: set[str] = set()
    for i, site in enumerate(sites):
        call = site[0]
        past_build = i > build
        if call in known:
            one_error(case, "throttling", site, at(site, THROTTLED), past_build)
        else:
            one_error(case, "access denied", site, at(call, denied(call)), past_build)
        if call in STARTS:
            one_error(case, "quota", site, at(site, QUOTA), past_build)
        known.add(call)


def one_error(case: Case, fault: str, site: Site, act: Act, image: bool) -> None:
    """One apply under the act, from plan to an account with nothing of it."""
    plan = case.plan()
    if image:
        case.put_image()
    caught: list[AdvisorError | None] = []
    case.wire.during(lambda: caught.append(said_of(lambda: case.apply(plan))), act)
    remains, [error] = left(case.emulator), caught
    if error is None:
        outcome = "resumed"
    elif not remains:
        outcome = "undone"
    else:
        assert NAMED.search(str(error)), (site, remains, str(error))
        outcome = "named; gone with destroy"
    keep(Row(case.option, fault, "apply", site[0], outcome, str(error or "")))
    if remains:
        case.destroy(plan)
    else:
        case.target.discard(plan)
    assert left(case.emulator) == [], site


@pytest.mark.hours
@pytest.mark.parametrize("option", TARGETS)
def test_an_error_while_planning_leaves_nothing_that_bills(case: Case) -> None:
    known: set[str] = set()
    for site in case.wire.during(lambda: case.target.discard(case.plan())):
        call = site[0]
        fault, answer = (
            ("throttling", THROTTLED) if call in known else ("access denied", denied(call))
        )
        known.add(call)
        errors: list[AdvisorError | None] = []
        plans: list[Plan] = []

        def work(errors: list[AdvisorError | None] = errors, plans: list[Plan] = plans) -> None:
            errors.append(said_of(lambda: plans.append(case.plan())))

        case.wire.during(work, at(site, answer))
        assert left(case.emulator) == [], site
        for plan in plans:
            case.target.discard(plan)
        if site not in case.wire.struck:
            continue  # it is one of discarding
        outcome = "resumed" if errors[0] is None else "refused"
        keep(Row(case.option, fault, "plan", call, outcome, str(errors[0] or "")))


@pytest.mark.hours
@pytest.mark.parametrize("option", TARGETS)
def test_asking_and_destroying_under_errors(case: Case) -> None:
    """A standing deployment is asked under faults and stays; destroying goes on where it was."""
    plan = case.plan()
    case.apply(plan)
    before = stays(case)
    verbs: dict[str, Callable[[], object]] = {
        "status": lambda: case.target.status(plan), "predict": lambda: case.predict(plan),
    }  # fmt: skip
    for verb, work in verbs.items():
        for site in case.wire.during(work):
            caught: list[str] = []
            case.wire.during(
                lambda work=work, caught=caught: caught.append(heard(work)),
                at(site, denied(site[0])),
            )
            outcome = "refused" if caught[0] else "resumed"
            keep(Row(case.option, "access denied", verb, site[0], outcome, caught[0]))
        work()
    assert stays(case) == before
    interrupted(
        case, "access denied", "destroy", lambda: case.destroy(plan), lambda site: denied(site[0])
    )
    assert left(case.emulator) == []


def heard(work: Callable[[], object]) -> str:
    """What a user is told of an error, also by a status that is not known; "" when all went well."""
    found: list[object] = []
    error = said_of(lambda: found.append(work()))
    if error is not None:
        return str(error)
    [status] = found
    return status.message if isinstance(status, Status) and status.state == "unknown" else ""


@pytest.mark.parametrize("option", ["sagemaker-batch"])
def test_a_few_calls_under_every_other_fault(case: Case) -> None:
    """What `make test` runs of the tests below and above that take hours."""
    plan = case.plan()
    interrupted(case, "killed", "apply", lambda: case.apply(plan), lambda _: KILL, only=FEW)
    interrupted(  # a stack of the apply before, which this one does not take back
        case, "expired credential", "apply", lambda: case.apply(plan), lambda _: EXPIRED,
        lasting=True, only=("sagemaker.DescribeModel",), afterwards=lambda said: named(case, said),
    )  # fmt: skip
    interrupted(
        case, "expired credential", "destroy", lambda: case.destroy(plan), lambda _: EXPIRED,
        lasting=True, only=FEW,
    )  # fmt: skip
    assert left(case.emulator) == []
    start = ("codebuild.StartBuild", ())
    one_error(case, "access denied", start, at(start[0], denied(start[0])), image=False)
    one_error(case, "quota", start, at(start[0], QUOTA), image=False)
    kind = "AWS::SageMaker::Model"
    case.emulator.fault(f"create {kind}", "", "not this time")
    broken(case, case.plan(), kind, f"{kind}.*not this time")


@pytest.mark.hours
@pytest.mark.parametrize("option", TARGETS)
def test_a_process_killed_after_any_call_is_resumed(case: Case) -> None:
    life_interrupted(case, "killed", lambda _: KILL)


@pytest.mark.hours
@pytest.mark.parametrize("option", TARGETS)
def test_credentials_that_expire_at_any_call_are_renewed_and_it_goes_on(case: Case) -> None:
    """From the call on nothing works, clearing up included, until somebody signs in again."""
    life_interrupted(case, "expired credential", lambda _: EXPIRED, lasting=True)


def named(case: Case, said: str) -> None:
    """A stack that stands after something was told is in what was told."""
    stands = any(what.startswith("stack") for what in left(case.emulator))
    if said and stands:
        assert re.search(rf"not taken back: .*\bthe stack mda-{case.name}|\bstands\b", said), said


def life_interrupted(
    case: Case, fault: str, answer: Callable[[Site], Answer | str], *, lasting: bool = False
) -> None:
    """Plan, then apply and destroy, each begun again after each interruption."""
    plans = [case.plan()]

    def apply() -> None:
        try:
            case.apply(plans[-1])
        except StalePlanError:
            plans.append(case.plan())
            case.apply(plans[-1])

    interrupted(
        case, fault, "apply", apply, answer, lasting=lasting,
        afterwards=lambda said: named(case, said),
    )  # fmt: skip
    case.predict(plans[-1])
    assert list(case.emulator.state()["repositories"].values()) == [
        [image_tag(plans[-1].bundle_hash)]
    ]
    interrupted(case, fault, "destroy", lambda: case.destroy(plans[-1]), answer, lasting=lasting)
    assert left(case.emulator) == []


@pytest.mark.hours
@pytest.mark.parametrize("option", TARGETS)
def test_whatever_fails_to_come_up_is_taken_back(case: Case) -> None:
    plan = case.plan()
    kinds = sorted({r.kind for r in plan.resources if r.kind not in BUILDS})
    assert case.option != "eks" or f"{IN_CLUSTER}HorizontalPodAutoscaler" in kinds
    case.emulator.fault("build", "", "no space left on device")
    broken(case, plan, "the image's build", "no space left on device")
    case.apply(again := case.plan())
    case.keep_image(again)
    case.destroy(again)
    for kind in kinds:
        case.put_image()
        if kind.startswith(IN_CLUSTER):
            place = KINDS[kind.removeprefix(IN_CLUSTER)].plural
            case.emulator.fault(
                f"kubernetes.PATCH {place}", "Forbidden", "not this time", status=403
            )
            broken(case, case.plan(), kind, f"{kind.removeprefix(IN_CLUSTER)} .*not this time")
        else:
            case.emulator.fault(f"create {kind}", "", "not this time")
            broken(case, case.plan(), kind, f"{kind}.*not this time")
    if case.option == "eks":
        case.put_image()
        case.emulator.fault("pod", "CrashLoopBackOff", "not this time")
        broken(case, case.plan(), "Kubernetes Pod", "CrashLoopBackOff.*not this time")


def broken(case: Case, plan: Plan, what: str, told: str) -> None:
    error = said_of(lambda: case.apply(plan))
    assert error is not None, what
    assert re.search(told, str(error)), error
    assert "not taken back" not in str(error)
    assert left(case.emulator) == [], what
    keep(Row(case.option, "a resource fails to create", "apply", what, "undone", str(error)))
