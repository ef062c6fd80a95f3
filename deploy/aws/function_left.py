"""What a deployment of a function could leave in the account, found by listing; and old versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from advisor.errors import DeployError
from deploy.aws.container_left import http_apis
from deploy.aws.function_checks import find_function
from deploy.aws.functions import ALIAS
from deploy.aws.leftovers import alarms, log_groups, scalable_targets
from deploy.aws.session import Aws, code_of, told
from deploy.aws.wanted import stack_name

LATEST = "$LATEST"
KEPT_VERSIONS = 2  # the one that serves and the one before it
NO_APPLICATION = "ApplicationDoesNotExistException"


def function_left(deployment: str, aws: Aws) -> Iterator[str]:
    """Function, doors, releases, scaling, alarms, log."""
    name = stack_name(deployment)
    if find_function(deployment, aws) is not None:
        yield f"function {name}"
    yield from http_apis(name, aws)
    yield from _application(name, aws)
    yield from scalable_targets("lambda", f"function:{name}:{ALIAS}", aws)
    yield from alarms(name, aws)
    yield from log_groups(f"/mda/{deployment}", aws)


def forget_older(deployment: str, aws: Aws) -> list[str]:
    """Delete versions older than the one that serves and the one before it; fine to repeat.

    Raises DeployError.
    """
    client, name = aws.client("lambda"), stack_name(deployment)
    found_live: Any = find_function(deployment, aws, ALIAS)
    if found_live is None:
        return []
    live = found_live["Configuration"]["Version"]
    with told(f"look at the versions of {name}"):
        pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
        found = [item["Version"] for page in pages for item in page["Versions"]]
        numbers = sorted((v for v in found if v != LATEST), key=int, reverse=True)
        # Newer than the live one: of an update that was taken back.
        before = [v for v in numbers if int(v) < int(live)][: KEPT_VERSIONS - 1]
        old = [v for v in numbers if v not in (live, *before)]
        for version in old:
            client.delete_function(FunctionName=name, Qualifier=version)
    return [f"AWS::Lambda::Version {name}:{version}" for version in old]


def _application(name: str, aws: Aws) -> Iterator[str]:
    try:
        with told(f"look for the releases of {name}"):
            aws.client("codedeploy").get_application(applicationName=name)
    except DeployError as error:
        if code_of(error) != NO_APPLICATION:
            raise
        return
    yield f"CodeDeploy application {name}"
