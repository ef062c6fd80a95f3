"""The model file: what it is, whether it is safe to load, what it expects, and its digest."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from advisor.errors import ArtifactError, UnknownCodeError, UnsafeArtifactError
from deploy.acceptance import (
    Acceptance,
    Decision,
    code_digest,
    code_files,
    code_folder,
    decision_of,
)
from deploy.safety.confine import ConfinedError, Limits, confined

BYTES_IN_MB = 1_000_000
DEFAULT_MAX_MB = 2_000
CHUNK = 1 << 20

Verdict = Literal["safe", "allow-listed", "accepted", "refused"]
Task = Literal["classifier", "regressor", "other"]


class SafetyReport(BaseModel):
    """What the safety check found.

    "safe": the format cannot carry code. "allow-listed": it can, and everything in it is on the
    allow-list and was loaded in a confined process. "accepted": not all of it is, and a person
    decided to have it loaded. "refused": it asked for more than that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verdict: Verdict
    findings: list[str] = Field(default_factory=list)  # sentences
    confinement: list[str] = Field(default_factory=list)  # what held the process that looked


class Signature(BaseModel):
    """What the model expects for one row, as far as the file tells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Task = "other"
    n_features: int | None = None
    feature_names: list[str] | None = None
    input_name: str | None = None  # ONNX, when there is one input
    input_dtype: str | None = None  # numpy name: "float32", "int64", "str" ...
    input_shape: list[int | None] | None = None  # of a batch; None where any size fits
    columns: list[tuple[str, str]] | None = None  # (name, dtype) where each feature is an input
    # (name, dtype, shape of a batch) where the model takes several tensors at once
    tensors: list[tuple[str, str, list[int | None] | None]] | None = None
    # the values of each feature that was a pandas category, in the order of the model's codes
    categories: dict[str, list[str | int | float | bool]] | None = None
    # features that were categories whose values the file does not tell, asked by their codes: how
    # many codes each has, 0 where nobody knows
    coded: dict[str, int] | None = None
    needs_frame: bool = False  # the pipeline picks columns by name
    allows_missing: bool = False  # null is taken as a missing value
    classes: list[str | int | float | bool] | None = None
    has_probabilities: bool = False
    example: Any = None  # one row as a request would carry it; None when it cannot be told


class Artifact(BaseModel):
    """A model file that was looked at. `libraries` are the versions it was checked with here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    format: str  # a value of advisor.requirements.ModelFormat
    size_bytes: int
    digest: str  # sha256 of the file, hexadecimal
    signature: Signature | None = None
    safety: SafetyReport
    libraries: dict[str, str] = Field(default_factory=dict)  # package name -> version
    saved_with: dict[str, str] = Field(default_factory=dict)  # as far as the file says
    accepted: Acceptance | None = None  # the decision, where the verdict is "accepted"

    def example_request(self) -> bytes | None:
        """A JSON request of one row that the served model answers; None when it is unknown."""
        if self.signature is None or self.signature.example is None:
            return None
        return json.dumps({"instances": [self.signature.example]}).encode()

    @property
    def size_mb(self) -> float:
        """Size in MB of 1,000,000 bytes."""
        return self.size_bytes / BYTES_IN_MB


