"""The shape of the comparison table: options, facts with their sources, levels, people's time.

What an option is stands in `options/<id>.yaml`; what options share, in `shared.py`.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from advisor.errors import CatalogError
from advisor.requirements import Cloud, Mode, Model, ModelFormat

Kind = Literal["managed", "self-hosted"]
Confidence = Literal["primary", "secondary", "unconfirmed", "estimate"]
FactType = Literal["number", "flag", "text", "list", "estimate"]
Scaling = Literal["autoscaled", "fixed", "per-request", "job"]
Machines = Literal[
    "ec2", "sagemaker", "gce", "vertex", "azure-vm", "fargate", "lambda", "sagemaker-serverless",
    "own-node", "none",
]  # fmt: skip
DeployTarget = Literal[
    "local", "sagemaker", "lambda_api", "ecs", "eks", "ec2", "batch", "vertex", "azureml",
    "kubernetes",
]  # fmt: skip
LEVELS = ("control", "portability", "elasticity", "resilience", "launch_weeks")


class Strict(BaseModel):
    """Data that knows its keys: an unknown one, or an infinite number, is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(Strict):
    """Where a figure comes from. `read` is the day the text was read, `published` its own date."""

    title: str = Field(min_length=1)
    url: str | None
    read: date
    published: str = ""

    @field_validator("published", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, (int, date)) else value

    def cite(self) -> str:
        """One line for people: the title, and where it was read and when."""
        if self.url is None:
            return self.title
        return f"{self.title}, {self.url} (read {self.read.isoformat()})"


class FactKind(Strict):
    """A column of the comparison table."""

    group: str
    type: FactType
    unit: str | None
    label: str
    required: bool = False


class Estimate(Strict):
    """A figure that lies between two others."""

    low: float = Field(ge=0)
    expected: float = Field(ge=0)
    high: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Estimate:
        if not self.low <= self.expected <= self.high:
            raise ValueError(f"{self.low:g} <= {self.expected:g} <= {self.high:g} does not hold")
        return self

    def times(self, factor: float) -> Estimate:
        return Estimate(
            low=self.low * factor, expected=self.expected * factor, high=self.high * factor
        )


FactValue = bool | float | str | tuple[str, ...] | Estimate | None


class Fact(Strict):
    """One cell: the value, how sure it is, where it comes from and when it was checked.

    A number without a published limit is None; `text` then says what holds instead.
    """

    value: FactValue
    text: str = ""
    unit: str = ""
    confidence: Confidence
    source: str = Field(min_length=1)  # the citation
    source_key: str = ""  # its key in sources.yaml
    also: tuple[str, ...] = ()  # citations of further texts that say so
    checked: date
    note: str = ""

    def shown(self) -> str:
        """The value for people, without its unit."""
        if self.text:
            return self.text
        value = self.value
        if value is None:
            return "none"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, Estimate):
            if value.low == value.high:
                return f"{value.expected:,g}"
            return f"{value.low:,g} to {value.high:,g}, about {value.expected:,g}"
        if isinstance(value, tuple):
            return ", ".join(value) if value else "none named"
        return f"{value:,.10g}" if isinstance(value, float) else value

    def said(self) -> str:
        """The value for people with its unit: "25 MB", "no published limit"."""
        return f"{self.shown()} {self.unit}" if self.unit and not self.text else self.shown()


class Assumption(Strict):
    """A figure that nobody publishes: its value, and why it is that."""

    value: bool | float | str
    unit: str = ""
    confidence: Confidence
    source: str = Field(min_length=1)
    rationale: str = Field(min_length=1)


class Level(Strict):
    """Where an option stands on a criterion, and why."""

    value: float = Field(ge=0)
    rationale: str = Field(min_length=1)


class Priced(Strict):
    """One thing on the bill: the module of `advisor.costs` that prices it, and what it is."""

    thing: str
    pays_for: str


class OutsideBill(Strict):
    """Something that is or could be charged and is on no line, and why."""

    thing: str = Field(min_length=1)
    because: str = Field(min_length=1)


class TaskSize(Strict):
    """A size that a task may have."""

    vcpu: float = Field(gt=0)
    memory_gb: float = Field(gt=0)


class Deploy(Strict):
    """Which deployment target runs the option, and which variant of it."""

    target: DeployTarget
    variant: str


class Purchase(Strict):
    """A way to buy the option's machines beside on demand: the programmes of the price book that
    apply to them, and where that is said. An empty list: the kind exists, but not for this option.
    """

    kind: Literal["commitment", "spot"]
    programmes: tuple[str, ...]
    note: str = ""
    source: str = Field(min_length=1)


class Operates(Strict):
    """Who does what once it runs. `paged` says who is called when it fails, in a sentence."""

    paged: str = Field(min_length=1)
    provider: tuple[str, ...]
    you: tuple[str, ...] = Field(min_length=1)


class Hours(Strict):
    """People's time of an option for a team of intermediate skill, before any factor."""

    monthly_hours: Estimate
    setup_hours: Estimate
    rationale: str
    # Which skill factors hold; left out: those of the option's kind.
    factors: Kind | Literal["containers"] | None = None


