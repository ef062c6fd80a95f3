"""What of ours stands in an account and region, whoever made it: found by tags, not by memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from advisor.errors import DeployError, InputError, PreflightError
from deploy.aws.bootstrap import PREFIX, BootstrapStack
from deploy.aws.drift import drifted
from deploy.aws.session import Aws, told
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import state_of
from deploy.aws.stack_target import StackTarget
from deploy.aws.stacks import Stacks
from deploy.requests import NOBODY, UNNAMED, check_name
from deploy.target import Plan, PlannedResource, State

HOUR = timedelta(hours=1)
HOURS_IN_MONTH = 730
DEPLOYMENT_TAG = "mda:deployment"
# The first type that a stack holds says which target knows how to take it down.
TARGET_OF_TYPE = {
    "AWS::SageMaker::Model": "sagemaker",
    "AWS::SageMaker::EndpointConfig": "sagemaker",
    "AWS::Batch::ComputeEnvironment": "batch",
    "AWS::Batch::JobDefinition": "batch",
    "AWS::Lambda::Function": "lambda_api",
    "AWS::ECS::Cluster": "ecs",
    "AWS::EKS::Cluster": "eks",
    "AWS::AutoScaling::AutoScalingGroup": "ec2",
    "AWS::EC2::LaunchTemplate": "ec2",
}
OPTION_BY_PARAMETER = {  # that one of SageMaker's templates alone has
    "TrafficShift": "sagemaker-realtime",
    "MemoryMb": "sagemaker-serverless",
    "BacklogAgeAlarmSeconds": "sagemaker-async",
    "BatchStrategy": "sagemaker-batch",
}
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"


class Standing(BaseModel):
    """One deployment in the account. What is not known is None."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    region: str
    state: State
    stack_status: str
    target: str | None  # None where the stack holds nothing yet that tells
    owner: str
    scenario: str = ""  # what was decided on; empty where the stack was not told
    option: str | None = None  # of the comparison table; None where the stack holds nothing yet
    created_at: datetime
    hours_up: float
    expires_at: datetime | None
    monthly_usd: float | None  # of the plan kept here, else of the stack's own budget
    so_far_usd: float | None  # by that estimate and the hours, not by the account's bill
    requests_last_hour: float | None
    errors_last_hour: float | None
    p95_ms_last_hour: float | None  # as the service measures it; None without a request
    recorded_here: bool
    drift: list[str] | None  # None where nobody asked, or where the stack does not rest


def standing(aws: Aws, recorded: Mapping[str, Plan], *, drift: bool = False) -> list[Standing]:
    """Every deployment of the account and region, also those that somebody else made.

    `recorded` are the plans kept here of this account and region, by name. With `drift` it blocks
    until CloudFormation has compared each stack. Raises PreflightError, DeployError.
    """
    stacks, now = Stacks(aws), datetime.now(UTC)
    return [_standing(stack, stacks, recorded, now, drift) for stack in own_stacks(stacks)]


def own_stacks(stacks: Stacks) -> list[Stack]:
    """Stacks that carry our tags and our kind of name, by name."""
    return sorted(BootstrapStack(stacks).stacks(), key=lambda s: s.name)


def adopted(name: str, aws: Aws) -> Plan:
    """A plan with what it takes to destroy a deployment of which nothing is kept here.

    Raises InputError when no stack of ours has that name, or when it does not tell its kind.
    """
    check_name(name)
    stacks = Stacks(aws)
    by_name = {stack.name.removeprefix(PREFIX): stack for stack in own_stacks(stacks)}
    if name not in by_name:
        there = ", ".join(by_name) or "none"
        raise InputError(
            f"no deployment {name!r} of this tool stands in account {aws.account}, {aws.region}; "
            f"there: {there}"
        )
    stack = by_name[name]
    held = stacks.resources(stack.id)
    kind = _target_of(held)
    if kind is None and not (stack.is_review or stack.is_empty_shell):
        raise InputError(
            f"the stack {stack.name} ({stack.status}) holds nothing that tells its kind; delete it "
            "in CloudFormation"
        )
    return Plan(
        name=name,
        option="unknown",
        target=kind or "sagemaker",  # an empty stack goes the same way everywhere
        variant="",
        created_at=stack.created_at or datetime.now(UTC),
        model_path="",
        model_format="unknown",
        model_digest="",
        bundle_hash=stack.image_tag.removeprefix("bundle-").partition("-")[0],
        account=aws.account,
        region=aws.region,
        monthly_usd=_monthly(stack, None),
        resources=[
            PlannedResource(action="keep", kind=kind_of, name=physical)
            for kind_of, _, physical in (line.partition(" ") for line in held)
        ],
        expected_minutes=0,
        proven_by="emulator",
        proven_on="never",
        expires_at=stack.expires_at,
        parameters={"change_set": None, "bootstrap_change_set": None, "stack": stack.parameters},
    )


def still_tagged(aws: Aws, proven: Mapping[str, StackTarget]) -> list[str]:
    """ARNs that still carry a deployment's tag. Of a deployment in `proven` its target has listed
    some services itself; of those the tag index, hours late, is not believed. Raises
    PreflightError."""
    found = []
    with told("list what carries the tags of deployments", PreflightError):
        pages = aws.client("resourcegroupstaggingapi").get_paginator("get_resources")
        for page in pages.paginate(TagFilters=[{"Key": DEPLOYMENT_TAG}]):
            for mapping in page["ResourceTagMappingList"]:
                arn = mapping["ResourceARN"]
                tags = {tag["Key"]: tag["Value"] for tag in mapping["Tags"]}
                target = proven.get(tags.get(DEPLOYMENT_TAG, ""))
                if target is None or arn.split(":")[2] not in target.listed:
                    found.append(arn)
    return sorted(found)