def inspect(
    path: Path | str,
    *,
    max_mb: float = DEFAULT_MAX_MB,
    name: str | None = None,
    limits: Limits | None = None,
    decision: Decision | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Artifact:
    """Look at a model file: format, safety, signature, digest. Blocks for some seconds.

    The file is opened only in a confined process (`deploy.safety`), where it is traced, held to
    an allow-list and then loaded. `name` is the name to judge the ending by, when the file is
    stored under another one. `decision`: a person's, to load unknown code with it. `cancelled` is
    asked about once a second, and ends it with ConfinedError of the kind "cancelled". Raises
    ArtifactError when it is no model that can be served, and UnsafeArtifactError when it asks for
    more than a model needs (UnknownCodeError: and a person may decide that it does); nothing of it
    is executed then.
    """
    path = Path(path)
    size = _check_file(path, max_mb)
    label = name or path.name
    digest = _digest(path)
    limits = limits or _limits(label, size)
    code = code_folder(Path(decision.code_path)) if decision and decision.code_path else None
    job = {"path": str(path.resolve()), "name": label, "accept": decision is not None}
    try:
        answer = confined(
            "model_check.look",
            job | {"code": str(code) if code else None},
            readable=[path.resolve(), *([code] if code else [])],
            limits=limits,
            what=f"loading {label}",
            cancelled=cancelled,
        )
    except ConfinedError as stopped:
        if stopped.kind == "cancelled":
            raise
        if stopped.kind in ("timeout", "cpu", "memory", "crash", "answer", "PermissionError"):
            raise UnsafeArtifactError(
                f"{stopped}; a model file that does this is not served: check where it came from"
            ) from stopped
        raise ArtifactError(f"{label} cannot be used: {stopped}") from stopped
    if _digest(path) != digest:
        raise ArtifactError(f"{label} changed while it was looked at; try again")
    found = _artifact(path, label, size, digest, answer.result, answer.layers)
    if not answer.result.get("accepted") or decision is None:
        return found
    return found.model_copy(update={"accepted": _acceptance(found, answer.result, decision, code)})


def look_again(path: Path | str, accepted: Acceptance | None) -> Artifact:
    """Inspect a model that was planned, with the decision that was made then.

    Raises as `inspect`, and UnsafeArtifactError when the decision was about other code.
    """
    found = inspect(path, decision=decision_of(accepted))
    if found.accepted != accepted:
        raise UnsafeArtifactError(
            f"{found.path.name} or its code is not what was accepted; look at it and decide again"
        )
    return found


def inspect_bytes(
    name: str,
    data: bytes,
    into: Path,
    *,
    max_mb: float = DEFAULT_MAX_MB,
    decision: Decision | None = None,
) -> Artifact:
    """Store an uploaded model under `into` and look at it, as `inspect` does.

    Only the last part of `name` is used, with odd characters replaced, in a folder named by the
    content's digest: an upload can overwrite nothing but itself. What is refused is removed again.
    Raises ArtifactError and UnsafeArtifactError.
    """
    if len(data) > max_mb * BYTES_IN_MB:
        raise ArtifactError(_too_large(safe_name(name), len(data), max_mb))
    folder = Path(into) / hashlib.sha256(data).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / safe_name(name)
    known = path.is_file() and not path.is_symlink() and path.read_bytes() == data
    if not known:
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
    try:
        return inspect(path, max_mb=max_mb, decision=decision)
    except ArtifactError:
        if not known:
            path.unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
        raise


def safe_name(name: str) -> str:
    """The last part of a file name, with letters, digits, dots, dashes and underscores only."""
    last = re.split(r"[/\\]", name)[-1]
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip(".-")
    stem, dot, ending = clean.rpartition(".")
    return f"{stem[:80]}.{ending[:10]}" if dot and stem else clean[:90] or "model"


def _acceptance(
    found: Artifact, said: dict[str, Any], decision: Decision, code: Path | None
) -> Acceptance:
    return Acceptance(
        **decision.model_dump(),
        digest=found.digest,
        findings=found.safety.findings,
        names=said["accepted"],
        code_digest=code_digest(code_files(code), code) if code is not None else None,
    )


def _limits(name: str, size: int) -> Limits:
    """Address space for the libraries and for the model unpacked; torch maps most of itself."""
    torch = Path(name).suffix.lower() in (".pt", ".pth", ".pt2", ".ts")
    return Limits(memory_mb=int((12_000 if torch else 3_000) + 6 * size / BYTES_IN_MB))


def _check_file(path: Path, max_mb: float) -> int:
    try:
        found = path.lstat()
    except OSError as missing:
        raise ArtifactError(
            f"there is no model file at {path} ({missing.strerror}); check the path"
        ) from missing
    if stat.S_ISLNK(found.st_mode):
        raise ArtifactError(f"{path} is a symbolic link; give the file that it points to")
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no ordinary file"
        raise ArtifactError(f"{path} is {kind}; give the model file itself")
    if not os.access(path, os.R_OK):
        raise ArtifactError(f"{path} cannot be read by this user; change its permissions")
    if found.st_size == 0:
        raise ArtifactError(f"{path.name} is empty; save the model again")
    if found.st_size > max_mb * BYTES_IN_MB:
        raise ArtifactError(_too_large(path.name, found.st_size, max_mb))
    return found.st_size


def _too_large(name: str, size: int, max_mb: float) -> str:
    return (
        f"{name} has {size / BYTES_IN_MB:,.0f} MB and {max_mb:,.0f} MB are allowed; "
        "raise the limit, or save a smaller model"
    )


def _digest(path: Path) -> str:
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(CHUNK):
            seen.update(part)
    return seen.hexdigest()


def _artifact(
    path: Path, label: str, size: int, digest: str, found: dict[str, Any], layers: list[str]
) -> Artifact:
    if found.get("refused") and found.get("acceptable"):
        raise UnknownCodeError(f"{label} was refused: {found['message']}", found["findings"])
    if found.get("refused"):
        raise UnsafeArtifactError(f"{label} was refused: {found['message']}")
    if "message" in found:
        raise ArtifactError(f"{label} cannot be used: {found['message']}")
    try:
        return Artifact(
            path=path.resolve(),
            format=found["format"],
            size_bytes=size,
            digest=digest,
            signature=Signature(**found["signature"]) if found.get("signature") else None,
            safety=SafetyReport(
                verdict=found["verdict"], findings=found["findings"], confinement=layers
            ),
            libraries=found["libraries"],
            saved_with=found["saved_with"],
        )
    except (ValidationError, KeyError, TypeError) as odd:
        raise UnsafeArtifactError(
            f"the process that looked at {label} gave an answer that makes no sense; "
            "the file is not used"
        ) from odd
