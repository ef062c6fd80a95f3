"""What a deployment's stack is made of: template, parameters, tags; whatever the service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from advisor.errors import InputError
from deploy.aws.bootstrap import MANAGED_BY, PREFIX, Bootstrap
from deploy.aws.images import Architecture
from deploy.aws.session import Aws
from deploy.aws.templates import Template
from deploy.bundle.pack import Variant
from deploy.requests import NOBODY, UNNAMED, PlanRequest

TAG_VALUE = re.compile(r"^[\w\s.:/=+@-]{0,256}$")
OWN_PARAMETERS = ("scenario", "expires-on")  # tags that the templates take as parameters


@dataclass(frozen=True)
class Wanted:
    """The stack of one deployment: template, parameters known so far, tags, and its image.

    `known` gives names and details that are sure before CloudFormation has made anything, by
    logical id. `monthly_extra_usd` is what the stack costs beyond the recommendation, because of
    something that only the plan asks for. `additions` are properties of resources that no parameter
    can carry.
    """

    template: Template
    parameters: dict[str, str]
    tags: dict[str, str]
    architecture: Architecture
    public: tuple[str, ...]
    callers_need: str
    known: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    bundle: Variant = "http"
    monthly_extra_usd: float = 0.0
    additions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The template as it is sent, with the additions of this deployment."""
        return self.template.extended(self.additions).text


def stack_name(deployment: str) -> str:
    """Of the stack, and of what in it carries a name of its own."""
    return f"{PREFIX}{deployment}"


def common_parameters(request: PlanRequest) -> dict[str, str]:
    """Name, owner, scenario and expiry. Raises InputError for what cannot be a tag's value."""
    return {
        "DeploymentName": request.name,
        "Owner": tag_value("owner", request.owner or NOBODY),
        "Scenario": tag_value("scenario", request.tags.get("scenario", UNNAMED)),
        "ExpiresOn": tag_value("expires-on", request.tags.get("expires-on", "never")),
    }


def stack_tags(request: PlanRequest) -> dict[str, str]:
    """Tags of the stack as a whole. Raises InputError for what cannot be a tag's value."""
    own = {k: tag_value(k, v) for k, v in request.tags.items() if k not in OWN_PARAMETERS}
    return own | MANAGED_BY | {"mda:deployment": request.name}


def in_account(
    parameters: dict[str, str], tag: str, bootstrap: Bootstrap, aws: Aws, boundary_arn: str
) -> dict[str, str]:
    """The parameters with what only the bootstrapped account knows: image, repository, boundary,
    and the bucket where the template takes it."""
    partition = boundary_arn.split(":")[1]
    own = {"BucketName": bootstrap.bucket} if "BucketName" in parameters else {}
    repository = f"arn:{partition}:ecr:{aws.region}:{aws.account}:repository"
    return (
        parameters
        | own
        | {
            "ImageUri": f"{bootstrap.repository_uri}:{tag}",
            "RepositoryArn": f"{repository}/{bootstrap.repository_name}",
            "PermissionsBoundaryArn": boundary_arn,
        }
    )


def number(value: float) -> str:
    """For a Number parameter: never below the templates' least, 4 significant digits or more."""
    return f"{max(value, 0.01):.10g}"


def tag_value(name: str, value: str) -> str:
    """The value itself. Raises InputError when AWS would not take it for a tag."""
    if not TAG_VALUE.match(value):
        raise InputError(
            f"the tag {name} is {value!r}; AWS takes at most 256 letters, digits, blanks and "
            "_ . : / = + - @"
        )
    return value