class RuntimeImage(Strict):
    """Size of the container image without the model, by model format."""

    unit: Literal["MB"]
    confidence: Confidence
    source: str
    rationale: str
    formats: dict[ModelFormat, float]
    gpu: float


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _sizes(value: Any) -> Any:
    """`{vcpu: 1, memory_gb: [2, 3]}` is two sizes."""
    if not isinstance(value, (list, tuple)):
        return value
    return tuple(
        {"vcpu": row["vcpu"], "memory_gb": memory}
        for row in value
        for memory in (
            row["memory_gb"] if isinstance(row["memory_gb"], list) else [row["memory_gb"]]
        )
    )


class Option(Strict):
    """One way to run a model: everything the table, the rules, the sizing and the bill know."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    name: str
    kind: Kind
    cloud: Cloud
    summary: str
    modes: tuple[Mode, ...] = Field(min_length=1)
    formats: tuple[ModelFormat, ...] = Field(min_length=1)
    machines: Machines
    scaling: Scaling
    deploy: Deploy
    pricing: tuple[Priced, ...] = Field(min_length=1)
    outside_bill: tuple[OutsideBill, ...] = ()
    purchase: tuple[Purchase, ...] = ()
    strengths: tuple[str, ...] = Field(min_length=1)
    weaknesses: tuple[str, ...] = Field(min_length=1)
    operates: Operates
    memory_sizes_mb: tuple[float, ...] = ()
    task_sizes: Annotated[tuple[TaskSize, ...], BeforeValidator(_sizes)] = ()
    machine_families: tuple[str, ...] = ()  # of the price book; empty: all of them
    machines_refused: tuple[
        str, ...
    ] = ()  # priced, but not taken by the service's API, or not for it
    architectures: tuple[Literal["x86", "arm"], ...] = ("x86",)
    gb_second_sku: str = ""  # with {arch} and {gb}
    ready_sku: str = ""  # an instance kept ready, likewise
    ready_work_sku: str = ""  # the work of such an instance
    per_replica_hour: dict[str, float] = {}  # beside the machine: sku -> quantity an hour
    assumptions: dict[str, Assumption]
    skus: dict[str, str]
    facts: dict[str, Fact]
    levels: dict[str, Level]
    people: Hours
    runtime_image: RuntimeImage

    @property
    def bill(self) -> tuple[str, ...]:
        """What is priced, in this order: modules of `advisor.costs`."""
        return tuple(line.thing for line in self.pricing)

    def fact(self, name: str) -> Fact:
        """One fact. Raises CatalogError for a name that the table does not have."""
        try:
            return self.facts[name]
        except KeyError:
            raise CatalogError(
                f"option {self.id} has no fact {name!r}; add it to options/{self.id}.yaml"
            ) from None

    def number(self, name: str) -> float:
        """A fact or an assumption as a number: no published limit is infinite, an estimate is its
        expected value. Raises CatalogError when it is missing or no number."""
        value = self._value(name)
        if value is None:
            return math.inf
        if isinstance(value, Estimate):
            return value.expected
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise CatalogError(f"{name!r} of {self.id} is {value!r}, which is not a number")
        return float(value)

    def flag(self, name: str) -> bool:
        """A fact or an assumption as yes or no. Raises CatalogError when it is neither."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise CatalogError(f"{name!r} of {self.id} is {value!r}, neither true nor false")
        return value

    def text(self, name: str) -> str:
        """A fact as people read it, or a sku name ("" where there is none).

        Raises CatalogError for a name that is neither.
        """
        if name in self.skus:
            return self.skus[name]
        if name.endswith("_sku"):
            raise CatalogError(f"cloud {self.cloud.value} has no {name} in assumptions.yaml")
        return self.fact(name).shown()

    def programmes(self, kind: Literal["commitment", "spot"]) -> tuple[str, ...]:
        """The programmes under which the option's machines can be bought; empty: none."""
        return tuple(name for way in self.purchase if way.kind == kind for name in way.programmes)

    def level(self, name: str) -> float:
        """Where it stands on control, portability, elasticity, resilience (0 to 1), launch_weeks.

        Raises CatalogError for another name.
        """
        try:
            return self.levels[name].value
        except KeyError:
            raise CatalogError(
                f"option {self.id} has no level {name!r}; use one of {', '.join(LEVELS)}"
            ) from None

    def image_mb(self, model: Model, models: int = 1) -> float:
        """Size of the container image in MB: the runtime of the format, CUDA with a GPU, and the
        models where they are baked in."""
        size = self.runtime_image.formats[model.format]
        if model.gpu:
            size += self.runtime_image.gpu
        return size + (models * model.size_mb if self.flag("model_in_image") else 0.0)

    def _value(self, name: str) -> Any:
        if name in self.facts:
            return self.facts[name].value
        if name in self.assumptions:
            return self.assumptions[name].value
        raise CatalogError(f"option {self.id} has neither a fact nor an assumption {name!r}")
