"""The answer: what `recommend()` returns, and what the page, the record and the JSON show."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

SCHEMA_VERSION = 1

Kind = Literal["managed", "self-hosted"]
Verdict = Literal["managed", "self-hosted", "none"]


class Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CostLine(Result):
    """One line of a monthly bill: quantity x unit price. An unknown price is None, never 0."""

    name: str
    quantity: float
    unit: str
    unit_price_usd: float | None
    usd: float
    source: str
    as_of: str


class Range(Result):
    low: float
    expected: float
    high: float


class Replicas(Result):
    min: int
    max: int


class Reason(Result):
    """A rule that fired, its sentence with the numbers, and where the rule comes from."""

    rule: str
    because: str
    source: str
    policy: str = ""  # the team's policy that the rule stands in
    points: float = 0.0  # of a preference: for the option (+) or against it (-)


class PeopleTime(Result):
    """Assumed hours of people's time; set-up is spread over the first year."""

    monthly_hours: Range
    setup_hours: Range
    hourly_usd: float
    monthly_usd: Range
    changed_by_user: bool = False


class Sizing(Result):
    """How the option was sized: what the page opens when a number is clicked."""

    model: str  # which queue or duration model was used, in words
    service_time_ms: float  # on this machine
    concurrency: int  # requests that one replica serves at once
    utilisation: float  # at the busiest hour
    arrival_peak_per_s: float
    replica_hours: float  # a month
    hourly_replicas: tuple[int, ...] = ()  # 168, Monday 00:00 UTC first; empty where there are none
    cold_start_share: float = 0.0
    collected_h: float = 0.0  # how long queued requests come together for a run; in finish_h
    memory_mb: float | None = None  # of a function or task
    vcpu: float | None = None
    notes: tuple[str, ...] = ()


class Ranked(Result):
    """One option that fits, sized, priced and scored."""

    option: str
    name: str
    kind: Kind
    cloud: str
    score: float
    contributions: dict[str, float]
    utilities: dict[str, float]
    region: str
    machine: str
    purchase: str = "on-demand"
    replicas: Replicas
    p95_ms: float | None  # None where nobody waits (async, batch)
    finish_h: float | None = None  # async: to the answer; batch: the run
    monthly_usd: Range
    at_least: bool
    people_monthly_usd: float
    people: PeopleTime
    total_monthly_usd: float
    lines: tuple[CostLine, ...]
    reasons: tuple[Reason, ...]
    warnings: tuple[Reason, ...]
    sizing: Sizing
    best_in_draws: float = 0.0  # share of redraws in which this option wins
    deploy_target: str = ""
    deploy_variant: str = ""

    @property
    def speaks_for(self) -> tuple[Reason, ...]:
        """The preferences that fired for the option, strongest first."""
        return tuple(r for r in self.reasons if r.points >= 0)

    @property
    def speaks_against(self) -> tuple[Reason, ...]:
        """The preferences that fired against the option, strongest first, then the warnings."""
        against = sorted((r for r in self.reasons if r.points < 0), key=lambda r: r.points)
        return (*against, *self.warnings)


class PurchaseChoice(Result):
    """One way to buy an option's machines: "on-demand", "1y", "3y" or "spot".

    `purchase` names the programme; it and the bill are None where this way is not open or would
    not lower the bill, and `because` says why. `break_even_months`: of use, from which a
    commitment has cost less than buying on demand.
    """

    choice: str
    purchase: str | None
    monthly_usd: float | None
    at_least: bool
    saving_percent: float | None = None
    break_even_months: float | None = None
    because: str = ""


class Excluded(Result):
    """An option ruled out: the rule, the numbers, the source. One entry for each rule."""

    option: str
    rule: str
    because: str
    source: str
    policy: str = ""  # the team's policy that the rule stands in


class Unpriced(Result):
    option: str
    because: str


class Flip(Result):
    """The nearest change of one answer that changes the winner (None: nothing fits there)."""

    field: str
    from_: Any = Field(alias="from")
    to: Any
    winner: str | None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Relaxation(Result):
    """A smallest set of changed answers with which `option` would fit."""

    option: str
    changes: tuple[Change, ...]
    because: str


class Conflict(Result):
    """Answers that cannot be had together: between them their rules leave no option."""

    rules: tuple[str, ...]
    answers: tuple[str, ...]  # "control.hosting is managed"
    because: str


class Change(Result):
    field: str
    from_: Any = Field(alias="from")
    to: Any

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Recommendation(Result):
    """The whole answer. `model_dump(mode="json", by_alias=True)` is the promised JSON."""

    schema_version: int = SCHEMA_VERSION
    verdict: Verdict
    winner: str | None
    close_call: bool
    confidence: float
    ranking: tuple[Ranked, ...]
    excluded: tuple[Excluded, ...]
    unpriced: tuple[Unpriced, ...]
    flips: tuple[Flip, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    purchase_choices: tuple[PurchaseChoice, ...] = ()  # of the winner, where they were asked for
    warnings: tuple[str, ...] = ()
    prices_as_of: str
    policies: tuple[str, ...] = ()  # as they were given: paths, or names of texts
    policy_names: tuple[str, ...] = ()  # as the policies call themselves

    @computed_field  # type: ignore[prop-decorator]
    @property
    def considered(self) -> int:
        """How many options were looked at: ranked, ruled out or without a price."""
        ids = {r.option for r in self.ranking} | {e.option for e in self.excluded}
        return len(ids | {u.option for u in self.unpriced})

    def best(self, kind: Kind) -> Ranked | None:
        """The highest ranked option of a kind, if any fits."""
        return next((r for r in self.ranking if r.kind == kind), None)

    def option(self, option_id: str) -> Ranked | None:
        return next((r for r in self.ranking if r.option == option_id), None)


Relaxation.model_rebuild()
