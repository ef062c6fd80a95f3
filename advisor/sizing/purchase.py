"""How machines are bought: on demand, under a commitment for their steady part, or as spot.

A commitment is paid every hour of its term, used or not. So only the steady part is committed: a
further unit pays as long as it is used in more than the share 1 - discount of the hours, its
break-even share; what the busy hours need above that is bought on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from advisor.requirements import HOURS_IN_MONTH
from advisor.sizing.sized import EXPECTED, Array, Bought, Factors, Sized, Term

ON_DEMAND: Final = "on-demand"
TERMS: Final[tuple[Term, ...]] = (ON_DEMAND, "1y", "3y", "spot")
LABELS: Final = {"1y": "1-year", "3y": "3-year"}


@dataclass(frozen=True, eq=False)
class Offer:
    """What candidates cost when bought this way; arrays of shape (machines,).

    `share` of the price on demand is paid; NaN where nothing applicable was published.
    """

    term: Term
    share: Array
    programme: NDArray[Any]
    source: NDArray[Any]
    as_of: NDArray[Any]

    def take(self, keep: NDArray[Any] | slice) -> Offer:
        return Offer(
            self.term, self.share[keep], self.programme[keep], self.source[keep], self.as_of[keep]
        )

    @property
    def known(self) -> NDArray[np.bool_]:
        return np.isfinite(self.share)

    @property
    def label(self) -> str:
        """For people, of the first machine: "1-year EC2 Instance Savings Plan", "spot"."""
        if self.term == "spot":
            return "spot"
        return f"{LABELS[self.term]} {self.programme[0]}"


def paid_hours(counts: Array, weights: Array, share: Array) -> Array:
    """Hours at the price on demand that cost as much as the best commitment; shape (machines,).

    `counts`: replicas, shape (machines, distinct rates), not falling along the second axis;
    `weights`: hours with that rate; `share`: what a committed hour costs of one on demand.
    Exact: the level rises while it is used in more than `share` of the hours (see `level`).
    """
    hours = weights.sum()
    used = np.cumsum(weights[::-1])[::-1]  # hours with this rate or a higher one
    last = np.searchsorted(-used, -share * hours, side="left") - 1
    level = np.take_along_axis(counts, last[:, None], axis=1)
    above = np.maximum(counts - level, 0) @ weights
    return np.asarray(share * level[:, 0] * hours + above, dtype=np.float64)


def paid_hours_by_hour(units: Array, share: Array) -> Array:
    """`paid_hours` where each hour of the week has a number of its own; `units` of shape
    (machines, hours), in any order, to equal parts of the time."""
    falling = -np.sort(-units, axis=1)
    hours = units.shape[1]
    # The largest that is used in more than `share` of the hours, see `level`.
    at = np.searchsorted(np.arange(1.0, hours + 1), share * hours, side="right")
    most = np.take_along_axis(falling, np.minimum(at, hours - 1)[:, None], axis=1)
    above = np.maximum(falling - most, 0).sum(axis=1)
    return np.asarray(share * most[:, 0] * hours + above, dtype=np.float64)


def level(units: Array, weights: Array, share: float) -> float:
    """How many units to commit to, so that the bill is least.

    cost(L) = share L H + sum of w max(u - L, 0) falls while more than `share` of the H hours use
    more than L: it is least at the largest u that is used in more than `share` of the hours.
    """
    order = np.argsort(-units, kind="stable")
    used = np.cumsum(weights[order])
    first = int(np.searchsorted(used, share * weights.sum(), side="right"))
    return float(units[order][min(first, len(units) - 1)])


def buy(
    offer: Offer | None, units: Sequence[float] | Array, hours: Array, fixed: float | None = None
) -> Bought | None:
    """What one machine's plan buys: `units` in use during `hours` (of a month) each.

    `fixed`: the level that was committed to already. None where nothing is bought this way.
    """
    if offer is None:
        return None
    used, share = np.asarray(units, dtype=np.float64), float(offer.share[0])
    month = float(hours.sum())
    if offer.term == "spot":
        committed, above, idle, most = float(used @ hours), 0.0, 0.0, 0.0
    else:
        most = level(used, hours, share) if fixed is None else fixed
        if most <= 0:
            return None
        committed = most * month
        above = float(np.maximum(used - most, 0) @ hours)
        idle = float(np.maximum(most - used, 0) @ hours)
    return Bought(
        term=offer.term,
        label=offer.label,
        share=share,
        level=most,
        discounted=committed,
        on_demand=above,
        idle=idle,
        source=str(offer.source[0]),
        as_of=str(offer.as_of[0]),
    )


def bought_as(
    offer: Offer | None,
    sized_by: Callable[[Factors], Sized],
    usage: Callable[[Sized], tuple[Array, Array]],
    factors: Factors,
) -> Sized:
    """The plan under `factors`, with what it buys; `usage` gives (units, hours of a month) of a plan.

    A commitment is made once, for the expected case, and stays when the inputs differ.
    """
    sized = sized_by(factors)
    if offer is None or sized.infeasible is not None:
        return sized
    fixed = None
    if factors != EXPECTED:
        expected = buy(offer, *usage(sized_by(EXPECTED)))
        fixed = expected.level if expected else 0.0
    return replace(sized, bought=buy(offer, *usage(sized), fixed))


def month_hours(count: int) -> Array:
    """The hours of a month, spread over `count` equal parts."""
    return np.full(count, HOURS_IN_MONTH / count)
