"""Going back to the model version before the last update, which each target keeps until the next one.

The version that served meanwhile is kept in turn, so that a second rollback goes forward again.
"""

from __future__ import annotations

from advisor.errors import DeployError, InputError
from deploy import runs
from deploy.registry import target
from deploy.run_models import Deployment
from deploy.run_store import open_store
from deploy.target import Plan


def plan_rollback(name: str) -> Plan:
    """What going back would do. Like every plan it changes nothing that runs; `discard` it when
    nobody starts it. No model file is read: the target keeps the version.

    Raises DeploymentNotFoundError, InputError when no version before is kept, DeployError while a
    run changes the deployment, PreflightError.
    """
    found = runs.deployment(name)
    if found.active_run:
        raise DeployError(
            f"{name} is being changed (run {found.active_run}); wait for it, or cancel it"
        )
    if found.state == "destroyed":
        raise InputError(f"{name} is destroyed and no version of it is kept; plan it anew")
    return target(found.target).plan_rollback(found.plan, earlier(found))


def earlier(found: Deployment) -> list[Plan]:
    """Plans of other versions that were applied, or tried, where the deployment is now; newest
    first. Empty when it was never updated."""
    now = found.plan
    return [
        plan
        for plan in open_store().plans_since_destroyed(found.name)
        if (plan.name, plan.target, plan.account, plan.region)
        == (now.name, now.target, now.account, now.region)
        and plan.bundle_hash != now.bundle_hash
    ]


def active(name: str) -> str | None:
    """The id of the rollback that is under way, if there is one."""
    found = runs.deployment(name)
    is_back = found.active_run is not None and runs.run(found.active_run).kind == "rollback"
    return found.active_run if is_back else None


def in_words(stands: Plan, back: Plan) -> list[str]:
    """What going back changes, a sentence each."""
    before, after = (_monthly(plan) for plan in (stands, back))
    return [
        f"Serves now: {_version(stands)}",
        f"Will serve again: {_version(back)}",
        f"Cost a month: {before} before, {after} after",
        "The version that serves now is kept, so that a rollback of the rollback brings it back",
    ]


def _version(plan: Plan) -> str:
    when = f"{plan.created_at:%Y-%m-%d %H:%M} UTC"
    return f"the model {plan.model_digest[:12]} ({plan.model_format}), planned on {when}"


def _monthly(plan: Plan) -> str:
    return "unknown" if plan.monthly_usd is None else f"${plan.monthly_usd:,.2f}"
