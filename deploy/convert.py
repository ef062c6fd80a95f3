"""Converts a scikit-learn, XGBoost or LightGBM model to ONNX, and refuses what it cannot prove.

The work is done in a confined process like any look at a model file; here the result is judged,
written, looked at like every other model, and turned into money.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from advisor.errors import ArtifactError, InputError
from advisor.recommend import recommend
from advisor.requirements import Requirements
from deploy.artifact import Artifact, inspect
from deploy.conversion import Conversion, Gain, Money, Proof, money
from deploy.measure import SAMPLE_TYPES, checked_sample, known, measure
from deploy.safety.confine import ConfinedError, Limits, confined

DATA = Path(__file__).with_name("data") / "converting.yaml"
FORMATS = ("joblib", "pickle", "skops", "xgboost", "lightgbm")
SEED = 20261122
MAX_ONNX = 400_000_000  # bytes of base64 that the confined process may answer
Progress = Callable[[str, float], None]


class Tolerance(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: float
    value: float
    share_of_rows_beyond: float
    source: str
    checked: date


class Converting(BaseModel):
    """The data file of converting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    batch_rows: int
    seconds: float
    tolerance: Tolerance
    worth_it: float
    install: dict[str, str]


class ConversionRefusedError(ArtifactError):
    """The converted model is not kept, because it could not be proven to be the same."""


