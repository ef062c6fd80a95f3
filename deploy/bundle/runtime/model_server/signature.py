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
        return bool(self.input_shape) and self.input_shape[0] is not None  # type: ignore[index]
