"""What must be true of the account before a function is planned there. Changes nothing."""

from __future__ import annotations

from advisor.catalog.loader import option as catalog_option
from advisor.errors import DeployError
from advisor.vocabulary import Mode
from deploy.aws.container_checks import mode
from deploy.aws.findings import bad, budget, good, in_account, model_file, name, unknown
from deploy.aws.functions import URL, function_reach, reserved
from deploy.aws.limits import limit
from deploy.aws.reach import GATEWAY_JWT, no_audience, token_findings
from deploy.aws.session import Aws, AwsSettings, code_of, told
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import stack_name
from deploy.requests import PlanRequest
from deploy.target import Finding

MISSING = "ResourceNotFoundException"
MB_PER_GB = 1024


def function_findings(
    request: PlanRequest, given: AwsSettings, aws: Aws, stacks: Stacks
) -> list[Finding]:
    """One finding a check. Raises PreflightError when AWS cannot be asked for another reason."""
    before = [
        model_file(request),
        mode(request, Mode.realtime, "a function answers whoever calls it", "aws-batch"),
        budget(request),
        _reach(request, given),
        *token_findings(function_reach(request, given), given),
        _size(request),
    ]
    return in_account(
        request, aws, before, ("lambda", "Lambda"),
        lambda: [
            name(request, stacks, lambda: _function_name(request.name, aws)),
            _concurrency(request, aws),
        ],
    )  # fmt: skip


def reservable(request: PlanRequest, aws: Aws) -> int:
    """The calls at once to reserve; 0 where the account's quota leaves no room for that, or cannot
    be read, which the findings say."""
    wanted = reserved(request)
    try:
        _, unreserved = _limits(request.name, aws)
    except DeployError:
        return 0
    return wanted if wanted <= unreserved - limit("unreserved_concurrency") else 0


def find_function(deployment: str, aws: Aws, qualifier: str = "") -> dict[str, object] | None:
    """What GetFunction says of the deployment's function; None when there is none."""
    which = {"Qualifier": qualifier} if qualifier else {}
    try:
        with told(f"look at the function {stack_name(deployment)}"):
            found: dict[str, object] = aws.client("lambda").get_function(
                FunctionName=stack_name(deployment), **which
            )
    except DeployError as error:
        if code_of(error) == MISSING:
            return None
        raise
    return found


def _reach(request: PlanRequest, given: AwsSettings) -> Finding:
    reach = function_reach(request, given)
    if request.need.control.private_network:
        return bad(
            "reach",
            "control.private_network is true, and a function is called through a door on the "
            "internet: a private REST API is priced, but not deployed from here",
            "choose ecs-fargate, or answer control.private_network with false",
        )
    if request.public and given.jwt_issuer and request.ranked.deploy_variant == URL:
        return bad(
            "reach",
            f"a function URL knows IAM only, and tokens of {given.jwt_issuer} were asked for",
            "choose lambda-apigateway, or leave the issuer out (ADVISOR_AWS_JWT_ISSUER)",
        )
    if reach == GATEWAY_JWT and not given.jwt_audience:
        return no_audience(given)
    how = "tokens" if reach == GATEWAY_JWT else "IAM signatures"
    return good("reach", f"on the internet over TLS; every call is authenticated by {how}")


def _size(request: PlanRequest) -> Finding:
    """Does the model alone leave room in an image, and do image and memory pass the limits?"""
    facts = catalog_option(request.ranked.option)
    size_gb, most_gb = request.artifact.size_mb / MB_PER_GB, facts.number("max_image_gb")
    memory_mb, most_mb = request.ranked.sizing.memory_mb or 0, facts.number("max_memory_mb")
    if size_gb > most_gb:
        return bad(
            "size",
            f"{request.artifact.path.name} has {size_gb:,.1f} GB and the image of a function "
            f"{most_gb:g} GB at most, libraries included",
            "choose ecs-fargate or sagemaker-realtime",
        )
    return good(
        "size", f"{memory_mb:,.0f} of {most_mb:,.0f} MB of memory; the image is below 10 GB"
    )


def _function_name(deployment: str, aws: Aws) -> Finding:
    function = stack_name(deployment)
    if find_function(deployment, aws) is not None:
        return bad("name", f"a function {function} exists outside any stack of this tool", "rename")
    return good("name", f"{function} is free")


def _limits(deployment: str, aws: Aws) -> tuple[float, float]:
    """Calls at once that the account may run, and of them those that nothing else has reserved."""
    with told("read the account's limits of Lambda"):
        found = aws.client("lambda").get_account_settings()["AccountLimit"]
    own = find_function(deployment, aws) or {}
    concurrency = own.get("Concurrency")
    kept = concurrency["ReservedConcurrentExecutions"] if isinstance(concurrency, dict) else 0
    return float(found["ConcurrentExecutions"]), found["UnreservedConcurrentExecutions"] + kept


def _concurrency(request: PlanRequest, aws: Aws) -> Finding:
    """Is there room for the busiest hour, for what is kept ready, and for the reservation?"""
    fix = "ask for more 'Concurrent executions' under Service Quotas, AWS Lambda"
    try:
        total, unreserved = _limits(request.name, aws)
    except DeployError as error:
        return unknown(
            "quota",
            f"the quota of calls at once could not be read, so nothing is reserved: {error}",
        )
    ready, busiest = max(request.ranked.sizing.hourly_replicas, default=0), reserved(request)
    least = limit("unreserved_concurrency")
    if ready and ready > unreserved - least:
        return bad(
            "quota",
            f"{ready} instances are to be kept ready; the account may run {total:g} at once, "
            f"{unreserved:g} of them are unreserved, and {least:g} have to stay so",
            fix,
        )
    if request.ranked.replicas.max > unreserved:
        return bad(
            "quota",
            f"the account has {unreserved:g} calls at once left and the busiest hour needs "
            f"{request.ranked.replicas.max}",
            fix,
        )
    if busiest > unreserved - least:
        return unknown(
            "quota",
            f"nothing is reserved: {busiest} calls at once were to be, of {unreserved:g} that are "
            f"left, and {least:g} have to stay unreserved; other functions can use up the quota",
            fix,
        )
    return good("quota", f"{busiest} of {unreserved:g} calls at once are reserved for it")
