"""From requirements and a model file to a plan for one named option."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

from advisor.catalog.loader import load_options, option
from advisor.catalog.schema import Option
from advisor.errors import InputError, NothingFitsError
from advisor.recommend import recommend
from advisor.recommendation import Ranked, Recommendation
from advisor.requirements import Requirements
from deploy.acceptance import Decision
from deploy.artifact import inspect
from deploy.registry import target_for, targets
from deploy.requests import PlanRequest, check_name, suggest_name, tag_text
from deploy.target import Finding, Plan, Target

LOCAL = "local"


def plan_deployment(
    option_id: str,
    model: Path,
    need: Requirements,
    *,
    name: str | None = None,
    public: bool = False,
    owner: str = "",
    scenario: str = "",
    policies: Sequence[Path] = (),
    settings: Mapping[str, object] | None = None,
    expires_in: timedelta | Literal["never"] | None = None,
    decision: Decision | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Size the option for the requirements and let its target plan it; creates nothing.

    Without a name, the model's file name makes one. `owner` and `scenario` become tags.
    `decision`: a person's, to load unknown code with the model. Raises InputError for an unknown
    option, one that nothing deploys or that cannot be public when that was asked for, or an
    unusable model file; NothingFitsError when a rule excludes the option; PreflightError when the
    plan could not be carried out here.
    """
    chosen = _option(option_id)
    to = target_for(option_id)
    if public and not to.can_be_public:
        raise InputError(
            f"{option_id} cannot be reached from the internet, and public was asked for; leave it "
            f"out, or choose one of {', '.join(_public_options())}"
        )
    if isinstance(expires_in, timedelta) and not to.can_expire:
        raise InputError(
            f"{option_id} cannot take itself down at an hour, and an expiry was asked for; leave "
            "it out and destroy it by name"
        )
    _check_builder(option_id, (settings or {}).get("builder"), to)
    name = check_name(name) if name is not None else suggest_name(model.stem)
    artifact = inspect(model, decision=decision)
    if artifact.format != need.model.format.value:
        warn(
            f"the requirements say model.format {need.model.format.value} and {model.name} is "
            f"{artifact.format}; the rules went by the first, the server goes by the second"
        )
    ranked = sized(chosen, need, policies)
    return made(
        to,
        PlanRequest(
            name=name,
            artifact=artifact,
            need=need,
            ranked=ranked,
            public=public,
            owner=tag_text(owner),
            tags=scenario_tags(scenario),
            settings=dict(settings or {}),
            expires_in=expires_in,
        ),
    )


def scenario_tags(scenario: str) -> dict[str, str]:
    """The tag that says what was decided on; none for a scenario without a name."""
    named = tag_text(scenario)
    return {"scenario": named} if named else {}


def made(to: Target, request: PlanRequest) -> Plan:
    """The target's plan, with the decision that its model was accepted by, if one was."""
    plan = to.plan(request)
    accepted = request.artifact.accepted
    if accepted is None:
        return plan
    note = Finding(
        check="accepted code", ok=False, blocking=False, message=accepted.sentence,
        fix="it runs in the deployed server"
        + (", as your own user on this machine: no container is around it" if to.name == LOCAL else ""),
    )  # fmt: skip
    return plan.model_copy(update={"accepted": accepted, "findings": [*plan.findings, note]})


def sized(chosen: Option, need: Requirements, policies: Sequence[Path] = ()) -> Ranked:
    """The option as the recommendation sizes it. Raises NothingFitsError with the rule's words."""
    answer = recommend(need, policies=policies, options=[chosen.id], doubt=False)
    ranked = answer.option(chosen.id)
    if ranked is None:
        raise NothingFitsError(_why_not(chosen, need, answer))
    return ranked


def _option(option_id: str) -> Option:
    there = [o.id for o in load_options().values() if o.deploy.target == option_id]
    if there and option_id not in load_options():
        raise InputError(
            f"{option_id!r} is a target; name an option that is deployed there: {', '.join(there)}"
        )
    return option(option_id)


def _check_builder(option_id: str, builder: object, to: Target) -> None:
    if builder is not None and builder not in to.builders:
        use = f"use one of {', '.join(to.builders)}" if to.builders else "leave it out"
        raise InputError(f"{builder!r} builds no image for {option_id}; {use}")


def _public_options() -> list[str]:
    public = {t.name for t in targets() if t.can_be_public}
    return [o.id for o in load_options().values() if o.deploy.target in public]


def _why_not(chosen: Option, need: Requirements, answer: Recommendation) -> str:
    cloud, clouds = chosen.cloud.value, [c.value for c in need.placement.clouds]
    if cloud not in clouds:
        return (
            f"{chosen.id} runs on {cloud}, which placement.clouds ({', '.join(clouds)}) leaves "
            f"out; add {cloud} to placement.clouds to allow it"
        )
    reasons = [e.because for e in answer.excluded] or [u.because for u in answer.unpriced]
    return (
        f"{chosen.id} does not fit: {'; '.join(reasons)}; change that answer, or choose another "
        "option"
    )
