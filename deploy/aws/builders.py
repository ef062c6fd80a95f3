"""Who builds a plan's image: the account's own CodeBuild, or an engine of this machine."""

from __future__ import annotations

from typing import Literal, get_args

from advisor.errors import InputError, PreflightError
from deploy.aws.findings import bad, good
from deploy.aws.session import AwsSettings
from deploy.aws.settings import BUILDER
from deploy.images.engines import Architecture, EngineName, engine_for
from deploy.requests import PlanRequest
from deploy.target import Finding

CODEBUILD: Literal["codebuild"] = "codebuild"
Builder = Literal["codebuild", "docker", "podman", "buildah"]
BUILDERS: tuple[Builder, ...] = get_args(Builder)
SETTING = "ADVISOR_AWS_BUILDER"


def builder_of(request: PlanRequest, settings: AwsSettings) -> Builder:
    """The plan's builder, else the machine's setting, else CodeBuild.

    Raises InputError for one that there is not.
    """
    given = request.settings.get(BUILDER)
    return _known(given, "the builder") if given else usual_builder(settings)


def usual_builder(settings: AwsSettings) -> Builder:
    """Who builds when a plan does not say. Raises InputError for a wrong ADVISOR_AWS_BUILDER."""
    return _known(settings.builder or CODEBUILD, SETTING)


def engine_of(builder: Builder) -> EngineName | None:
    """The engine of this machine that the builder is; None for CodeBuild."""
    return None if builder == CODEBUILD else builder


def builder_finding(builder: Builder, architecture: Architecture) -> Finding:
    """Does it work here, and for the plan's processor? Blocks for seconds; changes nothing."""
    engine = engine_of(builder)
    if engine is None:
        return good("builder", "CodeBuild builds the image in the account")
    try:
        found = engine_for(engine, architecture)
    except PreflightError as error:
        return bad("builder", str(error), f"or choose another builder: {', '.join(BUILDERS)}")
    return good("builder", f"{found.words} builds the image for {architecture}")


def _known(given: object, where: str) -> Builder:
    for builder in BUILDERS:
        if given == builder:
            return builder
    raise InputError(f"{where} is {given!r}; use one of {', '.join(BUILDERS)}")
