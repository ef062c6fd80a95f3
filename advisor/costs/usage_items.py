"""What can stand in a bill of usage: one model a service, each with what it is charged for.

A model holds quantities of one month and yields charges; the charges know no price. How a service
counts (what is included, in which steps) comes from the price book's metering facts. Here: what
computes; what connects is in usage_network.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from advisor.errors import InputError
from advisor.prices import PriceBook

MB_PER_GB = 1024
SECONDS_PER_HOUR = 3600


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"is {str(value).lower()}; give a number")
    return value


Amount = Annotated[float, BeforeValidator(_no_flag), Field(ge=0)]
Size = Annotated[float, BeforeValidator(_no_flag), Field(gt=0)]
Architecture = Literal["x86", "arm"]


@dataclass(frozen=True)
class Charge:
    """A quantity of a sku. `free` says whether a monthly allowance may be drawn on for it."""

    sku: str
    quantity: float
    name: str
    free: bool = True


@dataclass(frozen=True)
class MachineCharge:
    """Hours of a machine of a service with machine prices."""

    service: str
    machine: str
    hours: float
    unit: str


@dataclass(frozen=True)
class Month:
    """What charges may look at: the hours of the month, the item's cloud, the metering facts."""

    hours: float
    cloud: str
    book: PriceBook

    def fact(self, name: str) -> float:
        return self.book.metering(name).value

    def of(self, hours: float | None) -> float:
        """Hours as given, else the whole month."""
        return self.hours if hours is None else hours


