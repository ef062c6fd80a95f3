"""The image that a bundle's own image begins with, or a mirror of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from advisor.errors import InputError

VARIABLE = "ADVISOR_BASE_IMAGE"
# Amazon's copy of Docker's official images: it limits no pulls.
OFFICIAL = "public.ecr.aws/docker/library/python"
# Host and port, path in lower case, then a tag, a digest or both, as the OCI image names have it.
REFERENCE = re.compile(
    r"(?P<name>(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?/)?"
    r"[a-z0-9]+(?:(?:\.|_{1,2}|-+|/)[a-z0-9]+)*)"
    r"(?P<tag>:[\w][\w.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?"
)


def base_image(python_version: str, environ: Mapping[str, str] = os.environ) -> str:
    """The FROM line's image: the official one, or what ADVISOR_BASE_IMAGE names.

    A mirror named without a tag gets the official one's. Raises InputError for what is no image
    name. `python_version` is "3.11".
    """
    usual = f"{python_version}-slim"
    given = environ.get(VARIABLE, "").strip()
    if not given:
        return f"{OFFICIAL}:{usual}"
    found = REFERENCE.fullmatch(given)
    if found is None:
        raise InputError(
            f"{VARIABLE} is {given!r}, which is no image name; write it like "
            f"registry.example.com/mirror/python:{usual}, without a scheme"
        )
    return given if found["tag"] or found["digest"] else f"{given}:{usual}"
