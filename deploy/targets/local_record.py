"""Where a local deployment lives on disk, and which process it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from advisor.errors import DeployError, InputError
from deploy.bundle.pack import Variant
from deploy.files import locked, write_atomically
from deploy.home import home
from deploy.target import Emit, Event, Level, Plan, PlannedResource
from deploy.targets import local_process
from deploy.targets.local_process import Server

RECORD = "server.json"
LOG = "server.log"
BUNDLES = "bundle-*"
PACKING = ".packing-"
STOP_GRACE_S = 15
LOCK_MARGIN_S = 60
HASH_CHARACTERS = 16
BUNDLE_VARIANT: Variant = "http"  # the server as it is: no platform's frame around it


class Parameters(BaseModel):
    """What a local plan says beyond every plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int | None = None  # None: a free one
    ready_limit_s: float
    predict_limit_s: float
    sample: str | None = None  # a request body for the test prediction
    sample_note: str = ""


def parameters(plan: Plan) -> Parameters:
    """Raises InputError when they are not those of a local plan."""
    try:
        return Parameters.model_validate(plan.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"the plan's parameters are not a local plan's: {where}: {first['msg']}; plan again"
        ) from None


def directory(name: str) -> Path:
    """The deployment's own directory; it need not exist."""
    return home().resolve() / "deployments" / name


def bundle_name(bundle_hash: str) -> str:
    return f"bundle-{bundle_hash[:HASH_CHARACTERS]}"


def log_of(name: str) -> Path:
    return directory(name) / LOG


def recorded(name: str) -> Server | None:
    """The server that was ready last, alive or not. Raises DeployError for a damaged record."""
    path = directory(name) / RECORD
    try:
        return Server.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise DeployError(f"{path} is damaged; delete it and apply the plan again") from None


def record(name: str, server: Server) -> None:
    write_atomically(directory(name) / RECORD, server.model_dump_json(indent=2))


def live(name: str) -> Server | None:
    """The recorded server, if that very process runs and answers /ready."""
    server = recorded(name)
    if server is None or server.process() is None or not local_process.is_ready(server.port):
        return None
    return server


def processes(name: str) -> list[psutil.Process]:
    """Every server process of this deployment, recorded or left over."""
    found = {p.pid: p for p in local_process.strays(directory(name))}
    server = recorded(name)
    process = server.process() if server is not None else None
    if process is not None:
        found[process.pid] = process
    return list(found.values())


def launch(plan: Plan, bundle: Path, port: int) -> Server:
    """Start the plan's bundle on a port; not ready yet, and not recorded."""
    started = _launch(plan.name, bundle, port, plan.bundle_hash, plan.model_digest)
    return started.model_copy(update={"former": _former(recorded(plan.name), started)})


def relaunch(name: str, server: Server) -> Server:
    """Start again what `server` was, on its port."""
    bundle = directory(name) / server.bundle
    again = _launch(name, bundle, server.port, server.bundle_hash, server.model_digest)
    return again.model_copy(update={"former": server.former})


def created(kind: str, name: str, detail: str) -> PlannedResource:
    return PlannedResource(action="create", kind=kind, name=name, detail=detail)


def stop(server: Server) -> None:
    process = server.process()
    if process is not None:
        local_process.stop(process, STOP_GRACE_S)


def event(step: str, message: str, level: Level = "info") -> Event:
    return Event(step=step, message=message, level=level)


@contextmanager
def alone(plan: Plan, emit: Emit) -> Iterator[None]:
    """Nobody else changes this deployment meanwhile; file errors come out as DeployError."""
    lock = directory(plan.name).parent / f".{plan.name}.lock"
    with (
        in_words(),
        locked(
            lock,
            wait_s=parameters(plan).ready_limit_s + LOCK_MARGIN_S,
            busy=f"somebody else is deploying {plan.name} on this machine; try again in a minute",
            on_wait=lambda: emit(event("lock", f"Waiting: {plan.name} is being changed elsewhere")),
        ),
    ):
        yield


@contextmanager
def in_words() -> Iterator[None]:
    """What the operating system refuses, as a DeployError."""
    try:
        yield
    except OSError as error:
        raise DeployError(
            f"this machine refused {error.filename or 'an operation'}: {error.strerror or error}; "
            "check free disk space and permissions"
        ) from error


def _former(before: Server | None, now: Server) -> str:
    """The bundle to keep once `now` serves: what served before, or what that kept."""
    if before is None:
        return ""
    return before.former if before.bundle == now.bundle else before.bundle


def _launch(name: str, bundle: Path, port: int, bundle_hash: str, model_digest: str) -> Server:
    own = directory(name)
    pid = local_process.start(bundle, port, own / LOG, own).pid
    return Server(
        pid=pid,
        identity=local_process.identity(pid) or "ended at once",
        port=port,
        bundle=bundle.name,
        bundle_hash=bundle_hash,
        model_digest=model_digest,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
