"""Plans of one option in one region at many volumes at once, bought on demand: sized and priced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.costs import Bill, lines_of, sums_usd
from advisor.costs.people import people_time
from advisor.plans import home_usd, imputed_machines_usd
from advisor.prices import PriceBook
from advisor.rules import PlanFacts
from advisor.sizing.many_sized import ManySized, many_sized
from advisor.sizing.sized import Array
from advisor.volumes import Volumes


@dataclass(frozen=True, eq=False)
class ManyPlans:
    """Plans at some of the volumes, arrays of shape (plans,)."""

    region: str
    sized: ManySized
    bill_usd: Array
    at_least: NDArray[np.bool_]
    ranked_usd: Array  # bill and people's time, and what stands in for a price that is not known

    def facts(self, purchase_note: str) -> PlanFacts:
        """What rules see of them: figures are arrays."""
        sized = self.sized
        figures: dict[str, Any] = {
            name: getattr(sized, name)
            for name in (
                "p95_ms", "replicas_min", "replicas_max", "memory_mb", "vcpu", "utilisation",
                "cold_start_share", "finish_h", "replica_hours", "gpu_cards",
            )
        }  # fmt: skip
        return PlanFacts(
            monthly_usd=cast(Any, self.bill_usd),
            total_monthly_usd=cast(Any, self.ranked_usd),
            machine=cast(Any, sized.machines),
            purchase_note=purchase_note,
            **figures,
        )


def plans_at(
    option: Option, volumes: Volumes, region: str, book: PriceBook
) -> tuple[list[ManyPlans], Sequence[int]]:
    """The plans at those volumes at which there is one, and the volumes at which they have to be
    made one by one. Raises UnknownPriceError when the book has no machines for the option in the
    region."""
    work, out = volumes.works[0], []
    people_usd = people_time(option, work).monthly_usd.expected
    found = many_sized(option, volumes, region, book)
    for sized in found.plans:
        some = volumes if len(sized.at) == len(volumes) else volumes.part(sized.at)
        lines = lines_of(Bill(option, work, sized, region, book, volumes=some))
        usd, at_least = sums_usd(lines, len(some))
        ranked = usd + people_usd
        if at_least.any():
            imputed = sized.imputed_usd + imputed_machines_usd(option, sized)
            ranked = ranked + np.where(at_least, imputed + home_usd(lines, book), 0.0)
        out.append(ManyPlans(region, sized, usd, at_least, ranked))
    return out, found.alone
