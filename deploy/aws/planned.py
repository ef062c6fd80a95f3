"""What a plan for a stack says: resources, permissions, cost, and what apply holds on to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.aws.builders import CODEBUILD, Builder, engine_of
from deploy.aws.stack_models import Change, ChangeSet
from deploy.aws.templates import load
from deploy.aws.wanted import Wanted
from deploy.bundle.pack import image_tag
from deploy.requests import PlanRequest
from deploy.sample import sample_request
from deploy.target import Finding, Plan, PlannedResource, Proof

PROVEN_BY: Proof = "emulator"
PROVEN_ON = "2026-11-22"


def tag_of(plan: Plan) -> str:
    """The tag of a plan's image; a plan made up of what a stack tells knows no processor."""
    return image_tag(plan.bundle_hash, plan.parameters.get("architecture", "x86_64"))


@dataclass(frozen=True)
class Prepared:
    """What was found and made for a plan. A change set is None where there is nothing to change,
    and the stack's own also while `is_new_account`: no bootstrap role to prepare it with."""

    bundle_hash: str
    findings: list[Finding]
    account: str
    change_set_name: str
    bootstrap: ChangeSet | None
    own: ChangeSet | None
    is_new_account: bool
    expires_at: datetime | None = None
    builder: Builder = CODEBUILD

    @property
    def unchanged(self) -> bool:
        """Does the stack stand already as it would be planned?"""
        return self.own is None and not self.is_new_account


def planned(target: str, request: PlanRequest, wanted: Wanted, made: Prepared) -> Plan:
    """The plan document."""
    ranked, artifact = request.ranked, request.artifact
    changes = _changes(wanted, made)
    minutes = 0.0 if made.unchanged else wanted.template.expected_minutes
    grants = wanted.template.grants()
    resources = [] if made.unchanged else _image(made, wanted)
    if made.bootstrap is not None:
        bootstrap = load("bootstrap.yaml")
        minutes += bootstrap.expected_minutes
        grants = bootstrap.grants() + grants
        resources = [change.planned() for change in made.bootstrap.changes] + resources
    return Plan(
        name=request.name,
        option=ranked.option,
        target=target,
        variant=ranked.deploy_variant,
        model_path=str(artifact.path.resolve()),
        model_format=artifact.format,
        model_digest=artifact.digest,
        bundle_hash=made.bundle_hash,
        account=made.account,
        region=ranked.region,
        monthly_usd=ranked.monthly_usd.expected + wanted.monthly_extra_usd,
        monthly_usd_high=ranked.monthly_usd.high + wanted.monthly_extra_usd,
        resources=resources + [_named(change, wanted) for change in changes],
        public=list(wanted.public),
        permissions=[*grants, wanted.callers_need],
        writes_at_plan_time=writes(made.bootstrap, made.own),
        expected_minutes=minutes,
        proven_by=PROVEN_BY,
        proven_on=PROVEN_ON,
        expires_at=made.expires_at,
        requirements=request.need.model_dump(mode="json"),
        parameters=_parameters(request, wanted, made, changes),
        findings=made.findings,
    )


def _changes(wanted: Wanted, made: Prepared) -> tuple[Change, ...]:
    """CloudFormation's own preview, or the template's resources where it cannot give one yet."""
    if not made.is_new_account:
        return made.own.changes if made.own else ()
    return tuple(
        Change("create", kind, logical_id, "", "")
        for logical_id, kind in wanted.template.resources(wanted.parameters)
    )


def _parameters(
    request: PlanRequest, wanted: Wanted, made: Prepared, changes: tuple[Change, ...]
) -> dict[str, Any]:
    sample = sample_request(request.artifact.signature)
    return {
        "template_name": wanted.template.name,
        "template": wanted.template.digest,
        "additions": {name: dict(added) for name, added in wanted.additions.items()},
        "bundle": wanted.bundle,
        "stack": wanted.parameters,
        "tags": wanted.tags,
        "architecture": wanted.architecture,
        "builder": made.builder,
        "unchanged": made.unchanged,
        "change_set": made.own.arn if made.own else None,
        "change_set_name": made.change_set_name,
        "creates": made.own.creates if made.own else True,
        "changes": [list(change.key) for change in changes],
        "bootstrap_change_set": made.bootstrap.arn if made.bootstrap else None,
        "bootstrap_creates": made.bootstrap.creates if made.bootstrap else False,
        "sample": sample.body.decode() if sample else None,
        "sample_note": sample.note if sample else "",
    }


def writes(*change_sets: ChangeSet | None) -> list[str]:
    """What planning itself wrote into the account, a line each."""
    return [
        f"a change set for the stack {change_set.stack_name}"
        + (", which waits in REVIEW_IN_PROGRESS and bills nothing" if change_set.creates else "")
        for change_set in change_sets
        if change_set is not None
    ]


def _image(made: Prepared, wanted: Wanted) -> list[PlannedResource]:
    engine = engine_of(made.builder)
    tag = image_tag(made.bundle_hash, wanted.architecture)
    return [
        PlannedResource(
            action="create",
            kind="AWS::CodeBuild::Build" if engine is None else "build on this machine",
            name=f"one build of {tag}",
            detail="billed by the minute, unless the image is there already"
            if engine is None
            else f"by {engine.capitalize()}, unless the image is there already",
        ),
        PlannedResource(
            action="create",
            kind="AWS::ECR::Image",
            name=tag,
            detail="the bundle, the model inside, under its hash",
        ),
    ]


def _named(change: Change, wanted: Wanted) -> PlannedResource:
    """The change with the names that are known beforehand."""
    resource = change.planned()
    name, detail = wanted.known.get(change.logical_id, (resource.name, ""))
    details = "; ".join(text for text in (detail, resource.detail) if text)
    return resource.model_copy(update={"name": name, "detail": details})
