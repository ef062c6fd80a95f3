"""How each vendor's price list names what the book holds: `feeds/*.yaml`, checked when read."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from advisor.errors import PriceBookError

FEEDS = Path(__file__).parent / "feeds"
M = TypeVar("M", bound="Mapping")


class Part(BaseModel):
    """A part of a mapping file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Mapping(Part):
    """What every mapping file says: where the names come from, and what it leaves alone."""

    source: str
    checked: object
    kept: dict[str, str] = Field(default_factory=dict)  # sku -> why no list renews it


class AwsRate(Part):
    """A sku by its usage type (a regular expression) and, where needed, its operation."""

    usage: str
    operation: str = ""
    per: float = 1.0
    first_tier: bool = False  # the book prices the first tier only


class AwsReserved(Part):
    """The reserved term whose hourly price is the book's price for a commitment."""

    OfferingClass: str
    PurchaseOption: str


class AwsSavingsPlan(Part):
    """The list of savings plans whose hourly rate is the book's price for a commitment."""

    list: str
    purchase_option: str


class AwsMachines(Part):
    """Machines: the name is the group `machine` of `usage`, else the attribute that is named.

    `programmes` are the commitments of the book whose discount follows from `reserved` or
    `savings_plan`.
    """

    service: str
    usage: str
    machine_attribute: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)
    reserved: AwsReserved | None = None
    savings_plan: AwsSavingsPlan | None = None
    programmes: tuple[str, ...] = ()


class AwsOffer(Part):
    """One price list of AWS. The query API filters by the attribute `region_filter`, and asks for
    rates by `rate_families` where the offer's machines are asked for apart."""

    rates: dict[str, AwsRate] = Field(default_factory=dict)
    machines: AwsMachines | None = None
    region_filter: str = "regionCode"
    rate_families: tuple[str, ...] = ()


class AwsMapping(Mapping):
    prefix: str
    offers: dict[str, AwsOffer]


class AzureRate(Part):
    """A sku by the fields of a retail price item; each must be equal."""

    serviceName: str
    meterName: str
    productName: str = ""
    skuName: str = ""
    per: float = 1.0  # book units in one unitOfMeasure
    first_tier: bool = False  # the book prices the first tier only


class AzureMapping(Mapping):
    machines_service: str
    machines_service_name: str
    leave_out_products: tuple[str, ...]
    leave_out_skus: tuple[str, ...]
    spot_sku: str
    name_prefixes: tuple[str, ...]
    rates: dict[str, AzureRate]


class GcpRate(Part):
    """A sku by its service and the beginning of its description."""

    service: str
    description: str
    group: str = ""
    per: float = 1.0


class GcpFamily(Part):
    """How a machine family's parts are described, up to " running in"; `commit` is what stands
    between "Commitment v1: " and "Cpu in"."""

    core: str
    ram: str
    commit: str | None = None


class GcpUplift(Part):
    """Where no prediction price is listed: this many times the Compute Engine price."""

    factor: float
    source: str


class GcpMapping(Mapping):
    services: dict[str, str]  # display name -> id, "" where the list of services tells it
    gpus: dict[str, str]  # gpu_name -> description
    families: dict[str, GcpFamily]
    leave_out: tuple[str, ...]  # in names of machines that are more than cores, memory and GPUs
    vertex_prefix: str
    vertex_uplift: GcpUplift
    rates: dict[str, GcpRate]


@lru_cache(maxsize=1)
def aws() -> AwsMapping:
    """Raises PriceBookError when the file is damaged."""
    return _read("aws", AwsMapping)


@lru_cache(maxsize=1)
def azure() -> AzureMapping:
    """Raises PriceBookError when the file is damaged."""
    return _read("azure", AzureMapping)


@lru_cache(maxsize=1)
def gcp() -> GcpMapping:
    """Raises PriceBookError when the file is damaged."""
    return _read("gcp", GcpMapping)


def _read(provider: str, kind: type[M]) -> M:
    path = FEEDS / f"{provider}.yaml"
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise PriceBookError(f"cannot read {path} ({error}); reinstall the product") from None
