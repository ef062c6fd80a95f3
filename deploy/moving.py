"""Moving a deployment to another target: what would be made beside it, and whether both answer alike.

The new one has a name of its own where it stands (`fraud-2`), because both stand for a while. The
deployment keeps its name: `fraud` is the old one until the switch and the new one from then on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from advisor.catalog.loader import load_options
from advisor.errors import DeployError, InputError
from advisor.requirements import Requirements
from deploy.acceptance import decision_of
from deploy.artifact import look_again
from deploy.files import sha256_of
from deploy.planning import plan_deployment
from deploy.registry import target
from deploy.requests import NOBODY, UNNAMED
from deploy.run_models import Deployment
from deploy.sample import sample_request
from deploy.target import Plan

NAME_CHARACTERS = 40
# Where a stack stands and who reaches it; its other parameters follow from the answers, or are the
# names, owners and hours of this one stack.
PLACE = ("Reach", "UseVpc", "VpcId", "SubnetIds", "SecurityGroupIds")
# The same model on another machine: other instructions round otherwise in single precision.
RELATIVE, ABSOLUTE = 1e-4, 1e-6


def option_of(to: str) -> str:
    """The catalog option that "ecs-fargate" or "ecs:fargate" names. Raises InputError."""
    wanted, _, variant = to.partition(":")
    options = load_options()
    if wanted in options and not variant:
        return wanted
    there = [o for o in options.values() if o.deploy.target == wanted]
    found = [o.id for o in there if o.deploy.variant == variant] if variant else []
    if len(found) == 1:
        return found[0]
    of_target = [f"{wanted}:{o.deploy.variant}" for o in there]
    raise InputError(
        f"{to!r} names no place to move to; use one of "
        f"{', '.join(of_target or [o for o in options if _deploys(o)])}"
    )


def plan_move(
    found: Deployment,
    in_use: Iterable[str],
    option_id: str,
    need: Requirements | None = None,
    *,
    public: bool = False,
    owner: str = "",
    policies: Sequence[Path] = (),
    settings: Mapping[str, object] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Plan:
    """A plan for the same model on another option, under a name that is none of `in_use`.

    Without `need` it is the scenario that the deployment was planned for. Raises InputError when
    the deployment does not run, its scenario is not kept, its model file is gone or another one,
    or it is there already; NothingFitsError, PreflightError.
    """
    check_movable(found)
    name, old = found.name, found.plan
    if need is None:
        if old.requirements is None:
            raise InputError(
                f"the answers that {name} was planned with are not kept; give them again with "
                "--requirements FILE"
            )
        need = Requirements.model_validate(old.requirements)
    model = Path(old.model_path)
    if sha256_of(model) != old.model_digest:
        raise InputError(
            f"{model} is not the model that {name} serves, so their answers could not be compared; "
            "put that model back, or update the deployment first and move it then"
        )
    new = plan_deployment(
        option_id, model, need, name=beside(old.name, in_use), public=public,
        owner=owner or _owner_of(old), scenario=scenario_of(old), policies=policies,
        settings=settings,
        decision=decision_of(old.accepted), warn=warn,
    )  # fmt: skip
    if _same_place(old, new):
        target(new.target).discard(new)
        raise InputError(
            f"{name} is on {option_id} already, in the same place and for the same answers; name "
            "another option to move to"
        )
    return new


def _same_place(old: Plan, new: Plan) -> bool:
    """Would the new one stand where the old one does, for the same answers, whoever asks for it?"""
    if (old.target, old.variant, old.account, old.region) != (
        new.target, new.variant, new.account, new.region,
    ):  # fmt: skip
        return False
    if old.requirements is None or new.requirements is None:
        return False
    stood, stands = (plan.parameters.get("stack", {}) for plan in (old, new))
    return (
        Requirements.model_validate(old.requirements)
        == Requirements.model_validate(new.requirements)
        and old.parameters.get("port") == new.parameters.get("port")
        and all(stood.get(part) == stands.get(part) for part in PLACE)
    )


def _owner_of(plan: Plan) -> str:
    """Whose it is, by the tag that its stack carries; empty where nobody was named."""
    named = str(plan.parameters.get("stack", {}).get("Owner", ""))
    return "" if named == NOBODY else named


def scenario_of(plan: Plan) -> str:
    """What was decided on, by the tag that its stack carries; empty where it has none."""
    named = str(plan.parameters.get("stack", {}).get("Scenario", ""))
    return "" if named == UNNAMED else named


def check_movable(found: Deployment) -> None:
    """Raises InputError for a deployment that does not serve, also by its target's own word."""
    if found.state != "running" and target(found.target).status(found.plan).state != "running":
        raise InputError(
            f"{found.name} is {found.state}, and only what runs can be moved; apply its plan again "
            "first, or destroy it and deploy anew"
        )


