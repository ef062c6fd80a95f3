"""What a load test reckons with, from data."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

DATA = Path(__file__).resolve().parents[1] / "data" / "load_testing.yaml"

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(gt=0)]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Defaults(_Data):
    utilisation: tuple[Share, ...]
    seconds: Positive
    percentile: Annotated[float, Field(gt=50, lt=100)]


class Bounds(_Data):
    most_rates: Count
    most_seconds: Positive
    most_requests: Count
    most_in_flight: Count
    timeout_s: Positive


class CalibrationSettings(_Data):
    ping_calls: Count
    seconds: Positive
    least_calls: Count
    most_calls: Count
    cold_left: Annotated[float, Field(ge=0, lt=1)]


class ScheduleSettings(_Data):
    draws: Count
    skipped_share: Share


class VerdictSettings(_Data):
    tolerance: Share
    steady_utilisation: Share
    least_answers: Count
    why: str


class Drift(_Data):
    low: Positive
    high: Positive


class IntervalSettings(_Data):
    replications: Count
    share: Share
    service_drift: Drift
    source: str
    checked: date


class GeneratorSettings(_Data):
    late_share: Share
    late_ms: Positive


class LoadTesting(_Data):
    """The data file of load testing."""

    defaults: Defaults
    bounds: Bounds
    calibration: CalibrationSettings
    schedule: ScheduleSettings
    verdict: VerdictSettings
    line_holds_to: Share
    interval: IntervalSettings
    generator: GeneratorSettings


@cache
def settings() -> LoadTesting:
    """What ships with the product; read once."""
    return LoadTesting.model_validate(yaml.safe_load(DATA.read_text(encoding="utf-8")))
