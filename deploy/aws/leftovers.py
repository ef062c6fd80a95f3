"""Whether anything of a deployment is left in the account, found by listing, not by memory."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator

from advisor.errors import PreflightError
from deploy.aws.session import Aws, told
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import stack_name

# These are listed by name below. The tag index may still show them for hours after they are gone.
LISTED_BY_NAME = ("sagemaker", "cloudwatch", "logs", "application-autoscaling", "iam")
ALARMS = ("5xx", "latency", "saturation", "cpu", "memory", "backlog-age", "wake")


Lister = Callable[[str, Aws], Iterable[str]]


def left_behind(
    deployment: str,
    aws: Aws,
    stacks: Stacks,
    listers: Iterable[Lister],
    listed: Container[str] = LISTED_BY_NAME,
) -> list[str]:
    """ "type name" of everything of the deployment that still exists; empty when all is gone.

    Each lister is asked with the deployment's name; `listed` are the services whose resources the
    listers cover. Raises PreflightError when the account does not let this machine look.
    """
    name = stack_name(deployment)
    found = [f"stack {name} ({stack.status})" for stack in [stacks.find(name)] if stack]
    with told(f"list what is left of {deployment}", PreflightError):
        for lister in listers:
            found += lister(deployment, aws)
        found += _tagged(deployment, aws, listed)
    return found


def sagemaker_left(deployment: str, aws: Aws) -> Iterator[str]:
    """Endpoint, releases, alarms, log group and scaling of a SageMaker endpoint."""
    name = stack_name(deployment)
    yield from _endpoints(name, aws)
    yield from alarms(name, aws)
    yield from log_groups(f"/aws/sagemaker/Endpoints/{name}", aws)
    yield from scalable_targets("sagemaker", f"endpoint/{name}/variant/AllTraffic", aws)


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


def alarms(name: str, aws: Aws) -> Iterator[str]:
    """Alarms called NAME-WHAT, but none of a deployment whose own name begins alike."""
    own = {f"{name}-{what}" for what in ALARMS}
    pages = aws.client("cloudwatch").get_paginator("describe_alarms")
    for page in pages.paginate(AlarmNamePrefix=f"{name}-"):
        for alarm in page["MetricAlarms"]:
            if alarm["AlarmName"] in own:
                yield f"alarm {alarm['AlarmName']}"


def log_groups(group: str, aws: Aws) -> Iterator[str]:
    """The log group of exactly that name."""
    pages = aws.client("logs").get_paginator("describe_log_groups")
    for page in pages.paginate(logGroupNamePrefix=group):
        for found in page["logGroups"]:
            if found["logGroupName"] == group:
                yield f"log group {group}"


def scalable_targets(namespace: str, resource: str, aws: Aws) -> Iterator[str]:
    """What Application Auto Scaling still scales of the resource."""
    pages = aws.client("application-autoscaling").get_paginator("describe_scalable_targets")
    for page in pages.paginate(ServiceNamespace=namespace, ResourceIds=[resource]):
        for target in page["ScalableTargets"]:
            yield f"scalable target {target['ResourceId']}"


def _tagged(deployment: str, aws: Aws, listed: Container[str]) -> Iterator[str]:
    pages = aws.client("resourcegroupstaggingapi").get_paginator("get_resources")
    for page in pages.paginate(TagFilters=[{"Key": "mda:deployment", "Values": [deployment]}]):
        for mapping in page["ResourceTagMappingList"]:
            if mapping["ResourceARN"].split(":")[2] not in listed:
                yield mapping["ResourceARN"]
