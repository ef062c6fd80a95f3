"""A bill of usage: given quantities of a month, what they cost, line by line.

It decides nothing and assumes nothing, which makes it the check on the prices themselves: the
vendors' own worked examples must come out of it to the cent.
"""

from __future__ import annotations

import difflib
import math
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from advisor import yaml_input
from advisor.costs.usage_items import (
    AzureMlOnline,
    Charge,
    Ec2,
    EksCluster,
    Fargate,
    Item,
    Lambda,
    MachineCharge,
    Month,
    SageMakerRealtime,
    SageMakerServerless,
    VertexOnline,
)
from advisor.costs.usage_network import (
    DataTransferOut,
    HttpApi,
    LoadBalancer,
    NatGateway,
    RestApi,
    VpcEndpoint,
)
from advisor.errors import InputError, UnknownPriceError
from advisor.prices import PriceBook, load_book
from advisor.recommendation import CostLine, Result
from advisor.requirements import HOURS_IN_MONTH, MAX_FILE_BYTES

AnyItem = Annotated[
    Lambda | Fargate | HttpApi | RestApi | LoadBalancer | NatGateway | VpcEndpoint | EksCluster
    | Ec2 | SageMakerRealtime | SageMakerServerless | DataTransferOut | VertexOnline
    | AzureMlOnline,
    Field(discriminator="service"),
]  # fmt: skip


