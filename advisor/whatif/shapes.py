"""What the what-ifs answer with: frozen, and JSON by `model_dump(mode="json", by_alias=True)`.

Columns that belong together have one element for each volume; None stands where an option does not
fit, and `because` then says why.
"""

from __future__ import annotations

from typing import Literal

from advisor.recommendation import Flip, Kind, Relaxation, Result

Measure = Literal["bill", "total"]  # the cloud bill alone, or with people's time


class Changes(Result):
    """What would change an answer: flips, or where nothing fits the smallest relaxations."""

    flips: tuple[Flip, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()


class SweptOption(Result):
    """One option along the volumes of a sweep; every column has the length of the volumes."""

    option: str
    name: str
    kind: Kind
    cloud: str
    fits: tuple[bool, ...]
    monthly_usd: tuple[float | None, ...]  # cloud bill
    total_usd: tuple[float | None, ...]  # and people's time
    at_least: tuple[bool, ...]  # a unit price is unknown: the bill is a lower bound
    region: tuple[str | None, ...]
    machine: tuple[str | None, ...]
    replicas_max: tuple[int | None, ...]
    because: tuple[str | None, ...]  # why it does not fit, with the numbers


class BreakEven(Result):
    """Where two options change places: both were priced at `just_below` and at `just_above`.

    Machines come whole, so two options may change places several times; each place is listed.
    """

    by: Measure
    requests_per_month: float  # between the two volumes
    just_below: float  # `cheaper_below` costs less here
    just_above: float  # `cheaper_above` costs less here
    cheaper_below: str
    cheaper_above: str
    usd: float  # what `cheaper_below` costs at `just_below`


class WinnerChange(Result):
    """Where the advice changes: `before` wins at `just_below`, `after` at `just_above`."""

    requests_per_month: float
    just_below: float
    just_above: float
    before: str | None  # None: nothing fits
    after: str | None


class VolumeSweep(Result):
    """Every option from few to many requests a month, all other answers as they are."""

    requests_per_month: float  # as answered
    volumes: tuple[float, ...]  # rising, on a log scale
    options: tuple[SweptOption, ...]
    winners: tuple[str | None, ...]  # one for each volume
    changes: tuple[WinnerChange, ...]
    break_even: tuple[BreakEven, ...]  # rising in requests_per_month
    prices_as_of: str

    def option(self, option_id: str) -> SweptOption | None:
        return next((o for o in self.options if o.option == option_id), None)


class GrowthMonth(Result):
    """One month of growth; month 0 is today. `present` is the option that wins in month 0."""

    month: int
    requests_per_month: float
    winner: str | None
    winner_monthly_usd: float | None
    winner_total_usd: float | None
    present_monthly_usd: float | None
    present_total_usd: float | None
    present_because: str | None  # why the present winner does not fit any more


class AdviceChange(Result):
    """The first month in which another option wins."""

    month: int
    requests_per_month: float
    before: str | None
    after: str | None


class Growth(Result):
    """Month by month at the growth that was answered."""

    growth_percent_per_month: float
    present: str | None
    months: tuple[GrowthMonth, ...]
    changes: tuple[AdviceChange, ...]
    present_usd: float | None  # bill and people's time from month 1 on; None if it stops fitting
    best_usd: float | None  # the same, always moving to the winner (moves not counted)
    note: str = ""  # why the months end early


class AgainstToday(Result):
    """What runs now beside the winner. Differences are today minus winner: above 0 is gained."""

    option: str | None
    name: str
    fits: bool
    because: str  # why it does not fit, or has no price; empty when it fits
    paid_monthly_usd: float | None  # as answered
    reckoned_monthly_usd: float | None  # what the advisor makes of it
    at_least: bool  # a unit price of today's option is unknown
    people_monthly_usd: float | None
    people_hours: float | None  # a month
    p95_ms: float | None
    winner: str | None
    winner_monthly_usd: float | None
    winner_people_hours: float | None
    winner_p95_ms: float | None
    saves_monthly_usd: float | None  # against what is paid, else against what is reckoned
    saves_total_usd: float | None  # people's time included
    saves_people_hours: float | None
    saves_p95_ms: float | None
    notes: tuple[str, ...] = ()


class LoadCurve(Result):
    """A plan's response time at other rates than its busiest hour's; equal-length columns.

    `p95_ms` is at the percentile that was asked for, None above `highest_quoted_utilisation`.
    """

    option: str
    machine: str
    percentile: float
    rates_per_s: tuple[float, ...]
    utilisation: tuple[float | None, ...]  # None for functions: every request has its own instance
    p95_ms: tuple[float | None, ...]
    target_ms: float | None
    peak_per_s: float
    replicas: int  # at the busiest hour, kept fixed along the curve
    capacity_per_s: float | None  # where utilisation reaches 1
    highest_quoted_utilisation: float
    note: str = ""
