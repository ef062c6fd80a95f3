"""What must be true of the account before an endpoint is planned there. Looks, changes nothing."""

from __future__ import annotations

from advisor.errors import DeployError, PreflightError
from deploy.aws.findings import bad, budget, good, in_account, model_file, name, quota, unknown
from deploy.aws.session import Aws, told
from deploy.aws.settings import settings_of
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import stack_name
from deploy.requests import PlanRequest
from deploy.target import Finding

QUOTA_OF_ENDPOINTS = "{machine} for endpoint usage"  # the name that Service Quotas gives it
MISSING = "Could not find"


def findings(request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
    """One finding a check; where region or credentials fail, nothing else of AWS is asked.

    Raises PreflightError when AWS cannot be asked for a reason that is not one of the checks.
    """
    return in_account(
        request,
        aws,
        [model_file(request), budget(request), reach(request)],
        ("sagemaker", "SageMaker"),
        lambda: [
            name(request, stacks, lambda: endpoint_name(request.name, aws)),
            machine(request, aws, "ProductionVariantInstanceType"),
            _quota(request, aws),
            *network(request, aws, "sagemaker.runtime"),
            *_canary(request),
        ],
    )


def reach(request: PlanRequest) -> Finding:
    """SageMaker has no way to be public."""
    if request.public:
        return bad(
            "reach",
            "a SageMaker endpoint answers IAM-signed calls only and cannot be made public",
            "leave public out, or choose lambda-apigateway or ecs-fargate",
        )
    return good("reach", "only IAM-signed calls of principals that you allow are answered")


def endpoint_name(deployment: str, aws: Aws) -> Finding:
    """Is the name free of endpoints that no stack of ours made?"""
    endpoint = stack_name(deployment)
    try:
        with told(f"look for an endpoint {endpoint}"):
            aws.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    except PreflightError as error:
        return unknown("name", str(error))
    except DeployError as error:
        if MISSING in str(error):
            return good("name", f"{endpoint} is free")
        raise
    return bad("name", f"an endpoint {endpoint} exists outside any stack of this tool", "rename")


def machine(request: PlanRequest, aws: Aws, shape_name: str) -> Finding:
    """Price lists name machines that the API does not take; the API's own list, the shape of that
    name in its model, decides."""
    wanted = request.ranked.machine
    shape = aws.client("sagemaker").meta.service_model.shape_for(shape_name)
    if wanted not in shape.enum:
        family = wanted.rpartition(".")[0]
        others = ", ".join(name for name in shape.enum if name.startswith(f"{family}."))
        return bad(
            "machine",
            f"the SageMaker API, as the installed botocore knows it, takes no {wanted}",
            f"it takes {others or 'other families'}; or upgrade boto3 if it is new",
        )
    return good("machine", f"the SageMaker API takes {wanted}")


def network(request: PlanRequest, aws: Aws, service: str) -> list[Finding]:
    """What "private network" means here, and whether the account has it; callers in the VPC reach
    the `service` through an interface endpoint."""
    given = settings_of(request, aws.settings)
    private = request.need.control.private_network
    if bool(given.subnet_ids) != bool(given.security_group_ids):
        return [
            bad(
                "network",
                f"{len(given.subnet_ids)} subnets and {len(given.security_group_ids)} security "
                "groups were given",
                "give both or neither (ADVISOR_AWS_SUBNET_IDS, ADVISOR_AWS_SECURITY_GROUP_IDS)",
            )
        ]
    if private and not given.subnet_ids:
        return [
            bad(
                "network",
                "control.private_network is true and no VPC was named",
                "set ADVISOR_AWS_SUBNET_IDS and ADVISOR_AWS_SECURITY_GROUP_IDS, or answer false",
            )
        ]
    if private:
        return [
            good(
                "network",
                f"the containers get addresses in {', '.join(given.subnet_ids)} only",
                f"callers need an interface endpoint for com.amazonaws.{aws.region}.{service} in "
                "their VPC",
            )
        ]
    return [good("network", "the containers reach nothing: network isolation is on")]


def _quota(request: PlanRequest, aws: Aws) -> Finding:
    machine, wanted = request.ranked.machine, request.ranked.replicas.max
    unit = f"× {machine} for endpoints"
    return quota("sagemaker", QUOTA_OF_ENDPOINTS.format(machine=machine), wanted, unit, aws)


def _canary(request: PlanRequest) -> list[Finding]:
    if not request.need.control.canary or request.ranked.replicas.min > 1:
        return []
    return [
        unknown(
            "canary",
            "canary releases need two instances and the plan runs one: updates switch all at once, "
            "with rollback on alarms",
        )
    ]