class Item(BaseModel, ABC):
    """One service used. Unknown keys are errors, quantities are finite and not negative."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    cloud: ClassVar[str] = "aws"

    service: str
    region: str | None = Field(
        None, description="Where, if not in the bill's region or its cloud's default."
    )

    @abstractmethod
    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        """What this item is charged for. Raises InputError when it cannot be charged."""


class Lambda(Item):
    """Functions. `streamed_gb`: what goes beyond the included part of each streamed response."""

    service: Literal["lambda"]
    requests: Amount = Field(0, description="Served on demand.")
    duration_ms: Amount | None = None
    memory_mb: Size
    architecture: Architecture = "x86"
    ephemeral_mb: Amount | None = None
    provisioned_concurrency: Amount = 0
    provisioned_hours: Amount | None = None
    provisioned_requests: Amount = Field(0, description="Served by it, on top of `requests`.")
    provisioned_duration_ms: Amount | None = None
    streamed_gb: Amount = 0

    @model_validator(mode="after")
    def _durations(self) -> Lambda:
        if self.requests and self.duration_ms is None:
            raise ValueError(f"has {self.requests:g} requests but no duration_ms; give it")
        durations = (self.provisioned_duration_ms, self.duration_ms)
        if self.provisioned_requests and durations == (None, None):
            raise ValueError(
                f"has {self.provisioned_requests:g} provisioned_requests but no "
                "provisioned_duration_ms; give it"
            )
        return self

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        gb = self.memory_mb / MB_PER_GB
        arch = self.architecture
        duration_ms = self.duration_ms or 0.0
        provisioned_ms = self.provisioned_duration_ms
        if provisioned_ms is None:
            provisioned_ms = duration_ms
        seconds = self.requests * duration_ms / 1000
        provisioned_seconds = self.provisioned_requests * provisioned_ms / 1000
        hours = month.of(self.provisioned_hours)
        ready = self.provisioned_concurrency * gb * hours * SECONDS_PER_HOUR
        included_mb = month.fact("lambda.ephemeral_included_mb")
        extra_gb = max(0.0, (self.ephemeral_mb or 0.0) - included_mb) / MB_PER_GB
        yield Charge("lambda.request", self.requests, "Requests")
        # The free tier does not apply to functions with provisioned concurrency.
        yield Charge(
            "lambda.request", self.provisioned_requests, "Requests on provisioned concurrency",
            free=False,
        )  # fmt: skip
        yield Charge(f"lambda.gb_second.{arch}", seconds * gb, "Duration")
        yield Charge(f"lambda.provisioned_gb_second.{arch}", ready, "Provisioned concurrency")
        yield Charge(
            f"lambda.provisioned_duration_gb_second.{arch}", provisioned_seconds * gb,
            "Duration on provisioned concurrency",
        )  # fmt: skip
        yield Charge(
            "lambda.ephemeral_gb_second", (seconds + provisioned_seconds) * extra_gb,
            f"Ephemeral storage above {included_mb:g} MB",
        )  # fmt: skip
        streamed_mb = month.fact("lambda.streamed_included_mb")
        yield Charge(
            "lambda.streamed_gb", self.streamed_gb,
            f"Streamed beyond {streamed_mb:g} MB of a response",
        )  # fmt: skip


class Fargate(Item):
    """Tasks, each running `hours` in the month."""

    service: Literal["fargate"]
    tasks: Amount = 1
    vcpu: Size
    memory_gb: Size
    ephemeral_gb: Amount | None = None
    hours: Amount | None = None
    architecture: Architecture = "x86"

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        hours = self.tasks * month.of(self.hours)
        included_gb = month.fact("fargate.ephemeral_included_gb")
        extra_gb = max(0.0, (self.ephemeral_gb or 0.0) - included_gb)
        yield Charge(f"fargate.vcpu_hour.{self.architecture}", hours * self.vcpu, "Task vCPU")
        yield Charge(f"fargate.gb_hour.{self.architecture}", hours * self.memory_gb, "Task memory")
        yield Charge(
            "fargate.ephemeral_gb_hour", hours * extra_gb,
            f"Task storage above {included_gb:g} GB",
        )  # fmt: skip


class EksCluster(Item):
    service: Literal["eks-cluster"]
    clusters: Amount = 1
    hours: Amount | None = None
    extended_support: bool = False

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        hours = self.clusters * month.of(self.hours)
        if self.extended_support:
            yield Charge("eks.extended_support_hour", hours, "Cluster in extended support")
        else:
            yield Charge("eks.cluster_hour", hours, "Cluster")


class Ec2(Item):
    service: Literal["ec2"]
    instance: str
    instances: Amount = 1
    hours: Amount | None = None

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        hours = self.instances * month.of(self.hours)
        yield MachineCharge("ec2", self.instance, hours, "instance-hour")


class SageMakerRealtime(Item):
    service: Literal["sagemaker-realtime"]
    instance: str
    instances: Amount = 1
    hours: Amount | None = None

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        hours = self.instances * month.of(self.hours)
        yield MachineCharge("sagemaker", self.instance, hours, "instance-hour")


class SageMakerServerless(Item):
    """Serverless Inference; `data_gb` is what goes in and out together."""

    service: Literal["sagemaker-serverless"]
    requests: Amount
    duration_ms: Amount
    memory_gb: Size
    data_gb: Amount = 0

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        sku = f"sagemaker.serverless_second.{self.memory_gb:g}gb"
        if sku not in month.book.skus:
            prefix = "sagemaker.serverless_second."
            sizes = [s.removeprefix(prefix) for s in month.book.skus if s.startswith(prefix)]
            raise InputError(
                f"sagemaker-serverless has memory_gb {self.memory_gb:g}; use "
                + ", ".join(s.removesuffix("gb") for s in sizes)
            )
        seconds = self.requests * self.duration_ms / 1000
        yield Charge(sku, seconds, f"Inference at {self.memory_gb:g} GB")
        # Data in and data out have one price in every region.
        yield Charge("sagemaker.data_in_gb", self.data_gb, "Data processed")


class VertexOnline(Item):
    service: Literal["vertex-online"]
    cloud: ClassVar[str] = "gcp"
    machine: str
    nodes: Amount = 1
    hours: Amount | None = None

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        hours = self.nodes * month.of(self.hours)
        yield MachineCharge("vertex", self.machine, hours, "node-hour")


class AzureMlOnline(Item):
    """Managed online endpoints bill their virtual machines, without a surcharge."""

    service: Literal["azureml-online"]
    cloud: ClassVar[str] = "azure"
    machine: str
    instances: Amount = 1
    hours: Amount | None = None

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        hours = self.instances * month.of(self.hours)
        yield MachineCharge("azure-vm", self.machine, hours, "instance-hour")