def _standing(
    stack: Stack, stacks: Stacks, recorded: Mapping[str, Plan], now: datetime, drift: bool
) -> Standing:
    name = stack.name.removeprefix(PREFIX)
    plan = recorded.get(name)
    held = stacks.resources(stack.id)
    created = stack.created_at or now
    hours = max((now - created) / HOUR, 0.0)
    monthly = _monthly(stack, plan)
    rests = state_of(stack) == "running" and not stack.is_busy
    asked, failed, p95_ms = _last_hour(stack, held, stacks.aws, now)
    return Standing(
        name=name,
        region=stacks.aws.region,
        state=state_of(stack),
        stack_status=stack.status,
        target=_target_of(held),
        owner=stack.parameters.get("Owner", NOBODY),
        scenario=named if (named := stack.parameters.get("Scenario", "")) != UNNAMED else "",
        option=plan.option if plan is not None else _option_of(held, stack.parameters),
        created_at=created,
        hours_up=round(hours, 2),
        expires_at=stack.expires_at,
        monthly_usd=monthly,
        so_far_usd=None if monthly is None else round(monthly * hours / HOURS_IN_MONTH, 4),
        requests_last_hour=asked,
        errors_last_hour=failed,
        p95_ms_last_hour=p95_ms,
        recorded_here=plan is not None,
        drift=drifted(stack, stacks.aws) if drift and rests else None,
    )


def _target_of(held: list[str]) -> str | None:
    types = {line.partition(" ")[0] for line in held}
    return next((target for kind, target in TARGET_OF_TYPE.items() if kind in types), None)


def _option_of(held: list[str], given: Mapping[str, str]) -> str | None:
    """What the comparison table calls the service, by what the stack holds and was made with."""
    kind = _target_of(held)
    if kind == "ecs":
        return "ecs-ec2" if given.get("Launch") == "EC2" else "ecs-fargate"
    if kind == "lambda_api":
        return "lambda-url" if given.get("Reach") == "url-iam" else "lambda-apigateway"
    if kind == "sagemaker":
        return next(
            (option for parameter, option in OPTION_BY_PARAMETER.items() if parameter in given),
            None,
        )
    return {"batch": "aws-batch"}.get(kind or "", kind)


def _monthly(stack: Stack, plan: Plan | None) -> float | None:
    if plan is not None:
        return plan.monthly_usd
    budget = stack.parameters.get("BudgetUsd")
    return float(budget) if budget else None


def _last_hour(
    stack: Stack, held: list[str], aws: Aws, now: datetime
) -> tuple[float | None, float | None, float | None]:
    """Requests, server errors and the 95th percentile in ms of the last hour; None where the kind
    has no such metric, the percentile also where nothing was asked."""
    metrics = _metrics(stack.name, held)
    if metrics is None:
        return None, None, None
    counted = (metrics.requests, *metrics.errors)
    wanted = [(name, "Sum", 60) for name in counted]
    wanted += [(name, "p95", round(HOUR.total_seconds())) for name in metrics.latencies]
    queries = [
        {
            "Id": f"m{i}",
            "MetricStat": {
                "Metric": {
                    "Namespace": metrics.namespace,
                    "MetricName": metric,
                    "Dimensions": [{"Name": k, "Value": v} for k, v in metrics.dimensions.items()],
                },
                "Period": period_s,
                "Stat": statistic,
            },
        }
        for i, (metric, statistic, period_s) in enumerate(wanted)
    ]
    with told(f"read the metrics of {stack.name}", DeployError):
        answer: dict[str, Any] = aws.client("cloudwatch").get_metric_data(
            MetricDataQueries=queries, StartTime=now - HOUR, EndTime=now
        )
    values = {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}
    # Two latencies follow each other: the sum of their percentiles is near that of their sum.
    after = range(len(counted), len(wanted))
    latencies = [max(found) for i in after if (found := values.get(f"m{i}"))]
    p95_ms = round(sum(latencies) * metrics.ms_in_unit, 3) if latencies else None
    failed = sum(sum(values.get(f"m{i}", [])) for i in range(1, len(counted)))
    return sum(values.get("m0", [])), failed, p95_ms


@dataclass(frozen=True)
class _Metrics:
    """Names of a service's metrics; a unit of its latencies is `ms_in_unit` milliseconds."""

    namespace: str
    dimensions: dict[str, str]
    requests: str
    errors: tuple[str, ...]
    latencies: tuple[str, ...]
    ms_in_unit: float


def _metrics(name: str, held: list[str]) -> _Metrics | None:
    """Each service's CloudWatch reference: SageMaker's latencies are in microseconds, Lambda's
    duration in milliseconds, the load balancer's response time in seconds."""
    types = {line.partition(" ")[0]: line.partition(" ")[2] for line in held}
    if "AWS::SageMaker::Endpoint" in types:
        variant = {"EndpointName": name, "VariantName": "AllTraffic"}
        both = ("ModelLatency", "OverheadLatency")
        return _Metrics(
            "AWS/SageMaker", variant, "Invocations", ("Invocation5XXErrors",), both, 0.001
        )
    if "AWS::Lambda::Function" in types:
        function = {"FunctionName": types["AWS::Lambda::Function"]}
        return _Metrics("AWS/Lambda", function, "Invocations", ("Errors",), ("Duration",), 1.0)
    if BALANCER in types:
        balancer = {"LoadBalancer": types[BALANCER].partition(":loadbalancer/")[2]}
        response = ("TargetResponseTime",)
        # What no healthy server was there for the balancer refuses, and counts apart.
        errors = ("HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count")
        return _Metrics("AWS/ApplicationELB", balancer, "RequestCount", errors, response, 1000.0)
    return None
