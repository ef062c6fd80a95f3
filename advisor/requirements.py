"""What is asked: the requirements of a deployment, as pydantic models.

The question, its help, its unit, its bounds and when to ask it stand beside each field, so the
form, the file, the JSON schema and the docs all come from here. Units are part of the names.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from advisor import yaml_input
from advisor.errors import InputError, RequirementsError
from advisor.requirement_problems import contradictions, sentences
from advisor.vocabulary import (
    HOURS_IN_MONTH as HOURS_IN_MONTH,
)
from advisor.vocabulary import (
    HOURS_IN_WEEK as HOURS_IN_WEEK,
)
from advisor.vocabulary import (
    Cloud as Cloud,
)
from advisor.vocabulary import (
    Commitment as Commitment,
)
from advisor.vocabulary import (
    ControlLevel as ControlLevel,
)
from advisor.vocabulary import (
    Hosting as Hosting,
)
from advisor.vocabulary import (
    Mode as Mode,
)
from advisor.vocabulary import (
    ModelFormat as ModelFormat,
)
from advisor.vocabulary import (
    Pattern as Pattern,
)
from advisor.vocabulary import (
    Skill as Skill,
)

MAX_FILE_BYTES = 1_000_000
OWN_NODES = "placement.clouds=kubernetes|own-hardware"  # when questions on own nodes make sense
LABELS = ("name", "notes")  # what a scenario's file has beside the answers

Ask = Literal["essential", "detail", "expert"]


def ask(
    default: Any,
    question: str,
    help: str,  # noqa: A002 - the word users see beside a question
    *,
    unit: str | None = None,
    when: Ask = "detail",
    depends_on: str | None = None,
    **bounds: Any,
) -> Any:
    """A field with its question.

    `when` says how early the form asks (essential: on the first page; detail: behind "more
    detail"; expert: only in the file and the expert form). `depends_on` is "path=value" or
    "path=one|other": the question makes sense only when one of these answers is given (of several
    answers, when one of them is among them).
    """
    extra: dict[str, Any] = {"question": question, "ask": when}
    if unit:
        extra["unit"] = unit
    if depends_on:
        extra["depends_on"] = depends_on
    return Field(default, title=question, description=help, json_schema_extra=extra, **bounds)


class Section(BaseModel):
    """A group of answers. Unknown keys are errors; numbers must be finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Model(Section):
    """The trained model."""

    format: ModelFormat = ask(
        ..., "Model file format", "How the trained model is saved.", when="essential"
    )
    size_mb: float = ask(
        ..., "Model file size", "Size of the saved model on disk.",
        unit="MB", when="essential", gt=0, le=1_000_000,
    )  # fmt: skip
    memory_mb: float = ask(
        ..., "Memory while serving", "Resident memory of the serving process with the model loaded.",
        unit="MB", when="essential", gt=0, le=4_000_000,
    )  # fmt: skip
    service_time_ms: float | None = ask(
        None, "One request takes",
        "Time for one request alone on one vCPU of an AWS m5 machine (with a GPU: on one A10G). "
        "Leave it out and name a model class when nothing was measured.",
        unit="ms", when="essential", gt=0, le=86_400_000,
    )  # fmt: skip
    service_time_cv: float = ask(
        0.3, "Variability of the service time",
        "Standard deviation divided by the mean: 0 is constant, 1 is very variable.",
        unit="ratio", ge=0, le=10,
    )  # fmt: skip
    threads_per_request: int = ask(
        1, "Threads per request", "CPU threads that one request keeps busy at once.",
        unit="threads", ge=1, le=128,
    )  # fmt: skip
    load_time_s: float = ask(
        3, "Model load time", "Seconds from starting the process to the first answer.",
        unit="s", ge=0, le=7200,
    )  # fmt: skip
    gpu: bool = ask(False, "Needs a GPU", "Does the model need a GPU to meet its latency?")
    gpu_memory_gb: float | None = ask(
        None, "GPU memory", "Memory that the model takes on the GPU.",
        unit="GB", depends_on="model.gpu=true", gt=0, le=2000,
    )  # fmt: skip
    model_class: str | None = ask(
        None, "Kind of model",
        "A class from the product's data, used when no service time was measured.",
        when="essential",
    )  # fmt: skip


class Traffic(Section):
    """How requests arrive."""

    mode: Mode = ask(
        ..., "How are predictions asked for?",
        "Real-time: a caller waits. Async: the answer may come later. Batch: many records at once; "
        "a request is then a record.",
        when="essential",
    )  # fmt: skip
    requests_per_month: float = ask(
        ..., "Requests a month", "Requests (in batch: records) in an average month.",
        unit="requests/month", when="essential", gt=0, le=1e12,
    )  # fmt: skip
    pattern: Pattern | tuple[float, ...] = ask(
        Pattern.steady, "Pattern over the week",
        "How traffic spreads over the week, or 168 numbers (Monday 00:00 UTC first).",
        when="essential",
    )  # fmt: skip
    peak_requests_per_second: float | None = ask(
        None, "Peak request rate",
        "Raises the pattern's busiest hour to this rate; the month's total stays.",
        unit="requests/s", gt=0, le=1e7,
    )  # fmt: skip
    request_mb: float = ask(
        0.01, "Request size", "Size of one request body.", unit="MB", ge=0, le=100_000
    )
    response_mb: float = ask(
        0.01, "Response size", "Size of one response body.", unit="MB", ge=0, le=100_000
    )
    growth_percent_per_month: float = ask(
        0, "Growth", "Expected growth of traffic each month.",
        unit="%/month", ge=-50, le=100,
    )  # fmt: skip

    @field_validator("pattern", mode="before")
    @classmethod
    def _week(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            if len(value) != HOURS_IN_WEEK:
                raise ValueError(
                    f"has {len(value)} numbers; a week needs {HOURS_IN_WEEK} (Monday 00:00 UTC first)"
                )
            if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
                raise ValueError("holds something that is not a number")
            if not all(math.isfinite(v) and v >= 0 for v in value):
                raise ValueError("holds a negative or infinite number")
            if sum(value) <= 0:
                raise ValueError("is all zeros; at least one hour needs traffic")
            return tuple(float(v) for v in value)
        return value


class Service(Section):
    """The service level."""

    p95_ms: float | None = ask(
        200, "Answer within", "Response-time target at the percentile below; real-time only.",
        unit="ms", when="essential", depends_on="traffic.mode=realtime", gt=0, le=3_600_000,
    )  # fmt: skip
    percentile: float = ask(
        95, "Percentile", "Share of requests that must meet the target.", unit="%", ge=50, le=99.9
    )
    max_processing_s: float | None = ask(
        None, "Longest single request", "Left out: the service time.", unit="s", gt=0, le=2_592_000
    )
    deadline_h: float = ask(
        24, "Deadline", "Async: to the answer. Batch: to the end of the night's run.",
        unit="h", depends_on="traffic.mode=async|batch", gt=0, le=720,
    )  # fmt: skip
    cold_starts_ok: bool = ask(
        True, "Cold starts are acceptable",
        "May a request now and then wait for a fresh instance to start?", when="detail",
    )  # fmt: skip
    availability_percent: float = ask(
        99.5, "Availability", "Share of the month in which requests must be answered.",
        unit="%", ge=0, lt=100,
    )  # fmt: skip
    max_utilisation: float = ask(
        0.7,
        "Highest utilisation",
        "How busy a replica may be planned.",
        unit="ratio",
        gt=0,
        le=0.85,
    )


class HoursAssumption(Section):
    """Your own figures for the people's time of one option."""

    monthly_hours: Annotated[float, Field(ge=0, le=1000)] | None = None
    setup_hours: Annotated[float, Field(ge=0, le=10_000)] | None = None


class Team(Section):
    """Who will run it."""

    devops_skill: Skill = ask(
        Skill.basic, "DevOps skill in the team",
        "None: no one runs servers. Basic: scripts and a console. Intermediate: containers and "
        "pipelines. Expert: clusters and on-call.",
        when="essential",
    )  # fmt: skip
    hourly_usd: float = ask(
        90, "Cost of an engineer's hour", "Loaded cost, used for people's time.",
        unit="USD/h", ge=0, le=2000,
    )  # fmt: skip
    weeks_to_launch: float = ask(
        4, "Weeks to launch", "Until it has to run in production.", unit="weeks", gt=0, le=520
    )
    assumptions: dict[str, HoursAssumption] = ask(
        {}, "Own figures for people's time",
        "Hours by option id: {ecs-fargate: {monthly_hours: 6, setup_hours: 12}}; a bare number is "
        "monthly hours.",
        when="expert",
    )  # fmt: skip

    @field_validator("assumptions", mode="before")
    @classmethod
    def _bare_hours(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: {"monthly_hours": v} if isinstance(v, (int, float)) else v
                for k, v in value.items()
            }
        return value


class Control(Section):
    """What must be in your own hands."""

    level: ControlLevel = ask(
        ControlLevel.some, "Control over the environment",
        "Low: just run it. Some: own container. High: own network and machine types. Full: own host.",
        when="essential",
    )  # fmt: skip
    hosting: Hosting = ask(
        Hosting.any, "Managed or self-hosted", "Restrict the answer to one of the two.",
    )  # fmt: skip
    private_network: bool = ask(
        False, "Private network only", "The endpoint must not be reachable from the internet."
    )
    custom_container: bool = ask(
        False, "Own container image", "The model needs its own system packages or server."
    )
    host_access: bool = ask(
        False, "Access to the host", "Root on the machine: drivers, kernel settings, agents."
    )
    canary: bool = ask(
        False, "Canary releases", "New versions must receive a small share of traffic first."
    )
    data_residency: str | None = ask(
        None, "Data must stay in", "A region prefix such as eu, us or ap-southeast-2.",
        max_length=40,
    )  # fmt: skip
    models_per_endpoint: int = ask(
        1, "Models per endpoint", "Many small models behind one endpoint.",
        unit="models", ge=1, le=100_000,
    )  # fmt: skip


class Placement(Section):
    """Where it may run and how machines may be bought."""

    clouds: tuple[Cloud, ...] = ask((Cloud.aws,), "Clouds", "Where it may run.", min_length=1)
    regions: tuple[str, ...] = ask(
        ("us-east-1",), "Regions",
        "A region names its cloud; a cloud without a region of its own gets its default.",
    )  # fmt: skip
    arm: bool = ask(True, "ARM machines are fine", "Graviton, Ampere and the like.")
    burstable: bool = ask(False, "Burstable machines are fine", "t3, t4g and the like.")
    spot: bool = ask(False, "Spot machines are fine", "Cheaper, but may be taken away.")
    spot_alone: bool = ask(
        False, "Spot even for a single replica",
        "Answers stop while a lone spot machine is replaced; otherwise two are planned.",
    )  # fmt: skip
    commitment: Commitment = ask(
        Commitment.none, "Would you commit for a term?",
        "Savings plans and reservations, for the part that is always in use.",
    )  # fmt: skip
    existing_cluster: bool = ask(
        False, "A Kubernetes cluster is already run", "Its control plane and upkeep are then paid."
    )
    node_hourly_usd: float | None = ask(
        None, "Price of your own node", "For Kubernetes and own hardware, an hour.",
        unit="USD/h", depends_on=OWN_NODES, ge=0, le=1000,
    )  # fmt: skip
    node_vcpu: int = ask(
        4, "vCPU of your own node", "For Kubernetes and own hardware.",
        unit="vCPU", depends_on=OWN_NODES, ge=1, le=1024,
    )  # fmt: skip
    node_memory_gb: float = ask(
        16, "Memory of your own node", "For Kubernetes and own hardware.",
        unit="GB", depends_on=OWN_NODES, gt=0, le=32_768,
    )  # fmt: skip
    node_gpu: bool = ask(
        False, "Your own node has a GPU", "For Kubernetes and own hardware.", depends_on=OWN_NODES
    )

    @field_validator("clouds", "regions", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [value]
        return tuple(dict.fromkeys(value)) if isinstance(value, (list, tuple)) else value


class Budget(Section):
    monthly_usd: float | None = ask(
        None, "Budget", "Caps the cloud bill of a month; people's time is apart.",
        unit="USD/month", gt=0, le=1e9,
    )  # fmt: skip


class Today(Section):
    option: str | None = ask(None, "Runs today on", "The option id of what you run now.")
    monthly_usd: float | None = ask(
        None, "Costs today", "What you pay for it each month.", unit="USD/month", ge=0, le=1e9
    )


class Priorities(Section):
    """Weights, 0 (does not matter) to 5 (decides)."""

    cost: float = ask(3, "Cost", "Cloud bill and people's time.", ge=0, le=5)
    latency: float = ask(3, "Latency", "Headroom below the target.", ge=0, le=5)
    control: float = ask(2, "Control", "Environment, network and host in your hands.", ge=0, le=5)
    operations: float = ask(3, "Little operating effort", "Few hours, nobody paged.", ge=0, le=5)
    launch: float = ask(2, "Quick launch", "Time until it runs in production.", ge=0, le=5)
    portability: float = ask(1, "Portability", "Easy to move elsewhere.", ge=0, le=5)
    elasticity: float = ask(1, "Elasticity", "Follows traffic up and down, to zero.", ge=0, le=5)
    resilience: float = ask(2, "Resilience", "Survives the loss of a machine or zone.", ge=0, le=5)

    @model_validator(mode="after")
    def _some_weight(self) -> Priorities:
        if not any(self.model_dump().values()):
            raise ValueError("are all 0; give at least one of them a weight")
        return self


class Requirements(Section):
    """All answers. Required: five of the model and two of the traffic; all else has a default."""

    model: Model
    traffic: Traffic
    service: Service = Service()
    team: Team = Team()
    control: Control = Control()
    placement: Placement = Placement()
    budget: Budget = Budget()
    today: Today = Today()
    priorities: Priorities = Priorities()

    @model_validator(mode="after")
    def _pairs(self) -> Requirements:
        problems = contradictions(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self


def parse(data: Any) -> Requirements:
    """Requirements from plain data (what YAML or JSON gives).

    Raises RequirementsError with one sentence for each problem.
    """
    if not isinstance(data, dict):
        raise RequirementsError(
            [f"requirements must be a mapping with model and traffic, not {type(data).__name__}"]
        )
    try:
        return Requirements.model_validate(data)
    except ValidationError as error:
        raise RequirementsError(sentences(error, Requirements)) from None


def load(path: str | Path) -> Requirements:
    """Requirements from a YAML or JSON file of at most 1 MB. Raises RequirementsError."""
    return loads(read_file(path), name=str(path))


def loads(text: str, name: str = "the requirements") -> Requirements:
    """Requirements from YAML or JSON text. Raises RequirementsError."""
    return parse(answers_in(read(text, name)))


def read_file(path: str | Path) -> str:
    """The text of a file of at most 1 MB. Raises RequirementsError."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RequirementsError(
                [f"{path} has {path.stat().st_size:,} bytes; requirements have at most 1 MB"]
            )
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RequirementsError([f"{path} is not UTF-8 text; save it as YAML or JSON"]) from None
    except OSError as error:
        raise RequirementsError(
            [f"cannot read {path}: {error.strerror}; name a YAML or JSON file"]
        ) from None


def read(text: str, name: str = "the requirements") -> Any:
    """Plain data from YAML or JSON text of at most 1 MB. Raises RequirementsError."""
    if len(text.encode(errors="replace")) > MAX_FILE_BYTES:
        raise RequirementsError([f"{name} is larger than 1 MB; requirements are a few lines"])
    try:
        return yaml_input.read(text)
    except InputError as error:
        raise RequirementsError([f"{name} {error}"]) from None


def answers_in(data: Any) -> Any:
    """The answers of a file: without its name and notes, or taken out of a decision record."""
    if not isinstance(data, dict):
        return data
    if "record" in data and "requirements" in data:
        return data["requirements"]
    return {key: value for key, value in data.items() if key not in LABELS}


def dumps(requirements: Requirements, *, defaults: bool = False) -> str:
    """YAML that `loads` reads back; without `defaults` only what differs from them."""
    data = requirements.model_dump(mode="json", exclude_defaults=not defaults)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
