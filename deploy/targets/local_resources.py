"""What a plan for this machine makes, puts in the place of something, or leaves as it is."""

from __future__ import annotations

from deploy.target import PlannedResource
from deploy.targets.local_process import LOOPBACK, Server
from deploy.targets.local_record import bundle_name, created, directory, log_of


def planned(
    name: str, bundle_hash: str, port: int | None, running: Server | None
) -> list[PlannedResource]:
    """`port` is the one asked for, None for a free one; `running` is what serves under the name."""
    where = f"{LOOPBACK}:{port}" if port else f"a free port of {LOOPBACK}"
    bundle = str(directory(name) / bundle_name(bundle_hash))
    log = str(log_of(name))
    if running is None:
        return [
            created("process", f"{name} server", "uvicorn, in a session of its own"),
            created("port", where, "loopback only"),
            created("directory", bundle, "the bundle"),
            created("file", log, "the server's log"),
        ]
    now = f"{LOOPBACK}:{running.port}"
    if running.bundle_hash == bundle_hash and port in (None, running.port):
        return [
            _kept("process", f"{name} server", f"process {running.pid} serves this model already"),
            _kept("port", now, "loopback only"),
            _kept("directory", bundle, "the bundle"),
            _kept("file", log, "the server's log"),
        ]
    moves = f"in the place of {now}: whoever calls that needs the new address"
    return [
        PlannedResource(
            action="replace",
            kind="process",
            name=f"{name} server",
            detail=f"in the place of process {running.pid}, once it is ready",
        ),
        _kept("port", now, "loopback only")
        if port == running.port
        else PlannedResource(action="replace", kind="port", name=where, detail=moves),
        created("directory", bundle, "the bundle")
        if running.bundle_hash != bundle_hash
        else _kept("directory", bundle, "the bundle"),
        *(
            [_kept("directory", str(directory(name) / running.bundle), "to go back to")]
            if running.bundle_hash != bundle_hash
            else []
        ),
        _kept("file", log, "the server's log"),
    ]


def _kept(kind: str, name: str, detail: str) -> PlannedResource:
    return PlannedResource(action="keep", kind=kind, name=name, detail=detail)
