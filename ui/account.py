"""What was seen in an account when somebody last looked, for every session. Knows no Streamlit."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from advisor.errors import AdvisorError
from deploy import in_account, runs

if TYPE_CHECKING:
    from deploy.aws.account import Standing

USUAL_REGION = "us-east-1"
HERE = "this machine"


@dataclass(frozen=True)
class Look:
    """One look at one region. With an `error` nothing was found out."""

    region: str
    at: datetime
    account: str = ""
    found: tuple[Standing, ...] = ()
    error: str | None = None


_looks: dict[str, Look] = {}
_guard = threading.Lock()


def look(region: str, *, drift: bool) -> Look:
    """Ask the account now; blocks for seconds, with `drift` up to minutes."""
    try:
        aws = in_account.in_region(region)
        seen = Look(
            region, datetime.now(UTC), aws.account, tuple(in_account.standing_in(aws, drift=drift))
        )
    except AdvisorError as error:
        seen = Look(region, datetime.now(UTC), error=str(error))
    with _guard:
        _looks[region] = seen
    return seen


def last(region: str) -> Look | None:
    """What the last look showed, whoever looked; None when nobody did since the app started."""
    with _guard:
        return _looks.get(region)


def forget() -> None:
    """For tests, and after something was changed there."""
    with _guard:
        _looks.clear()


def regions() -> list[str]:
    """Regions of the deployments that are kept here, else the usual one."""
    known = {found.plan.region for found in runs.deployments(destroyed=True)} - {HERE}
    return sorted(known) or [USUAL_REGION]
