"""Names of SageMaker models and endpoint configurations, which cannot be changed in place."""

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
    """A new name whenever the model or its configuration would be another.

    `decisive` are the parameters that either is made from; a change of the others keeps the name.
    """
    content = {k: parameters.get(k, "") for k in decisive} | {
        "bundle": bundle_hash,
        "template": template.part_digest(*resources),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{PREFIX}{deployment}-{digest[:12]}"