def convert(
    path: Path | str,
    out: Path | str,
    *,
    sample: Path | None = None,
    need: Requirements | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Conversion:
    """Convert the model in `path`, prove that both answer alike, and write it to `out`.

    With `need` both are measured and sized, for what it saves. Blocks for some ten seconds. Raises
    ArtifactError for a model that cannot be converted, ConversionRefusedError where the answers
    differ; nothing is written then.
    """
    tell = progress or (lambda _what, _share: None)
    stop = cancelled or (lambda: False)
    out = Path(out)
    sample = checked_sample(sample)
    _check_out(out)
    tell("Looking whether the model is safe to load", 0.0)
    name = Path(path).name
    artifact = _looked_at(path, name, name, stop)
    if artifact.format not in FORMATS:
        raise ArtifactError(
            f"{artifact.path.name} is {artifact.format}; scikit-learn, XGBoost and LightGBM models "
            "are converted, others run as they are"
        )
    tell("Converting and comparing", 0.2)
    found = _confined(artifact, sample, stop)
    proof = _proof(found)
    data = base64.b64decode(found["onnx"])
    refuse_unproven(artifact.path.name, proof)
    tell("Looking at the converted model", 0.6)
    converted = _written(out, data, name, stop)
    times = found["times_ms"]
    gain = Gain(
        one_before_ms=times["before"]["one"],
        one_after_ms=times["after"]["one"],
        batch_rows=min(converting().batch_rows, proof.rows),
        batch_before_ms=times["before"]["batch"],
        batch_after_ms=times["after"]["batch"],
    )
    saves = None
    if need is not None:
        tell("Measuring both, for what it saves", 0.7)
        saves = worth(artifact, converted, need, cancelled=stop)
    tell("Done", 1.0)
    return Conversion(
        source=artifact.path.name,
        source_digest=artifact.digest,
        source_format=artifact.format,
        file=str(out),
        digest=converted.digest,
        size_mb=converted.size_mb,
        proof=proof,
        gain=gain,
        money=saves,
    )


def worth(
    before: Artifact,
    after: Artifact,
    need: Requirements,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Money:
    """What it saves: both measured (unless they were), then the same requirements sized with each.

    Raises RequirementsError when what was measured does not fit the answers.
    """
    found = []
    for one in (before, after):
        measured = known(one.digest) or measure(one.path, cancelled=cancelled)
        answer = recommend(measured.into(need), doubt=False)
        found.append((answer, measured.service_time_ms.expected))
    (old, old_ms), (new, new_ms) = found
    return money(old, new, old_ms, new_ms)


def refuse_unproven(name: str, proof: Proof) -> None:
    """Raises ConversionRefusedError where the two models do not answer alike."""
    held = converting().tolerance
    allowed = held.share_of_rows_beyond * proof.rows
    if proof.labels_differ:
        raise ConversionRefusedError(
            f"{name} was converted, but gives another label for {proof.labels_differ} of "
            f"{proof.rows:,} rows; it is not kept: serve the model as it is"
        )
    if proof.rows_beyond > allowed:
        raise ConversionRefusedError(
            f"{name} was converted, but {proof.rows_beyond} of {proof.rows:,} answers differ by "
            f"more than {proof.tolerance:g} (the worst by {proof.worst:.2g}); it is not kept: "
            "serve the model as it is"
        )


@cache
def converting() -> Converting:
    """What ships with the product; read once."""
    return Converting.model_validate(yaml.safe_load(DATA.read_text(encoding="utf-8")))


def _check_out(out: Path) -> None:
    if out.suffix.lower() != ".onnx":
        raise InputError(f"{out.name} does not end in .onnx; name the file so")
    if not out.parent.is_dir():
        raise InputError(f"there is no folder {out.parent}; make it, or name another")
    if out.exists():
        raise InputError(f"{out} is there already; remove it, or name another file")


def _confined(
    artifact: Artifact, sample: Path | None, cancelled: Callable[[], bool]
) -> dict[str, Any]:
    held = converting()
    name = artifact.path.name
    payload = {
        "path": str(artifact.path),
        "format": artifact.format,
        "signature": artifact.signature.model_dump(mode="json") if artifact.signature else None,
        "sample": str(sample) if sample else None,
        "content_type": SAMPLE_TYPES[sample.suffix.lower()] if sample else "",
        "rows": held.rows,
        "batch_rows": held.batch_rows,
        "seconds": held.seconds,
        "seed": SEED,
        "probability": held.tolerance.probability,
        "value": held.tolerance.value,
    }
    try:
        answer = confined(
            "model_check.convert",
            payload,
            readable=[artifact.path, *([sample] if sample else [])],
            limits=Limits(
                wall_s=300, cpu_s=200, memory_mb=int(6_000 + 20 * artifact.size_mb), threads=1
            ),
            what=f"converting {name}",
            cancelled=cancelled,
            max_answer=MAX_ONNX,
        )
    except ConfinedError as stopped:
        if stopped.kind == "cancelled":
            raise ArtifactError(_stopped(name)) from stopped
        if stopped.kind == "ModuleNotFoundError":
            raise ArtifactError(_missing(name, str(stopped))) from stopped
        raise ArtifactError(f"{name} cannot be converted: {stopped}") from stopped
    result: dict[str, Any] = answer.result
    return result


def _looked_at(path: Path | str, name: str, source: str, cancelled: Callable[[], bool]) -> Artifact:
    try:
        return inspect(path, name=name, cancelled=cancelled)
    except ConfinedError as stopped:
        raise ArtifactError(_stopped(source)) from stopped


def _stopped(source: str) -> str:
    return f"converting {source} was stopped; nothing is kept"


def _missing(name: str, said: str) -> str:
    for package, way in converting().install.items():
        if package in said:
            return f"converting {name} needs {package}, which is not installed here; {way}"
    return f"{name} cannot be converted: {said}; install what is missing"


def _proof(found: dict[str, Any]) -> Proof:
    held = converting().tolerance
    tolerance = held.probability if found["kind"] == "probability" else held.value
    told = {name: found[name] for name in Proof.model_fields if name != "tolerance"}
    return Proof(tolerance=tolerance, **told)


def _written(out: Path, data: bytes, source: str, cancelled: Callable[[], bool]) -> Artifact:
    """The file in its place, after the same look that every model gets."""
    handle, temporary = tempfile.mkstemp(dir=out.parent, prefix=".converted-", suffix=".onnx")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        artifact = _looked_at(temporary, out.name, source, cancelled)
        Path(temporary).replace(out)
    except OSError as error:
        raise InputError(
            f"cannot write {out}: {error.strerror}; name a file that can be written"
        ) from None
    finally:
        Path(temporary).unlink(missing_ok=True)
    return artifact.model_copy(update={"path": out.resolve()})
