"""The model file: what it is, whether it is safe to load, what it expects, and its digest."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

BYTES_IN_MB = 1_000_000

Verdict = Literal["safe", "allow-listed", "refused"]
Task = Literal["classifier", "regressor", "other"]


class SafetyReport(BaseModel):
    """What the safety check found.

    "safe": the format cannot carry code. "allow-listed": it can, and everything in it is on the
    allow-list and was loaded in a confined process. "refused": it asked for more than that.
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
    needs_frame: bool = False  # the pipeline picks columns by name
    allows_missing: bool = False  # null is taken as a missing value
    classes: list[str | int | float | bool] | None = None
    has_probabilities: bool = False


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

    @property
    def size_mb(self) -> float:
        """Size in MB of 1,000,000 bytes."""
        return self.size_bytes / BYTES_IN_MB
