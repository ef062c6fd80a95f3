"""Discounts for committing to a term, and what spot machines save."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from advisor.prices.store import number, read_csv

ANY = "*"
ANY_CPU = "any-cpu"  # as a family: every machine without an accelerator
COLUMNS = (
    "cloud", "service", "programme", "family", "machine", "region", "term", "payment",
    "discount_fraction", "kind", "as_of", "source",
)  # fmt: skip

# Kinds whose figure may be applied to a bill; "max" is an "up to" figure, "unknown" has none.
USABLE = ("list", "derived", "weak")


@dataclass(frozen=True, slots=True)
class Commitment:
    """A discount on the on-demand price: pay `1 - discount_fraction` of it.

    `term` is 1y, 3y, spot or automatic; `family`, `machine` and `region` are "*" where any will
    do, and `family` is "any-cpu" for every machine without an accelerator. `discount_fraction` is
    None where nothing was published. `kind` adds two to those of a rate: max ("up to": do not
    apply it) and unknown.
    """

    cloud: str
    service: str
    programme: str
    family: str
    machine: str
    region: str
    term: str
    payment: str
    discount_fraction: float | None
    kind: str
    as_of: str
    source: str

    @property
    def usable(self) -> bool:
        """Whether the figure may be applied to a bill."""
        return self.kind in USABLE and self.discount_fraction is not None

    def matches(self, family: str, machine: str, region: str, *, cpu_only: bool = False) -> bool:
        """Whether it covers this machine; what is left empty only a "*" covers.

        `cpu_only`: the machine is known to have no accelerator.
        """
        return (
            self.family in ((ANY, family, ANY_CPU) if cpu_only else (ANY, family))
            and self.machine in (ANY, machine)
            and self.region in (ANY, region)
        )


def best(found: list[Commitment]) -> Commitment | None:
    """The usable one that fits most closely; between equals the one with the larger discount."""
    usable = [c for c in found if c.usable]
    return max(usable, key=_closeness, default=None)


def read_commitments(path: Path) -> tuple[Commitment, ...]:
    """Raises PriceBookError."""
    return tuple(
        Commitment(
            row["cloud"], row["service"], row["programme"], row["family"], row["machine"],
            row["region"], row["term"], row["payment"],
            number(row["discount_fraction"], path, row) if row["discount_fraction"] else None,
            row["kind"], row["as_of"], row["source"],
        )
        for row in read_csv(path, COLUMNS)
    )  # fmt: skip


def _closeness(c: Commitment) -> tuple[bool, bool, bool, bool, float]:
    return (
        c.machine != ANY,
        c.family not in (ANY, ANY_CPU),
        c.region != ANY,
        c.kind == "list",
        c.discount_fraction or 0.0,
    )
