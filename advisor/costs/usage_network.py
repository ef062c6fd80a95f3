"""What connects, in a bill of usage: gateways, load balancer, network, transfer to the internet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from advisor.costs.usage_items import Amount, Charge, Item, MachineCharge, Month
from advisor.errors import InputError

KB_PER_GB = 2**20


class HttpApi(Item):
    """API Gateway HTTP API: a request counts once for each 512 KB step of the larger of its
    body and its response."""

    service: Literal["api-gateway-http"]
    requests: Amount
    request_kb: Amount = 0
    response_kb: Amount = 0
    data_out: bool = False

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        step_kb = month.fact("apigw.http_step_kb")
        steps = max(1, math.ceil(max(self.request_kb, self.response_kb) / step_kb))
        name = "Requests" if steps == 1 else f"Requests, each metered as {steps}"
        yield Charge("apigw.http_request", self.requests * steps, name)
        yield _answers_out(self.requests, self.response_kb, self.data_out)


class RestApi(Item):
    """API Gateway REST API; with `data_out` the responses are billed as transfer out."""

    service: Literal["api-gateway-rest"]
    requests: Amount
    request_kb: Amount = 0
    response_kb: Amount = 0
    data_out: bool = False

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        yield Charge("apigw.rest_request", self.requests, "Requests")
        yield _answers_out(self.requests, self.response_kb, self.data_out)


class LoadBalancer(Item):
    """Application Load Balancer: hours, and capacity units (LCU) by its most used dimension.

    LCU an hour = max of new connections/s, active connections, GB/h and rule evaluations/s, each
    over what one unit covers (aws.amazon.com/elasticloadbalancing/pricing).
    """

    service: Literal["alb"]
    hours: Amount | None = None
    gb: Amount = Field(0, description="Processed in the month.")
    lcu_hours: Amount | None = Field(None, description="Instead of the dimensions, if known.")
    new_connections_per_second: Amount = 0
    active_connections: Amount = 0
    rules: Amount = Field(0, description="Rules that a request passes.")
    requests_per_second: Amount | None = Field(
        None, description="For rule evaluations; left out: new_connections_per_second."
    )
    targets: Literal["ec2", "lambda"] = "ec2"

    @model_validator(mode="after")
    def _capacity_once(self) -> LoadBalancer:
        given = [n for n in ("gb", "new_connections_per_second", "active_connections", "rules")
                 if getattr(self, n)]  # fmt: skip
        if self.lcu_hours is not None and given:
            raise ValueError(
                f"gives both lcu_hours ({self.lcu_hours:g}) and {given[0]} "
                f"({getattr(self, given[0]):g}); give one of the two"
            )
        return self

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        hours = month.of(self.hours)
        yield Charge("alb.hour", hours, "Load balancer")
        lcu_hours = self._lcu_hours(hours, month) if self.lcu_hours is None else self.lcu_hours
        yield Charge("alb.lcu_hour", lcu_hours, "Capacity units")

    def _lcu_hours(self, hours: float, month: Month) -> float:
        rate = self.requests_per_second
        if rate is None:
            rate = self.new_connections_per_second
        free_rules = month.fact("alb.free_rules")
        if self.rules > free_rules and rate == 0:
            raise InputError(
                f"alb has {self.rules:g} rules, more than the {free_rules:g} free ones, but no "
                "request rate; give requests_per_second"
            )
        if hours == 0 and self.gb:
            raise InputError(f"alb processes {self.gb:g} GB in 0 hours; give its hours")
        evaluations = max(0.0, self.rules - free_rules) * rate
        return hours * max(
            self.new_connections_per_second / month.fact("alb.lcu_new_connections_per_second"),
            self.active_connections / month.fact("alb.lcu_active_connections"),
            (self.gb / hours if hours else 0.0) / month.fact(f"alb.lcu_gb_per_hour.{self.targets}"),
            evaluations / month.fact("alb.lcu_rule_evaluations_per_second"),
        )


class NatGateway(Item):
    service: Literal["nat-gateway"]
    count: Amount = 1
    hours: Amount | None = None
    gb: Amount = Field(0, description="Processed by all of them.")

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        hours = month.of(self.hours)
        yield Charge("nat.hour", self.count * hours, "NAT gateway")
        yield Charge("nat.gb", self.gb, "Data processed")


class VpcEndpoint(Item):
    """Interface endpoints, billed in each zone."""

    service: Literal["vpc-endpoint"]
    count: Amount = 1
    zones: Amount = 1
    hours: Amount | None = None
    gb: Amount = Field(0, description="Processed by all of them.")

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        hours = month.of(self.hours)
        yield Charge("vpce.hour", self.count * self.zones * hours, "Interface endpoint")
        yield Charge("vpce.gb", self.gb, "Data processed")


class DataTransferOut(Item):
    """Transfer from a region to the internet, of the cloud that the region belongs to."""

    service: Literal["data-transfer-out"]
    gb: Amount

    SKUS: ClassVar[dict[str, str]] = {
        "aws": "data_out.gb", "gcp": "gcp.data_out_gb", "azure": "azure.data_out_gb",
    }  # fmt: skip

    def charges(self, month: Month) -> Iterator[Charge | MachineCharge]:
        yield Charge(self.SKUS[month.cloud], self.gb, "Transfer to the internet")


def _answers_out(requests: float, response_kb: float, billed: bool) -> Charge:
    gb = requests * response_kb / KB_PER_GB if billed else 0.0
    return Charge("data_out.gb", gb, "Responses to the internet")
