"""Starting a local deployment, replacing what runs, and taking a failed start back."""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path

from advisor.errors import DeployError, PreflightError, StalePlanError
from deploy.artifact import Artifact, look_again
from deploy.bundle.pack import pack
from deploy.files import sha256_of
from deploy.target import Emit, Plan
from deploy.targets import local_process
from deploy.targets.local_process import LOOPBACK, Server
from deploy.targets.local_record import (
    BUNDLE_VARIANT,
    BUNDLES,
    PACKING,
    STOP_GRACE_S,
    bundle_name,
    directory,
    event,
    launch,
    log_of,
    parameters,
    processes,
    record,
    relaunch,
    stop,
)

PORT_TRIES = 3
MOST_REMEMBERED = 16

_looked_at: OrderedDict[tuple[Path, str], Artifact] = OrderedDict()


def replace(plan: Plan, before: Server | None, emit: Emit) -> Server:
    """Start the plan's server, then let the one before go; the caller undoes a failure.

    With a port asked for, the one before has to go first. Raises StalePlanError, PreflightError
    for a port taken meanwhile, DeployError with the log's end.
    """
    for process in processes(plan.name):
        if before is None or process.pid != before.pid:
            emit(event("start", f"Stopping process {process.pid}, left over or not answering"))
            local_process.stop(process, STOP_GRACE_S)
    bundle = _bundle(plan, emit)
    asked = parameters(plan).port
    if before is not None and before.port == asked:
        emit(event("start", f"Stopping process {before.pid} to free port {asked}"))
        stop(before)
    server = _start(plan, bundle, asked, emit)
    record(plan.name, server)
    if before is not None and before.process() is not None:
        emit(event("start", f"Stopping process {before.pid}, now replaced"))
        stop(before)
    return server


def undo(plan: Plan, before: Server | None, emit: Emit) -> None:
    """Take away what a failed apply made; let the server that was ready before serve again.

    Raises DeployError when a process does not end or the old server does not come back.
    """
    for process in processes(plan.name):
        if before is None or process.pid != before.pid:
            local_process.stop(process, STOP_GRACE_S)
    if before is None:
        shutil.rmtree(directory(plan.name), ignore_errors=True)
        emit(event("undo", "Removed everything that this apply made", "warning"))
        return
    if before.process() is None:
        before = relaunch(plan.name, before)
        _await(plan, before, emit)
        record(plan.name, before)
    tidy(plan.name, before)
    emit(event("undo", f"Process {before.pid} serves what was there before", "warning"))


def tidy(name: str, server: Server) -> None:
    """Leave one process, its bundle and the one before: a crash in mid-apply may have left more."""
    for process in processes(name):
        if process.pid != server.pid:
            local_process.stop(process, STOP_GRACE_S)
    own = directory(name)
    for path in [*own.glob(BUNDLES), *own.glob(f"{PACKING}*")]:
        if path.name not in (server.bundle, server.former):
            shutil.rmtree(path)


def remember(artifact: Artifact) -> None:
    """Spare `apply` in this process a second look at a model file that was just looked at."""
    _looked_at[artifact.path.resolve(), artifact.digest] = artifact
    while len(_looked_at) > MOST_REMEMBERED:
        _looked_at.popitem(last=False)


def _bundle(plan: Plan, emit: Emit) -> Path:
    """The plan's bundle in the deployment's directory; packed aside and renamed in whole."""
    model = Path(plan.model_path)
    if not plan.rolls_back and sha256_of(model) != plan.model_digest:
        raise StalePlanError(f"{model} changed after the plan was made; plan again")
    own = directory(plan.name)
    bundle = own / bundle_name(plan.bundle_hash)
    if bundle.exists():
        return bundle
    if plan.rolls_back:
        raise StalePlanError(f"{bundle} is gone, so {plan.name} cannot go back; plan again")
    emit(event("bundle", f"Packing {model.name} with its server"))
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(
        dir=own, prefix=PACKING, ignore_cleanup_errors=True
    ) as scratch:
        artifact = _looked_at.get((model, plan.model_digest))
        if artifact is None or artifact.accepted != plan.accepted:
            artifact = look_again(model, plan.accepted)
        packed = pack(artifact, Path(scratch) / "bundle", variant=BUNDLE_VARIANT)
        if packed.hash != plan.bundle_hash:
            raise StalePlanError(
                f"the bundle is now {packed.hash[:12]} and the plan says {plan.bundle_hash[:12]}: "
                "the model or this installation changed; plan again"
            )
        packed.path.rename(bundle)
    emit(event("bundle", f"Packed bundle {packed.hash[:12]}", "done"))
    return bundle


def _start(plan: Plan, bundle: Path, asked: int | None, emit: Emit) -> Server:
    tries = 1 if asked else PORT_TRIES
    while True:
        tries -= 1
        port = asked or local_process.free_port()
        if not local_process.is_free(port):
            raise PreflightError(
                f"port {port} is taken by {local_process.holder(port)}; stop it, or plan with "
                "another port"
            )
        server = launch(plan, bundle, port)
        emit(event("start", f"Started process {server.pid} on {LOOPBACK}:{port}"))
        try:
            _await(plan, server, emit)
        except DeployError:
            # Somebody took the port between its choice and the start: choose another.
            if tries and server.process() is None and not local_process.is_free(port):
                continue
            raise
        return server


def _await(plan: Plan, server: Server, emit: Emit) -> None:
    took_s = local_process.wait_ready(
        server,
        limit_s=parameters(plan).ready_limit_s,
        log=log_of(plan.name),
        tell=lambda s: emit(event("start", f"Still loading the model after {s:.0f} s", "progress")),
    )
    emit(event("start", f"Process {server.pid} was ready after {took_s:.1f} s", "done"))
