"""What must be true on this machine before a model is started here."""

from __future__ import annotations

import importlib.util
import shutil

import psutil

from advisor.errors import InputError
from deploy.artifact import BYTES_IN_MB, Artifact
from deploy.files import sha256_of
from deploy.home import home
from deploy.requests import PlanRequest
from deploy.target import Finding
from deploy.targets import local_process
from deploy.targets.local_process import LOOPBACK, Server

COPIES_OF_THE_MODEL = 2  # the bundle, and the next one beside it while an update is tried
PORTS = range(1024, 65536)

RUNTIMES = {
    "joblib": ("joblib", "sklearn"),
    "pickle": ("sklearn",),
    "skops": ("skops", "sklearn"),
    "onnx": ("onnxruntime",),
    "torch": ("torch",),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
}


def findings(request: PlanRequest, running: Server | None) -> list[Finding]:
    """One finding a check; `running` is what serves under this name now, if anything does."""
    return [
        _model(request.artifact),
        _runtime(request.artifact.format),
        _memory(request),
        _disk(request.artifact),
        _port(asked_port(request), running),
        _name(request.name, running),
    ]


def asked_port(request: PlanRequest) -> int | None:
    """The port in `request.settings`, if one was asked for. Raises InputError for a wrong one."""
    port = request.settings.get("port")
    if port is None:
        return None
    if not isinstance(port, int) or isinstance(port, bool) or port not in PORTS:
        raise InputError(
            f"port is {port!r}; use a number from {PORTS.start} to {PORTS.stop - 1}, or leave it "
            "out for a free one"
        )
    return port


def _model(artifact: Artifact) -> Finding:
    path = artifact.path
    if artifact.safety.verdict == "refused":
        why = "; ".join(artifact.safety.findings) or "it asks for code outside the allow-list"
        return _bad("model file", f"{path.name} is not safe to load: {why}", "use ONNX or skops")
    if sha256_of(path) != artifact.digest:
        return _bad("model file", f"{path} changed since it was inspected", "inspect it again")
    return _good("model file", f"{path.name} is {artifact.safety.verdict} to load")


def _runtime(model_format: str) -> Finding:
    needed = RUNTIMES.get(model_format)
    if needed is None:
        known = ", ".join(RUNTIMES)
        return _bad(
            "runtime",
            f"a {model_format!r} model cannot be served here",
            f"save it as one of {known}",
        )
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        return _bad(
            "runtime",
            f"{model_format} models need {' and '.join(missing)}, not installed here",
            "install it into this Python environment",
        )
    return _good("runtime", f"{' and '.join(needed)} can be imported")


def _memory(request: PlanRequest) -> Finding:
    free_mb = psutil.virtual_memory().available / BYTES_IN_MB
    needs_mb = request.need.model.memory_mb
    if free_mb < needs_mb:
        return _bad(
            "memory",
            f"the model needs {needs_mb:,.0f} MB of memory and {free_mb:,.0f} MB are free",
            "close something, or choose a machine with more",
        )
    return _good("memory", f"{needs_mb:,.0f} MB needed, {free_mb:,.0f} MB free")


def _disk(artifact: Artifact) -> Finding:
    free_mb = shutil.disk_usage(home()).free / BYTES_IN_MB
    needs_mb = artifact.size_mb * COPIES_OF_THE_MODEL
    if free_mb < needs_mb:
        return _bad(
            "disk",
            f"two copies of the model take {needs_mb:,.0f} MB and {home()} has {free_mb:,.0f} MB",
            "free some space, or set ADVISOR_HOME to another disk",
        )
    return _good("disk", f"{needs_mb:,.1f} MB needed, {free_mb:,.0f} MB free")


def _port(port: int | None, running: Server | None) -> Finding:
    if port is None:
        return _good("port", "a free port is chosen when the server starts")
    if running is not None and running.port == port:
        return _good("port", f"port {port} is this deployment's own")
    if not local_process.is_free(port):
        return _bad(
            "port",
            f"port {port} is taken by {local_process.holder(port)}",
            "stop it, or ask for another port",
        )
    return _good("port", f"port {port} of {LOOPBACK} is free")


def _name(name: str, running: Server | None) -> Finding:
    if running is None:
        return _good("name", f"nothing runs as {name!r} on this machine")
    return Finding(
        check="name",
        ok=True,
        blocking=False,
        message=f"{name!r} already runs as process {running.pid}; apply replaces it once the new "
        "server is ready",
    )


def _good(check: str, message: str) -> Finding:
    return Finding(check=check, ok=True, blocking=False, message=message)


def _bad(check: str, message: str, fix: str) -> Finding:
    return Finding(check=check, ok=False, blocking=True, message=message, fix=fix)
