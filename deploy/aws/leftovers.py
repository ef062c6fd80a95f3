"""Whether anything of a deployment is left in the account, found by listing, not by memory."""

from __future__ import annotations

from collections.abc import Iterator

from advisor.errors import PreflightError
from deploy.aws.realtime import stack_name
from deploy.aws.session import Aws, told
from deploy.aws.stacks import Stacks

# These are listed by name below. The tag index may still show them for hours after they are gone.
LISTED_BY_NAME = ("sagemaker", "cloudwatch", "logs", "application-autoscaling", "iam")


def left_behind(deployment: str, aws: Aws, stacks: Stacks) -> list[str]:
    """ "type name" of everything of the deployment that still exists; empty when all is gone.

    Raises PreflightError when the account does not let this machine look.
    """
    name = stack_name(deployment)
    found = [f"stack {name} ({stack.status})" for stack in [stacks.find(name)] if stack]
    with told(f"list what is left of {deployment}", PreflightError):
        found += _endpoints(name, aws)
        found += [f"alarm {alarm}" for alarm in _alarms(name, aws)]
        found += [f"log group {group}" for group in _log_groups(name, aws)]
        found += [f"scalable target {target}" for target in _scalable_targets(name, aws)]
        found += list(_tagged(deployment, aws))
    return found


def _endpoints(name: str, aws: Aws) -> Iterator[str]:
    """The endpoint of that name, and models and configurations of its releases."""
    client = aws.client("sagemaker")
    for kind, verb, key, field in (
        ("endpoint", "list_endpoints", "Endpoints", "EndpointName"),
        (
            "endpoint configuration",
            "list_endpoint_configs",
            "EndpointConfigs",
            "EndpointConfigName",
        ),
        ("model", "list_models", "Models", "ModelName"),
    ):
        for page in client.get_paginator(verb).paginate(NameContains=name):
            for item in page[key]:
                if _is_own(item[field], name):
                    yield f"{kind} {item[field]}"


def _is_own(found: str, name: str) -> bool:
    """The name itself or one of its releases (name-twelve hexadecimal digits)."""
    rest = found.removeprefix(f"{name}-")
    return found == name or (
        rest != found and len(rest) == 12 and all(c in "0123456789abcdef" for c in rest)
    )


def _alarms(name: str, aws: Aws) -> Iterator[str]:
    own = {f"{name}-{what}" for what in ("5xx", "latency", "saturation", "cpu")}
    for page in (
        aws.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=f"{name}-")
    ):
        yield from (a["AlarmName"] for a in page["MetricAlarms"] if a["AlarmName"] in own)


def _log_groups(name: str, aws: Aws) -> Iterator[str]:
    group = f"/aws/sagemaker/Endpoints/{name}"
    for page in (
        aws.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group)
    ):
        yield from (g["logGroupName"] for g in page["logGroups"] if g["logGroupName"] == group)


def _scalable_targets(name: str, aws: Aws) -> Iterator[str]:
    resource = f"endpoint/{name}/variant/AllTraffic"
    pages = aws.client("application-autoscaling").get_paginator("describe_scalable_targets")
    for page in pages.paginate(ServiceNamespace="sagemaker", ResourceIds=[resource]):
        yield from (t["ResourceId"] for t in page["ScalableTargets"])


def _tagged(deployment: str, aws: Aws) -> Iterator[str]:
    pages = aws.client("resourcegroupstaggingapi").get_paginator("get_resources")
    for page in pages.paginate(TagFilters=[{"Key": "mda:deployment", "Values": [deployment]}]):
        for mapping in page["ResourceTagMappingList"]:
            if mapping["ResourceARN"].split(":")[2] not in LISTED_BY_NAME:
                yield mapping["ResourceARN"]
