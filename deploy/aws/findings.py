"""What every stack needs of the model file, the budget and the account; and findings in short."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from advisor.errors import DeployError, PreflightError
from advisor.prices.status import stale_note
from deploy.aws.bootstrap import MANAGED_BY
from deploy.aws.session import Aws, told
from deploy.aws.stack_events import words
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import stack_name
from deploy.files import sha256_of
from deploy.requests import PlanRequest
from deploy.target import Finding


def in_account(
    request: PlanRequest,
    aws: Aws,
    before: list[Finding],
    service: tuple[str, str],
    after: Callable[[], Iterable[Finding]],
) -> list[Finding]:
    """The findings of any target, in order: what needs no AWS (`before`), the region, the
    credentials, and only where these two hold what the account is asked (`after`).

    `service` is botocore's name and a person's. Raises PreflightError when AWS cannot be asked for
    a reason that is not one of the checks.
    """
    found = [*before, region(request, aws, *service)]
    if found[-1].ok:
        found.append(credentials(aws))
    return [*found, *after()] if found[-1].ok else found


def quotas_of(code: str, aws: Aws) -> dict[str, float]:
    """What the account may have of a service, by the quota's name. Raises DeployError."""
    with told(f"read the quotas of {code}"):
        pages = aws.client("service-quotas").get_paginator("list_service_quotas")
        return {
            found["QuotaName"]: float(found["Value"])
            for page in pages.paginate(ServiceCode=code)
            for found in page["Quotas"]
        }


def quota(code: str, quota_name: str, wanted: float, unit: str, aws: Aws) -> Finding:
    """Is `wanted` within the account's quota of that name? Not blocking when it cannot be read.

    `code` is the service's in Service Quotas; `unit` is what is counted, as in "4 vCPU".
    """
    try:
        quotas = quotas_of(code, aws)
    except DeployError as error:
        return unknown("quota", f"the quota {quota_name!r} could not be read: {error}")
    if quota_name not in quotas:
        return unknown("quota", f"Service Quotas names no quota {quota_name!r}")
    if quotas[quota_name] < wanted:
        return bad(
            "quota",
            f"the account may run {quotas[quota_name]:g} {unit} and the plan needs {wanted:g}",
            f"ask for more of {quota_name!r} under Service Quotas",
        )
    return good(
        "quota", f"{wanted:g} of {quotas[quota_name]:g} {unit}; what runs already counts too"
    )


def free(request: PlanRequest) -> Finding:
    """The name is free, where nothing outside of the stack could carry it."""
    return good("name", f"{stack_name(request.name)} is free")


def model_file(request: PlanRequest) -> Finding:
    """Is the file safe to load, and still the one that was inspected?"""
    artifact = request.artifact
    if artifact.safety.verdict == "refused":
        why = "; ".join(artifact.safety.findings) or "it asks for code outside the allow-list"
        return bad("model file", f"{artifact.path.name} is not safe to load: {why}", "use ONNX")
    if sha256_of(artifact.path) != artifact.digest:
        return bad(
            "model file", f"{artifact.path.name} changed since it was inspected", "inspect it again"
        )
    return good(
        "model file", f"{artifact.path.name}, {artifact.size_mb:,.1f} MB, goes into the image"
    )


def budget(request: PlanRequest, extra_usd: float = 0.0) -> Finding:
    """Does the monthly bill keep within the budget? `extra_usd` is on top of the recommendation."""
    cap = request.need.budget.monthly_usd
    cost = request.ranked.monthly_usd.expected + extra_usd
    if cap is not None and cost > cap:
        return bad(
            "budget",
            f"${cost:,.0f} a month is above the budget of ${cap:,.0f} (budget.monthly_usd)",
            "choose another option or raise the budget",
        )
    if cap is None:
        return good("budget", f"${cost:,.0f} a month; no budget was given")
    return good("budget", f"${cost:,.0f} of ${cap:,.0f} a month")


def prices(request: PlanRequest) -> Finding:
    """Are the unit prices of the bill recent? Old ones never block."""
    note = stale_note(line.as_of for line in request.ranked.lines)
    return Finding(
        check="prices",
        ok=not note,
        blocking=False,
        message=note.rstrip(".") or "every unit price of the bill is dated and recent",
    )


def region(request: PlanRequest, aws: Aws, service: str, title: str) -> Finding:
    """Is the service (botocore's name, and a person's) offered in the region?"""
    known = aws.regions(service)
    if request.ranked.region not in known:
        return bad(
            "region",
            f"{title} is not known in {request.ranked.region!r}",
            f"use one of {', '.join(known[:6])} …",
        )
    return good("region", f"{title} is offered in {request.ranked.region}")


def credentials(aws: Aws) -> Finding:
    """Who AWS takes this machine for; a blocking finding when it takes it for nobody."""
    try:
        account = aws.identity
    except PreflightError as error:
        return bad("credentials", str(error))
    return good(
        "credentials",
        f"AWS knows this machine as {account['arn']} in account {account['account']}",
    )


def name(request: PlanRequest, stacks: Stacks, when_free: Callable[[], Finding]) -> Finding:
    """Is the name free, or ours to update? `when_free` looks outside of CloudFormation."""
    stack = stacks.find(stack_name(request.name))
    if stack is None:
        return when_free()
    if not stack.is_review and not MANAGED_BY.items() <= stack.tags.items():
        return bad(
            "name",
            f"a stack {stack.name} exists that was not made here (it lacks the tag mda:managed-by)",
            "choose another name",
        )
    if stack.is_busy:
        return bad("name", f"the stack {stack.name} is {words(stack.status)}", "wait for it")
    if stack.is_stuck:
        return bad("name", f"the stack {stack.name} is {words(stack.status)}", "destroy it first")
    if stack.is_review or stack.is_empty_shell:
        return good("name", f"{stack.name} was planned or tried before and runs nothing")
    return good("name", f"{stack.name} runs already and would be updated in place")


def good(check: str, message: str, fix: str = "") -> Finding:
    return Finding(check=check, ok=True, blocking=not fix, message=message, fix=fix)


def bad(check: str, message: str, fix: str = "") -> Finding:
    return Finding(check=check, ok=False, blocking=True, message=message, fix=fix)


def unknown(check: str, message: str, fix: str = "") -> Finding:
    """Could not be told: shown, and stops nothing."""
    return Finding(check=check, ok=False, blocking=False, message=message, fix=fix)
