"""What a target is asked to plan."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from advisor.errors import InputError
from advisor.recommendation import Ranked
from advisor.requirements import Requirements
from deploy.artifact import Artifact

NAME = re.compile(r"^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$")
NOT_IN_TAGS = re.compile(r"[^\w\s.:/=+@-]")
LONGEST_TAG = 256
UNNAMED = "unnamed"  # the tag of a scenario that has no name
NOBODY = "unknown"  # the tag of an owner whom nobody named, as in the templates


@dataclass(frozen=True)
class PlanRequest:
    """A model, the answers, and the option as the recommendation sized it.

    The sizes (machine, replicas, memory, concurrency) come from `ranked`; nothing is retyped.
    """

    name: str
    artifact: Artifact
    need: Requirements
    ranked: Ranked
    public: bool = False
    owner: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)  # a target's own, e.g. {"port": 8123}
    # A trial lasts so long from now on; None keeps the hour of what stands under the name.
    expires_in: timedelta | Literal["never"] | None = None

    def __post_init__(self) -> None:
        check_name(self.name)


def check_name(name: str) -> str:
    """The name itself, if it fits every target (1-40: lower case letters, digits, dashes).

    Raises InputError with the name and a corrected proposal.
    """
    if not NAME.match(name):
        raise InputError(
            f"the deployment name {name!r} does not fit; use 1 to 40 lower case letters, digits and "
            f"dashes, starting with a letter, for example {suggest_name(name)!r}"
        )
    return name


def tag_text(text: str) -> str:
    """Somebody's own words as the value of a tag: what AWS takes in none becomes a dash."""
    return " ".join(NOT_IN_TAGS.sub("-", text).split())[:LONGEST_TAG].strip()


def suggest_name(text: str) -> str:
    """A valid deployment name made from any text."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    slug = slug if slug and slug[0].isalpha() else f"model-{slug}"
    return slug[:40].strip("-") or "model"
