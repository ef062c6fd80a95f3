"""What must be true of the account before an endpoint is planned there. Looks, changes nothing."""

from __future__ import annotations

from advisor.errors import DeployError, PreflightError
from deploy.aws.bootstrap import MANAGED_BY
from deploy.aws.realtime import settings_of, stack_name
from deploy.aws.session import Aws, told
from deploy.aws.stack_events import words
from deploy.aws.stacks import Stacks
from deploy.files import sha256_of
from deploy.requests import PlanRequest
from deploy.target import Finding

QUOTA_OF_ENDPOINTS = "{machine} for endpoint usage"  # the name that Service Quotas gives it
MISSING = "Could not find"


def findings(request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
    """One finding a check; where region or credentials fail, nothing else of AWS is asked.

    Raises PreflightError when AWS cannot be asked for a reason that is not one of the checks.
    """
    before = [_model(request), _budget(request), _reach(request), _region(request, aws)]
    if not before[-1].ok:
        return before
    try:
        account = aws.identity
    except PreflightError as error:
        return [*before, _bad("credentials", str(error))]
    who = f"{account['arn']} in account {account['account']}"
    return [
        *before,
        _good("credentials", f"AWS knows this machine as {who}"),
        _name(request.name, aws, stacks),
        _machine(request, aws),
        _quota(request, aws),
        *_network(request, aws),
        *_canary(request),
    ]


def _model(request: PlanRequest) -> Finding:
    artifact = request.artifact
    if artifact.safety.verdict == "refused":
        why = "; ".join(artifact.safety.findings) or "it asks for code outside the allow-list"
        return _bad("model file", f"{artifact.path.name} is not safe to load: {why}", "use ONNX")
    if sha256_of(artifact.path) != artifact.digest:
        return _bad(
            "model file", f"{artifact.path.name} changed since it was inspected", "inspect it again"
        )
    return _good(
        "model file", f"{artifact.path.name}, {artifact.size_mb:,.1f} MB, goes into the image"
    )


def _budget(request: PlanRequest) -> Finding:
    budget, cost = request.need.budget.monthly_usd, request.ranked.monthly_usd.expected
    if budget is not None and cost > budget:
        return _bad(
            "budget",
            f"${cost:,.0f} a month is above the budget of ${budget:,.0f} (budget.monthly_usd)",
            "choose another option or raise the budget",
        )
    if budget is None:
        return _good("budget", f"${cost:,.0f} a month; no budget was given")
    return _good("budget", f"${cost:,.0f} of ${budget:,.0f} a month")


def _reach(request: PlanRequest) -> Finding:
    if request.public:
        return _bad(
            "reach",
            "a SageMaker endpoint answers IAM-signed calls only and cannot be made public",
            "leave public out, or choose lambda-apigateway or ecs-fargate",
        )
    return _good("reach", "only IAM-signed calls of principals that you allow are answered")


def _region(request: PlanRequest, aws: Aws) -> Finding:
    region = request.ranked.region
    known = aws.regions("sagemaker")
    if region not in known:
        return _bad(
            "region",
            f"SageMaker is not known in {region!r}",
            f"use one of {', '.join(known[:6])} …",
        )
    return _good("region", f"SageMaker is offered in {region}")


def _name(name: str, aws: Aws, stacks: Stacks) -> Finding:
    stack = stacks.find(stack_name(name))
    if stack is None:
        return _endpoint_name(name, aws)
    if not stack.is_review and not MANAGED_BY.items() <= stack.tags.items():
        return _bad(
            "name",
            f"a stack {stack.name} exists that was not made here (it lacks the tag mda:managed-by)",
            "choose another name",
        )
    if stack.is_busy:
        return _bad("name", f"the stack {stack.name} is {words(stack.status)}", "wait for it")
    if stack.is_stuck:
        return _bad("name", f"the stack {stack.name} is {words(stack.status)}", "destroy it first")
    if stack.is_review or stack.is_empty_shell:
        return _good("name", f"{stack.name} was planned or tried before and runs nothing")
    return _good("name", f"{stack.name} runs already and would be updated in place")


def _endpoint_name(name: str, aws: Aws) -> Finding:
    endpoint = stack_name(name)
    try:
        with told(f"look for an endpoint {endpoint}"):
            aws.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    except PreflightError as error:
        return _unknown("name", str(error))
    except DeployError as error:
        if MISSING in str(error):
            return _good("name", f"{endpoint} is free")
        raise
    return _bad("name", f"an endpoint {endpoint} exists outside any stack of this tool", "rename")


def _machine(request: PlanRequest, aws: Aws) -> Finding:
    """Price lists name machines that the API does not take; the API's own list decides."""
    machine = request.ranked.machine
    shape = aws.client("sagemaker").meta.service_model.shape_for("ProductionVariantInstanceType")
    if machine not in shape.enum:
        family = machine.rpartition(".")[0]
        others = ", ".join(name for name in shape.enum if name.startswith(f"{family}."))
        return _bad(
            "machine",
            f"the SageMaker API, as the installed botocore knows it, takes no {machine}",
            f"it takes {others or 'other families'}; or upgrade boto3 if it is new",
        )
    return _good("machine", f"the SageMaker API takes {machine}")


def _quota(request: PlanRequest, aws: Aws) -> Finding:
    machine, wanted = request.ranked.machine, request.ranked.replicas.max
    name = QUOTA_OF_ENDPOINTS.format(machine=machine)
    try:
        with told("read the SageMaker quotas"):
            pages = aws.client("service-quotas").get_paginator("list_service_quotas")
            quotas = {
                quota["QuotaName"]: float(quota["Value"])
                for page in pages.paginate(ServiceCode="sagemaker")
                for quota in page["Quotas"]
            }
    except DeployError as error:
        return _unknown("quota", f"the quota for {machine} could not be read: {error}")
    if name not in quotas:
        return _unknown("quota", f"Service Quotas names no quota {name!r}")
    if quotas[name] < wanted:
        return _bad(
            "quota",
            f"the account may run {quotas[name]:g} × {machine} for endpoints and the plan needs "
            f"{wanted}",
            "ask for more under Service Quotas, Amazon SageMaker",
        )
    return _good(
        "quota", f"{wanted} of {quotas[name]:g} × {machine}; what other endpoints use counts too"
    )


def _network(request: PlanRequest, aws: Aws) -> list[Finding]:
    """What "private network" means here, and whether the account has it."""
    given = settings_of(request, aws.settings)
    private = request.need.control.private_network
    if bool(given.subnet_ids) != bool(given.security_group_ids):
        return [
            _bad(
                "network",
                f"{len(given.subnet_ids)} subnets and {len(given.security_group_ids)} security "
                "groups were given",
                "give both or neither (ADVISOR_AWS_SUBNET_IDS, ADVISOR_AWS_SECURITY_GROUP_IDS)",
            )
        ]
    if private and not given.subnet_ids:
        return [
            _bad(
                "network",
                "control.private_network is true and no VPC was named",
                "set ADVISOR_AWS_SUBNET_IDS and ADVISOR_AWS_SECURITY_GROUP_IDS, or answer false",
            )
        ]
    if private:
        return [
            Finding(
                check="network",
                ok=True,
                blocking=False,
                message=f"the containers get addresses in {', '.join(given.subnet_ids)} only",
                fix=f"callers need an interface endpoint for com.amazonaws.{aws.region}"
                ".sagemaker.runtime in their VPC",
            )
        ]
    return [_good("network", "the containers reach nothing: network isolation is on")]


def _canary(request: PlanRequest) -> list[Finding]:
    if not request.need.control.canary or request.ranked.replicas.min > 1:
        return []
    return [
        _unknown(
            "canary",
            "canary releases need two instances and the plan runs one: updates switch all at once, "
            "with rollback on alarms",
        )
    ]


def _good(check: str, message: str) -> Finding:
    return Finding(check=check, ok=True, blocking=True, message=message)


def _bad(check: str, message: str, fix: str = "") -> Finding:
    return Finding(check=check, ok=False, blocking=True, message=message, fix=fix)


def _unknown(check: str, message: str) -> Finding:
    return Finding(check=check, ok=False, blocking=False, message=message)
