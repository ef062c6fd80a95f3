"""What would change the answer: flips, relaxations, volume, growth, today, load.

Everything here asks the advisor again, so what it says is what the advisor would really answer.
Long functions take `cancelled`, a function that is asked between two steps; when it says yes they
end with WhatIfCancelledError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from advisor.prices import PriceBook, load_book
from advisor.recommendation import Recommendation
from advisor.requirements import Requirements
from advisor.rules import Policy
from advisor.whatif.answers import at_volume, value_of, with_answer
from advisor.whatif.flips import flips, flips_from
from advisor.whatif.growth import growth
from advisor.whatif.load import load_curve
from advisor.whatif.relaxations import relaxations
from advisor.whatif.shapes import (
    AdviceChange,
    AgainstToday,
    BreakEven,
    Changes,
    Growth,
    GrowthMonth,
    LoadCurve,
    SweptOption,
    VolumeSweep,
    WinnerChange,
)
from advisor.whatif.sweep import break_even, volume_sweep
from advisor.whatif.today import against_today

__all__ = [
    "AdviceChange", "AgainstToday", "BreakEven", "Changes", "Growth", "GrowthMonth", "LoadCurve",
    "SweptOption", "VolumeSweep", "WinnerChange", "against_today", "at_volume", "break_even",
    "changes", "complete", "flips", "growth", "load_curve", "relaxations", "value_of", "volume_sweep",
    "with_answer", "with_changes",
]  # fmt: skip


def complete(
    need: Requirements,
    answer: Recommendation,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Recommendation:
    """The recommendation with its flips, or with the smallest relaxations when nothing fits.

    Raises WhatIfCancelledError.
    """
    found = changes(need, answer.winner, policies=policies, book=book, cancelled=cancelled)
    return with_changes(answer, found)


def changes(
    need: Requirements,
    winner: str | None,
    *,
    policies: Sequence[Policy] = (),
    book: PriceBook | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Changes:
    """What `complete` adds to a recommendation with this winner. Raises WhatIfCancelledError."""
    book = book or load_book()
    if winner is None:
        found = relaxations(need, policies=policies, book=book, cancelled=cancelled)
        return Changes(relaxations=tuple(found))
    changing = flips_from(need, winner, policies=policies, book=book, cancelled=cancelled)
    return Changes(flips=tuple(changing))


def with_changes(answer: Recommendation, found: Changes) -> Recommendation:
    """The recommendation with what would change it."""
    return answer.model_copy(update={"flips": found.flips, "relaxations": found.relaxations})
