"""An option sized in one region: the numbers that costs, rules and ranking go on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Strategy = Literal["fleet", "functions", "job"]
Term = Literal["on-demand", "1y", "3y", "spot"]


@dataclass(frozen=True)
class Bought:
    """How a plan's machines are bought, where it is not on demand alone.

    Units are replica-hours a month (gigabyte-seconds for functions): `discounted` at `share` of the
    price on demand, `on_demand` above them. A commitment covers `level` units every hour; `idle` of
    the discounted ones are paid and not used.
    """

    term: Term
    label: str  # "1-year EC2 Instance Savings Plan", "spot"
    share: float
    level: float
    discounted: float
    on_demand: float
    idle: float
    source: str
    as_of: str


@dataclass(frozen=True)
class Sized:
    """A plan of machines, or of function invocations, that carries the workload.

    `infeasible` holds the sentence when no machine can keep the target; everything else is then
    the nearest miss, so that it can be shown and relaxed.
    """

    strategy: Strategy
    machine: str  # "ml.c7i.large", "1 vCPU, 2 GB", "1,769 MB"
    arch: str
    vcpu: float
    memory_mb: float
    usd_per_hour: float | None  # of one replica; None: not known, or priced by the bill's modules
    price_source: str
    price_as_of: str
    model: str  # the queue or duration model, in words
    service_time_ms: float
    servers: int  # requests that one replica serves at once
    replicas_min: int
    replicas_max: int
    replica_hours: float  # a month of 730 hours
    hourly_replicas: tuple[int, ...]
    utilisation: float  # at the busiest hour
    p95_ms: float | None  # at the asked percentile; None where nobody waits
    finish_h: float | None  # batch: the run; async: to the answer
    cold_start_share: float = 0.0
    requests: float = 0.0  # invocations a month, for functions, warm-up calls included
    warm_up_calls: float = 0.0  # a month, of one's own, to keep function instances warm
    gb_seconds: float = 0.0  # a month, for functions on demand, start-up included
    billed_seconds: float = 0.0  # a month, for functions on demand, start-up included
    ready_seconds: float = 0.0  # a month, of function instances kept ready
    ready_work_seconds: float = 0.0  # a month, of requests that those serve
    runs_per_month: float = 0.0  # for jobs
    collected_h: float = 0.0  # for queued jobs: how long requests come together for a run
    min_p95_ms: float | None = None  # the best response time that any machine of the option gives
    bought: Bought | None = None  # None: on demand
    infeasible: str | None = None
    notes: tuple[str, ...] = ()
    gpu_cards: int = 1  # that one copy of the model takes; 1 without a GPU too
    hourly_use: tuple[float, ...] = ()  # replica-hours in each hour, where not whole replicas


@dataclass(frozen=True)
class Factors:
    """How far an input is from what was given: the corners of the cost range."""

    service_time: float = 1.0
    volume: float = 1.0


EXPECTED = Factors()
