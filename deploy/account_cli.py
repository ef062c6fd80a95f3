"""The terminal on a whole account: what stands there, and taking down what is not kept here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from advisor.errors import AdvisorError, DeployError
from advisor.terminal import FAILED, OK
from deploy.asking import agreed, print_json, print_table, show
from deploy.expiry import left
from deploy.in_account import in_region, standing_in
from deploy.target import DestroyReport, Plan

if TYPE_CHECKING:  # the cloud SDK is read when an account is asked for
    from deploy.aws.account import Standing
    from deploy.aws.session import Aws
    from deploy.aws.stack_target import StackTarget

COLUMNS = (
    "NAME", "TARGET", "STATE", "OWNER", "HOURS UP", "EXPIRY", "USD SO FAR", "USD A MONTH",
    "REQUESTS 1H", "ERRORS 1H", "P95 MS 1H", "KEPT HERE",
    "SCENARIO",
)  # fmt: skip
UNKNOWN = "-"


def list_account(region: str | None, output: str, *, drift: bool) -> int:
    """`list --account`: every deployment in the account and region, whoever made it."""
    aws = in_region(region)
    found = standing_in(aws, drift=drift)
    if output == "json":
        print_json(found)
    elif not found:
        print(f"Nothing of this tool stands in account {aws.account}, {aws.region}")
    else:
        print_table([COLUMNS, *map(_row, found)])
        for one in found:
            for what in one.drift or []:
                print(f"{one.name} differs from its template: {what}")
            if one.drift == []:
                print(f"{one.name} is as its template says")
        print("\nUSD so far: by the estimate and the hours up; the bill itself is the account's.")
    return OK


def destroy_unrecorded(name: str, region: str, *, yes: bool, output: str) -> int:
    """`destroy NAME --region R` of a deployment of which nothing is kept here."""
    from deploy.aws.account import adopted

    plan = adopted(name, in_region(region))
    what = (
        f"Deployment  {name} (target {plan.target}), not made from here\n"
        f"Account     {plan.account}\nRegion      {plan.region}\n"
        + "".join(f"Removes     {r.kind} {r.name}\n" for r in plan.resources)
    )
    if not yes and not agreed(what.rstrip(), f"Destroy {name}?"):
        return FAILED
    report = _destroy(plan)
    if output == "json":
        print_json(report)
    else:
        print(f"Nothing of {name} is left; {len(report.removed)} things removed")
    return OK


def destroy_all(region: str | None, *, yes: bool, destroy_recorded: Callable[[str], int]) -> int:
    """`destroy --all [--region R]`: what is kept here, and what else stands in the account.

    One that will not go does not keep the others; the proof by tags comes at the end. Raises
    DeployError naming what is left.
    """
    from deploy import runs

    recorded = {found.name: found.plan for found in runs.deployments()}
    aws = in_region(region) if region else None
    others = [s for s in standing_in(aws) if not s.recorded_here] if aws else []
    if not recorded and not others:
        print("There is nothing to destroy.")
    lines = [f"{p.name}  {p.option}, {p.account}, {p.region}" for p in recorded.values()]
    lines += [f"{s.name}  {s.target}, {s.region}, of {s.owner}, not made from here" for s in others]
    what = "\n".join(f"Destroys    {line}" for line in lines)
    ask = f"Destroy all {len(lines)}?"
    if lines and not yes and not agreed(what, ask, typed="yes"):
        return FAILED
    wrong = _one_by_one(recorded, destroy_recorded)
    if aws is not None:
        wrong += _one_by_one((s.name for s in others), lambda name: _adopt_and_destroy(name, aws))
        wrong += _prove(aws, recorded, others)
    if wrong:
        raise DeployError("; ".join(wrong))
    return OK


def _one_by_one(names: Iterable[str], destroy: Callable[[str], object]) -> list[str]:
    """What went wrong, one sentence each."""
    wrong = []
    for name in names:
        try:
            destroy(name)
        except AdvisorError as error:
            wrong.append(f"{name}: {error}")
    return wrong


def _adopt_and_destroy(name: str, aws: Aws) -> DestroyReport:
    from deploy.aws.account import adopted

    return _destroy(adopted(name, aws))


def _destroy(plan: Plan) -> DestroyReport:
    from deploy.registry import target

    report = target(plan.target).destroy(plan, show)
    if report.left_behind:
        raise DeployError(f"left of {plan.name}: {', '.join(report.left_behind)}")
    return report


def _prove(aws: Aws, recorded: dict[str, Plan], others: list[Standing]) -> list[str]:
    from deploy.aws.account import still_tagged
    from deploy.aws.stack_target import StackTarget
    from deploy.registry import target

    asked = {p.name: p.target for p in recorded.values() if p.region == aws.region}
    asked |= {s.name: s.target or "sagemaker" for s in others}
    targets = {name: target(kind) for name, kind in asked.items()}
    proven: dict[str, StackTarget] = {
        name: t for name, t in targets.items() if isinstance(t, StackTarget)
    }
    tagged = still_tagged(aws, proven)
    if tagged:
        return [f"still tagged in account {aws.account}, {aws.region}: {', '.join(tagged)}"]
    print(f"Nothing in account {aws.account}, {aws.region} carries a deployment's tag any more")
    return []


def _row(one: Standing) -> tuple[str, ...]:
    return (
        one.name,
        one.target or UNKNOWN,
        one.state,
        one.owner,
        f"{one.hours_up:.1f}",
        left(one.expires_at) if one.expires_at else "never",
        _number(one.so_far_usd, ",.2f"),
        _number(one.monthly_usd, ",.2f"),
        _number(one.requests_last_hour, ",.0f"),
        _number(one.errors_last_hour, ",.0f"),
        _number(one.p95_ms_last_hour, ",.1f"),
        "yes" if one.recorded_here else "no",
        one.scenario or UNKNOWN,
    )


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)
