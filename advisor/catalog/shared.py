"""What the options share: columns, shared figures, levels, people's time, groups of countries.

Each class is the shape of a file beside this one, named in its docstring.
"""

from __future__ import annotations

from datetime import date

from pydantic import Field

from advisor.catalog.schema import (
    Assumption,
    Confidence,
    Estimate,
    FactKind,
    Hours,
    Level,
    Option,
    RuntimeImage,
    Strict,
)
from advisor.requirements import Cloud, Skill


class FactsFile(Strict):
    """facts.yaml: the columns of the comparison table."""

    groups: dict[str, str]
    facts: dict[str, FactKind]


class AssumptionsFile(Strict):
    """assumptions.yaml: figures that nobody publishes, and the names of skus."""

    checked: date
    defaults: dict[str, Assumption]
    skus: dict[Cloud, dict[str, str]]
    runtime_image_mb: RuntimeImage
    thresholds: dict[str, Assumption]


class WeightsFile(Strict):
    """weights.yaml: the levels of every option."""

    checked: date
    confidence: Confidence
    source: str
    levels: dict[str, dict[str, Level]]


class Bound(Strict):
    """A published figure that bounds people's time; `vendor`: its author sells one side."""

    claim: str
    low: float
    high: float
    unit: str
    source: str
    vendor: bool


class SkillFactors(Strict):
    managed: dict[Skill, float]
    self_hosted: dict[Skill, float] = Field(alias="self-hosted")
    containers: dict[Skill, float]
    rationale: str

    def of(self, option: Option) -> dict[Skill, float]:
        """The factors that hold for an option: those its hours name, else those of its kind."""
        named = option.people.factors or option.kind
        return {
            "managed": self.managed, "self-hosted": self.self_hosted, "containers": self.containers,
        }[named]  # fmt: skip


class ExistingCluster(Strict):
    """What a cluster that is run anyway takes off."""

    options: tuple[str, ...]
    monthly_factor: float = Field(gt=0, le=1)
    setup_factor: float = Field(gt=0, le=1)
    rationale: str


class PeopleFile(Strict):
    """people.yaml: hours, factors, and the published figures that bound them."""

    checked: date
    confidence: Confidence
    source: str
    options: dict[str, Hours]
    skill_factors: SkillFactors
    existing_cluster: ExistingCluster
    bounds: tuple[Bound, ...]

    def hours(
        self, option: Option, skill: Skill, existing_cluster: bool
    ) -> tuple[Estimate, Estimate]:
        """(hours a month, hours of set-up) of a team of that skill."""
        monthly = setup = self.skill_factors.of(option)[skill]
        if existing_cluster and option.id in self.existing_cluster.options:
            monthly *= self.existing_cluster.monthly_factor
            setup *= self.existing_cluster.setup_factor
        return option.people.monthly_hours.times(monthly), option.people.setup_hours.times(setup)

    def launch_weeks(self, option: Option, existing_cluster: bool) -> float:
        """Weeks until it runs in production for a team that knows its way; on a cluster that is
        run anyway, the share of them that is left."""
        weeks = option.level("launch_weeks")
        if existing_cluster and option.id in self.existing_cluster.options:
            weeks *= self.existing_cluster.setup_factor
        return weeks


class Geography(Strict):
    name: str
    countries: frozenset[str]


class GeographiesFile(Strict):
    """geographies.yaml: groups of countries that data residency may name."""

    checked: date
    source: str
    geographies: dict[str, Geography]
