"""Images that an engine of this machine builds and pushes to the account's repository."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import urlsplit

from advisor.errors import DeployError, RunCancelledError
from deploy.aws.images import STEP, Images
from deploy.aws.session import Aws, told
from deploy.images.engines import Architecture, EngineName, engine_for
from deploy.images.local_build import LocalBuild, Login
from deploy.target import Emit, Event


def build_here(
    context: Path,
    tag: str,
    architecture: Architecture,
    engine: EngineName,
    images: Images,
    aws: Aws,
    emit: Emit,
) -> str:
    """Build the bundle's folder, push it under the tag, and check its digest in the registry.

    Raises PreflightError when the engine does not work here, DeployError with the last lines of
    what it said. Nothing stays on this machine but the engine's own cache. What `emit` raises ends
    the engine's command.
    """
    local = LocalBuild(engine_for(engine, architecture), emit)
    reference = images.uri(tag)
    local.build(context, reference, architecture)
    try:
        try:
            pushed = local.push(reference, sign_in(aws))
        except RunCancelledError:
            raise
        except DeployError:
            first = images.digest(tag)
            if first is not None:  # tags are immutable: another build of this very bundle won
                return first
            raise
    finally:
        local.remove(reference)
    digest = images.digest(tag)
    if digest is None or pushed != digest:
        raise DeployError(
            f"{local.engine.name} pushed {pushed or 'no digest'} but the repository holds "
            f"{digest or 'no image'} under {tag}; nothing was started with it"
        )
    emit(Event(step=STEP, level="done", message=f"Image {digest} is in the repository"))
    return digest


def sign_in(aws: Aws) -> Login:
    """What signs in to the account's registry for some hours. Raises DeployError."""
    with told("sign in to the account's image registry"):
        (data,) = aws.client("ecr").get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    where = urlsplit(data["proxyEndpoint"])
    return Login(where.netloc or where.path, user, password)
