"""The words of the questionnaire: the answers that may be chosen, the same in files and code."""

from __future__ import annotations

from enum import StrEnum

HOURS_IN_MONTH = 730
HOURS_IN_WEEK = 168


class ModelFormat(StrEnum):
    joblib = "joblib"
    pickle = "pickle"
    skops = "skops"
    onnx = "onnx"
    torch = "torch"
    xgboost = "xgboost"
    lightgbm = "lightgbm"
    other = "other"


class Mode(StrEnum):
    realtime = "realtime"
    asynchronous = "async"
    batch = "batch"


class Pattern(StrEnum):
    steady = "steady"
    business_hours = "business-hours"
    spiky = "spiky"
    rare = "rare"
    nightly = "nightly"


class Skill(StrEnum):
    none = "none"
    basic = "basic"
    intermediate = "intermediate"
    expert = "expert"


class ControlLevel(StrEnum):
    low = "low"
    some = "some"
    high = "high"
    full = "full"


class Hosting(StrEnum):
    any = "any"
    managed = "managed"
    self_hosted = "self-hosted"


class Cloud(StrEnum):
    aws = "aws"
    gcp = "gcp"
    azure = "azure"
    kubernetes = "kubernetes"
    own_hardware = "own-hardware"


class Commitment(StrEnum):
    none = "none"
    one_year = "1y"
    three_years = "3y"
