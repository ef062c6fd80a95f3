"""Releases: what cannot be changed in place gets another name, or another version, when it would
be another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from deploy.aws.bootstrap import PREFIX
from deploy.aws.templates import Template

REPLACED = ("Model", "EndpointConfig")


def release_name(
    deployment: str,
    bundle_hash: str,
    parameters: dict[str, str],
    template: Template,
    decisive: Iterable[str],
    resources: Iterable[str] = REPLACED,
) -> str:
    """A new name of a SageMaker model and its configuration whenever either would be another.

    `decisive` are the parameters that either is made from; a change of the others keeps the name.
    """
    digest = release_digest(bundle_hash, parameters, template, decisive, resources)
    return f"{PREFIX}{deployment}-{digest}"


def release_digest(
    bundle_hash: str,
    parameters: dict[str, str],
    template: Template,
    decisive: Iterable[str],
    resources: Iterable[str],
) -> str:
    """Twelve hexadecimal digits that change whenever what is released would."""
    content = {k: parameters.get(k, "") for k in decisive} | {
        "bundle": bundle_hash,
        "template": template.part_digest(*resources),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
