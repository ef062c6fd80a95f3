"""How fast one thread of this machine is, over the vCPU that all sizing refers to (AWS m5).

Service times are given for that vCPU (see `model.service_time_ms`), so a time measured here has to
be translated. Where the processor's name is one that the performance data knows, its figure is
used; else four small pieces of work are timed and compared with what they took on a processor that
the data knows.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from advisor.recommendation import Range
from advisor.sizing.performance_data import cpu_scores

DATA = Path(__file__).with_name("data") / "measuring.yaml"
UNKNOWN_CPU = "unknown processor"

Positive = Annotated[float, Field(gt=0)]


class MachineSpeed(BaseModel):
    """`relative`: one thread here over one m5 vCPU running alone; 2 is twice as fast."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: str
    cores: int
    relative: Range
    basis: str  # a sentence
    scored_by: str = ""  # digest of the data that told `relative`; "" where nobody wrote it down


class Yardstick(BaseModel):
    """What the pieces of work took on a processor of known speed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: str
    cloud: str
    family: str  # whose `alone` speed is taken for that processor
    why: str
    source: str
    checked: date
    least_spread: Positive  # the translation is never taken to be surer than this share
    seconds: Mapping[str, Positive]


class BaseImage(BaseModel):
    """The image that every bundle is built on, uncompressed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mb: Positive
    source: str
    checked: date


class Measuring(BaseModel):
    """The data file of measuring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_image: BaseImage
    yardstick: Yardstick


def machine_speed(seconds: Mapping[str, float]) -> MachineSpeed:
    """The speed from the yardstick's times here; `seconds` by piece, all above 0.

    The expected value is the geometric mean of the pieces; low and high are the slowest and the
    fastest piece, at least the data's `least_spread` apart from the mean.
    """
    cpu, cores = processor(), usable_cores()
    held = measuring().yardstick
    spread = held.least_spread
    named = _by_name(cpu)
    if named is not None:
        family, speed = named
        return MachineSpeed(
            cpu=cpu, cores=cores,
            relative=Range(low=speed / (1 + spread), expected=speed, high=speed * (1 + spread)),
            basis=f"the performance data knows this processor: it runs AWS {family}",
            scored_by=_scores(cpu),
        )  # fmt: skip
    anchor = cpu_scores().families[held.cloud][held.family].alone
    ratios = [anchor * held.seconds[name] / took for name, took in seconds.items()]
    mean = math.exp(math.fsum(map(math.log, ratios)) / len(ratios))
    return MachineSpeed(
        cpu=cpu, cores=cores,
        relative=Range(
            low=min(*ratios, mean / (1 + spread)),
            expected=mean,
            high=max(*ratios, mean * (1 + spread)),
        ),
        basis=f"{len(ratios)} pieces of work timed here and compared with {held.cpu} "
        f"({anchor:g} times an m5 vCPU)",
        scored_by=_scores(cpu),
    )  # fmt: skip


def is_as_here(speed: MachineSpeed) -> bool:
    """Whether it was told of a machine like this one, and by the data that is used now."""
    here = processor()
    return (speed.cpu, speed.cores, speed.scored_by) == (here, usable_cores(), _scores(here))


def _scores(cpu: str) -> str:
    """A digest of all the data that `relative` depends on."""
    held = measuring().yardstick
    anchor = cpu_scores().families[held.cloud][held.family].alone
    said = repr((_by_name(cpu), anchor, held.least_spread, sorted(held.seconds.items())))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or UNKNOWN_CPU
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine() or UNKNOWN_CPU


def usable_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def measuring() -> Measuring:
    """What ships with the product; read once."""
    return Measuring.model_validate(yaml.safe_load(DATA.read_text(encoding="utf-8")))


def _by_name(cpu: str) -> tuple[str, float] | None:
    """The AWS family that runs this processor. A bare "AMD EPYC" names no model and matches none."""
    wanted = _plain(cpu)
    if not re.search(r"\d", wanted):
        return None
    for family, row in cpu_scores().families["aws"].items():
        if wanted in [_plain(name) for name in row.cpu.split(";")]:
            return family, row.alone
    return None


def _plain(cpu: str) -> str:
    """Without trade marks, clock and core count: "intel xeon platinum 8259cl"."""
    text = re.sub(r"\((r|tm)\)|@.*|\b\d+-core\b|\b(cpu|processor)\b", " ", cpu.lower())
    return " ".join(text.split())