class Usage(BaseModel):
    """Quantities of one month. `free_tier` applies the monthly allowances that never end."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    region: str = "us-east-1"
    hours_in_month: Annotated[float, Field(gt=0, le=744)] = HOURS_IN_MONTH
    free_tier: bool = False
    items: tuple[AnyItem, ...]

    @field_validator("items")
    @classmethod
    def _some(cls, items: tuple[AnyItem, ...]) -> tuple[AnyItem, ...]:
        if not items:
            raise ValueError("is empty; list at least one service that is used")
        return items


class UsageItem(Result):
    """One item of the usage with its lines; `total_usd` is their sum."""

    service: str
    total_usd: float
    lines: tuple[CostLine, ...]


class UsageBill(Result):
    """The whole bill. `at_least`: a unit price is unknown, so the true total is higher."""

    total_usd: float
    at_least: bool
    items: tuple[UsageItem, ...]


def price_usage(usage: Usage, book: PriceBook | None = None) -> UsageBill:
    """Price every item of `usage`; tiers and allowances are shared by the items of a bill.

    A price that the book does not hold becomes a line without a unit price and the bill "at
    least". Raises InputError: unknown region, unknown machine, an item that cannot be charged.
    """
    meter = _Meter(book or load_book(), usage)
    items = []
    for item in usage.items:
        lines = tuple(meter.lines(item))
        items.append(
            UsageItem(
                service=item.service, total_usd=math.fsum(x.usd for x in lines), lines=lines
            )
        )  # fmt: skip
    return UsageBill(
        total_usd=math.fsum(i.total_usd for i in items),
        at_least=any(line.unit_price_usd is None for i in items for line in i.lines),
        items=tuple(items),
    )


def load_usage(path: str | Path) -> Usage:
    """Usage from a YAML or JSON file of at most 1 MB. Raises InputError."""
    path = Path(path)
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= MAX_FILE_BYTES else ""
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as YAML or JSON") from None
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; name a YAML or JSON file"
        ) from None
    if size > MAX_FILE_BYTES:
        raise InputError(f"{path} has {size:,} bytes; a bill of usage has at most 1 MB")
    try:
        data = yaml_input.read(text)
    except InputError as error:
        raise InputError(f"{path} {error}") from None
    return parse_usage(data)


def parse_usage(data: Any) -> Usage:
    """Usage from plain data (what YAML or JSON gives). Raises InputError, a sentence a problem."""
    if not isinstance(data, dict):
        raise InputError(f"usage must be a mapping with items, not {type(data).__name__}")
    try:
        return Usage.model_validate(data)
    except ValidationError as error:
        raise InputError("; ".join(dict.fromkeys(map(_sentence, error.errors())))) from None


class _Meter:
    """Turns charges into lines and remembers what tiers and allowances are used up."""

    def __init__(self, book: PriceBook, usage: Usage) -> None:
        self.book = book
        self.usage = usage
        self.cloud = book.cloud_of(usage.region)
        self.used: dict[tuple[str, str], float] = defaultdict(float)
        self.free_left = {
            a.allowance: a.quantity if usage.free_tier else 0.0 for a in book.allowances
        }

    def lines(self, item: Item) -> list[CostLine]:
        region = self._region(item)
        month = Month(self.usage.hours_in_month, self.book.cloud_of(region), self.book)
        # Another region than the bill's is worth saying; the answer must not hide a default.
        place = "" if region == self.usage.region else f" ({region})"
        out: list[CostLine] = []
        for charge in item.charges(month):
            if isinstance(charge, MachineCharge):
                out += self._machine(charge, region, place)
            elif charge.quantity > 0:
                out += self._sku(charge, region, place)
        return out

    def _region(self, item: Item) -> str:
        any_cloud = isinstance(item, DataTransferOut)
        if item.region is not None:
            cloud = self.book.cloud_of(item.region)
            if cloud != item.cloud and not any_cloud:
                raise InputError(
                    f"{item.service} is a service of {item.cloud}, but its region {item.region} "
                    f"belongs to {cloud}; use one such as {self.book.default_region(item.cloud)}"
                )
            return item.region
        if any_cloud or item.cloud == self.cloud:
            return self.usage.region
        return self.book.default_region(item.cloud)

    def _machine(self, charge: MachineCharge, region: str, place: str) -> list[CostLine]:
        name = f"{charge.machine}{place}"
        try:
            machine = self.book.machine(charge.service, region, charge.machine)
        except UnknownPriceError as error:
            if not self.book.knows_machine(charge.service, charge.machine):
                close = self.book.similar_machines(charge.service, charge.machine)
                hint = "did you mean " + " or ".join(close) + "?" if close else "check its name"
                raise InputError(
                    f"{charge.machine!r} is not a known {charge.service} machine; {hint}"
                ) from None
            return [_unknown(name, charge.hours, charge.unit, error)]
        if charge.hours == 0:
            return []
        return [
            CostLine(
                name=name,
                quantity=charge.hours,
                unit=charge.unit,
                unit_price_usd=machine.usd_per_hour,
                usd=charge.hours * machine.usd_per_hour,
                source=_cited(machine.source, machine.kind),
                as_of=machine.as_of,
            )
        ]

    def _sku(self, charge: Charge, region: str, place: str) -> list[CostLine]:
        name = f"{charge.name}{place}"
        out: list[CostLine] = []
        quantity = charge.quantity
        allowance = self.book.allowance_for(charge.sku) if charge.free else None
        if allowance is not None and (free := min(quantity, self.free_left[allowance.allowance])):
            self.free_left[allowance.allowance] -= free
            quantity -= free
            out.append(
                CostLine(
                    name=f"{name}, free allowance", quantity=free, unit=allowance.unit,
                    unit_price_usd=0.0, usd=0.0, source=allowance.source, as_of=allowance.as_of,
                )
            )  # fmt: skip
        if quantity == 0:
            return out
        try:
            rate = self.book.rate(charge.sku, region)
        except UnknownPriceError as error:
            return [*out, _unknown(name, quantity, self.book.skus[charge.sku].unit, error)]
        shares = rate.split(quantity, after=self.used[charge.sku, region])
        self.used[charge.sku, region] += quantity
        for i, (share, price) in enumerate(shares, start=1):
            out.append(
                CostLine(
                    name=name if len(shares) == 1 else f"{name} (tier {i})",
                    quantity=share,
                    unit=rate.unit,
                    unit_price_usd=price,
                    usd=share * price,
                    source=_cited(rate.source, rate.kind),
                    as_of=rate.as_of,
                )
            )
        return out


def _cited(source: str, kind: str) -> str:
    """A published price needs no remark; how the others came about is part of their source."""
    return source if kind == "list" else f"{source} ({kind})"


def _unknown(name: str, quantity: float, unit: str, error: UnknownPriceError) -> CostLine:
    return CostLine(
        name=name, quantity=quantity, unit=unit, unit_price_usd=None, usd=0.0,
        source=f"unit price unknown: {error}", as_of="",
    )  # fmt: skip


def _sentence(problem: Any) -> str:
    """What is wrong, where, the value, and what to do, from one of pydantic's errors."""
    loc = list(problem["loc"])
    where = ""
    if len(loc) > 1 and loc[0] == "items":
        where = f"items[{loc[1]}] " + (f"({loc[2]}) " if len(loc) > 2 else "")
        loc = loc[3:]
    path = ".".join(str(part) for part in loc)
    value = repr(problem.get("input"))
    value = value if len(value) <= 60 else value[:57] + "..."
    match problem["type"]:
        case "union_tag_invalid":
            tag = problem["ctx"]["tag"]
            names = [n.strip(" '") for n in problem["ctx"]["expected_tags"].split(",")]
            close = difflib.get_close_matches(tag, names, n=2)
            hint = (
                "did you mean " + " or ".join(close) + "?" if close else "use " + ", ".join(names)
            )
            return f"{where}service {tag!r} is not known; {hint}"
        case "union_tag_not_found":
            return f"{where}names no service; add service: ec2, lambda, …"
        case "extra_forbidden":
            return f"{where}{path} is not a known key; remove it or check its spelling"
        case "missing":
            return f"{where}{path} is missing; it is required"
        case "value_error":
            return f"{where}{path} {problem['ctx']['error']}".replace("  ", " ")
        case "tuple_type":
            return f"{path} is {value}; give a list of services that are used"
        case "model_attributes_type":
            return f"{where}is {value}; give a mapping such as {{service: eks-cluster}}"
        case _:
            said = problem["msg"][0].lower() + problem["msg"][1:]
            return f"{where}{path} is {value}; {said}"