def sample_of(plan: Plan, given: bytes | None = None) -> bytes:
    """A request to ask both: the given one, else one row made from the model's signature.

    Raises InputError where the model file does not tell what it takes.
    """
    if given is not None:
        return given
    sample = sample_request(look_again(plan.model_path, plan.accepted).signature)
    if sample is None:
        raise InputError(
            f"{Path(plan.model_path).name} does not tell what it takes, so the answers of both could "
            "not be compared; give a request of your own with --sample FILE"
        )
    return sample.body


def beside(name: str, in_use: Iterable[str]) -> str:
    """The next free name of that stem: fraud, fraud-2, fraud-3."""
    stem, _, number = name.rpartition("-")
    if not stem or not number.isdigit():
        stem = name
    known, count = {*in_use, name}, 2
    while True:
        end = f"-{count}"
        found = stem[: NAME_CHARACTERS - len(end)].rstrip("-") + end
        if found not in known:
            return found
        count += 1


def taken(found: Iterable[Deployment]) -> set[str]:
    """Names that mean something already: of deployments, and of what stands for them."""
    return {name for one in found for name in (one.name, one.plan.name)}


def difference(old: Any, new: Any, where: str = "the answer") -> str | None:
    """Where the answers differ, in words; None where they are the same within rounding."""
    if isinstance(old, bool) or isinstance(new, bool) or not _is_number(old) or not _is_number(new):
        if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
            found = (difference(old[k], new[k], f"{where}.{k}") for k in old)
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            pairs = enumerate(zip(old, new, strict=True))
            found = (difference(a, b, f"{where}[{i}]") for i, (a, b) in pairs)
        else:
            return None if old == new else f"{where} was {_short(old)} and is {_short(new)}"
        return next((text for text in found if text), None)
    if math.isclose(old, new, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
        return None
    return f"{where} was {old!r} and is {new!r}"


def compare(old: Plan, new: Plan, sample: bytes) -> str:
    """Ask both the same. What was seen, in words; DeployError when they differ or one is silent."""
    before, after = (target(p.target).predict(p, sample, "application/json") for p in (old, new))
    differs = difference(_predictions(before.body), _predictions(after.body))
    if differs:
        raise DeployError(f"{new.name} answers otherwise than {old.name}: {differs}")
    return (
        f"Both give the same answer: {old.name} in {before.latency_ms:.1f} ms, {new.name} in "
        f"{after.latency_ms:.1f} ms"
    )


def in_words(old: Plan, new: Plan) -> list[str]:
    """What changes, a sentence each: place, cost, who can call it and how."""
    before, after = _monthly(old), _monthly(new)
    return [
        f"From {old.option} in {old.account}, {old.region} to {new.option} in {new.account}, "
        f"{new.region}",
        f"Cost a month: {before} before, {after} after; both while they stand side by side",
        f"Who reaches it, before: {'; '.join(old.public) or 'nobody outside'}",
        f"Who reaches it, after: {'; '.join(new.public) or 'nobody outside'}",
        f"What callers need, after: {new.permissions[-1] if new.permissions else 'nothing'}",
        "Callers get another address: they have to change to it, nothing redirects them",
    ]


def _predictions(body: Any) -> Any:
    return body.get("predictions", body) if isinstance(body, dict) else body


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _monthly(plan: Plan) -> str:
    return "unknown" if plan.monthly_usd is None else f"${plan.monthly_usd:,.2f}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= NAME_CHARACTERS else text[:NAME_CHARACTERS] + "…"


def _deploys(option_id: str) -> bool:
    from deploy.registry import target_for

    try:
        target_for(option_id)
    except InputError:
        return False
    return True
