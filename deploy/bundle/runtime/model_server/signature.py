"""What one row of input looks like, as the bundle's manifest says."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Signature:
    """The same fields as the advisor's artifact signature; unknown ones are ignored."""

    task: str = "other"  # classifier | regressor | other
    n_features: int | None = None
    feature_names: list[str] | None = None
    input_name: str | None = None
    input_dtype: str | None = None
    input_shape: list[int | None] | None = None
    columns: list[tuple[str, str]] | None = None
    tensors: list[tuple[str, str, list[int | None] | None]] | None = None
    categories: dict[str, list[Any]] | None = None
    coded: dict[str, int] | None = None  # categories asked by their codes: how many there are
    needs_frame: bool = False
    allows_missing: bool = False
    classes: list[Any] | None = None
    has_probabilities: bool = False
    example: Any = field(default=None, compare=False)

    @classmethod
    def of(cls, found: dict[str, Any] | None) -> Signature:
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in (found or {}).items() if k in known})

    @property
    def takes_records(self) -> bool:
        """Each row is an object whose names are the features, whichever they are."""
        return (
            self.input_dtype == "object"
            and self.n_features is None
            and isinstance(self.example, dict)
        )

    @property
    def fixed_batch(self) -> bool:
        """The model takes exactly one row (or a fixed number) at a time."""
        return self.batch_rows is not None

    @property
    def batch_rows(self) -> int | None:
        """How many rows the model was exported for; None where it takes any number."""
        shape = self.tensors[0][2] if self.tensors else self.input_shape
        return shape[0] if shape else None
