"""The plan that brings the version before back: its image, which the stack names and keeps."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Protocol

from advisor.errors import InputError, PreflightError
from deploy import expiry
from deploy.aws import zones
from deploy.aws.bootstrap import Bootstrap, BootstrapStack
from deploy.aws.images import Images
from deploy.aws.planned import PROVEN_ON, tag_of, writes
from deploy.aws.session import Aws
from deploy.aws.stack_models import Stack
from deploy.aws.stacks import Stacks
from deploy.aws.templates import load
from deploy.aws.wanted import in_account, stack_name
from deploy.target import Plan


class Family(Protocol):
    """What going back has to know of the services that the stack is made of."""

    def service_role(self, bootstrap: Bootstrap) -> str: ...
    def boundary(self, bootstrap: Bootstrap) -> str: ...


def plan_back(
    stands: Plan, earlier: Sequence[Plan], aws: Aws, stacks: Stacks, family: Family
) -> Plan:
    """The plan of the version before, for the stack as it stands: its own sizes, the expiry of now.

    Prepares the change set. Raises InputError when nothing is kept, PreflightError for another
    account, DeployError when CloudFormation refuses.
    """
    if aws.account != stands.account:
        raise PreflightError(
            f"{stands.name} stands in account {stands.account} and this machine works in "
            f"{aws.account}; switch back"
        )
    stack = stacks.find(stack_name(stands.name))
    boot = BootstrapStack(stacks)
    there = boot.found()
    if stack is None or stack.is_review or stack.is_empty_shell or there is None:
        raise InputError(
            f"{stands.name} does not stand in account {aws.account}, so it cannot go back; plan "
            "with the model that you want"
        )
    former = _kept(stands, stack, earlier, Images(aws, there))
    template = load(former.parameters["template_name"])
    known = template.content["Parameters"]
    parameters = {k: v for k, v in former.parameters["stack"].items() if k in known} | {
        "FormerImageTag": stack.image_tag,
        "ExpiresOn": expiry.tag(stack.expires_at),
        **(zones.kept(stack) if "ZoneA" in known else {}),
    }
    renewal = None if boot.is_current() else boot.prepare(str(stack.parameters.get("Owner", "")))
    tag, name = tag_of(former), f"back-{uuid.uuid4().hex[:12]}"
    change_set = stacks.prepare(
        stack.name,
        template.extended(former.parameters.get("additions", {})).text,
        in_account(parameters, tag, there, aws, family.boundary(there)),
        former.parameters["tags"],
        change_set_name=name,
        role_arn=family.service_role(there),
    )
    changes = change_set.changes if change_set else ()
    resources = [change.planned() for change in (*(renewal.changes if renewal else ()), *changes)]
    minutes = template.expected_minutes
    if renewal is not None:
        minutes += boot.template.expected_minutes
    return former.model_copy(
        update={
            "rolls_back": True,
            "resources": resources,
            "writes_at_plan_time": writes(renewal, change_set),
            "expected_minutes": minutes,
            "proven_on": PROVEN_ON,
            "expires_at": stack.expires_at,
            "findings": [],
            "parameters": former.parameters
            | {
                "template": template.digest,
                "stack": parameters,
                "unchanged": change_set is None,
                "change_set": change_set.arn if change_set else None,
                "change_set_name": name,
                "creates": False,
                "changes": [list(change.key) for change in changes],
                "bootstrap_change_set": renewal.arn if renewal else None,
                "bootstrap_creates": renewal.creates if renewal else False,
            },
        }
    )


def _kept(stands: Plan, stack: Stack, earlier: Sequence[Plan], images: Images) -> Plan:
    """The plan that made the version which the stack keeps."""
    anew = "plan with the model that you want"
    tag = stack.parameters.get("FormerImageTag", "")
    if not tag:
        raise InputError(
            f"{stands.name} keeps no version before the one that runs: it was not updated with "
            f"another model yet; {anew}"
        )
    former = next((plan for plan in earlier if tag_of(plan) == tag), None)
    if former is None:
        raise InputError(
            f"{stands.name} keeps the image {tag}, but the plan that made it was not applied from "
            f"here; {anew}"
        )
    if images.digest(tag) is None:
        raise InputError(
            f"the image {tag} of the version before is gone from the registry, so {stands.name} "
            f"cannot go back; {anew}"
        )
    return former
