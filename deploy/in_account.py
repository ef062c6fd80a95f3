"""The truth from an account: what stands there beside what is kept here; for terminal and page."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from advisor.errors import InputError
from deploy import runs
from deploy.target import Plan

if TYPE_CHECKING:  # the cloud SDK is read when an account is asked for
    from deploy.aws.account import Standing
    from deploy.aws.session import Aws


def in_region(region: str | None) -> Aws:
    """The account of this machine's credentials in a region. Raises InputError without one
    and for one that does not exist."""
    from deploy.aws.session import Aws

    if not region:
        raise InputError("an account is asked region by region; say which, as --region us-east-1")
    aws = Aws(region)
    if region not in (known := aws.regions("cloudformation")):
        near = get_close_matches(region, known, n=3) or ["us-east-1"]
        raise InputError(
            f"{region!r} is no region that this installation knows; say one such as "
            f"{', '.join(near)}, or renew boto3 if it is a new one"
        )
    return aws


def kept_here(aws: Aws) -> dict[str, Plan]:
    """Plans of the deployments that are kept here, of that account and region, by what they are
    called there. Raises PreflightError without credentials."""
    return {
        found.plan.name: found.plan
        for found in runs.deployments()
        if (found.plan.account, found.plan.region) == (aws.account, aws.region)
    }


def standing_in(aws: Aws, *, drift: bool = False) -> list[Standing]:
    """Every deployment there, whoever made it; blocks. Raises PreflightError, DeployError."""
    from deploy.aws.account import standing

    return standing(aws, kept_here(aws), drift=drift)


def start_taking_down(name: str, region: str, *, by: str = "") -> str:
    """Begin to destroy a deployment of which nothing is kept here; the run's id at once.

    Raises InputError when nothing of that name stands there, PreflightError, DeployError.
    """
    from deploy.aws.account import adopted

    return runs.start_destroy_of(adopted(name, in_region(region)), by=by)
