"""Many models behind one endpoint: how many stay in memory, and how many requests find theirs not.

Most options keep every model in every replica. An endpoint that loads models on demand keeps the
most recently used ones (LRU) and loads the others when they are asked for, so it needs memory for
the popular ones only, as far as the latency target allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from advisor.catalog.schema import Option
from advisor.errors import InputError
from advisor.requirements import Mode
from advisor.workload import Workload

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Resident:
    """The models that a replica holds at once."""

    models: int
    of: int
    memory_mb: float  # of all of them, with the serving process
    gpu_memory_gb: float | None
    miss_share: float = 0.0  # requests whose model has to be loaded first
    load_s: float = 0.0  # loading one model
    start_s: float = 0.0  # from starting the process until all that stay are loaded

    def percentile(self, asked: float) -> float:
        """The percentile that requests with a loaded model have to keep so that all together keep
        `asked`: P(T > t) <= m + (1 - m) P(loaded > t)."""
        allowed = 1 - asked / 100
        return 100 * (1 - (allowed - self.miss_share) / (1 - self.miss_share))


def resident(option: Option, work: Workload) -> Resident:
    """What a replica of the option holds of the workload's models.

    The first model takes `model.memory_mb`; each further one what that leaves above the memory of
    the serving process alone (`server_memory_mb`), at least its file and at most
    `model_memory_per_file` times its file, because libraries are loaded once.
    """
    model, count = work.need.model, work.need.control.models_per_endpoint
    if count == 1 or work.need.traffic.mode is Mode.batch:
        return Resident(1, 1, model.memory_mb, model.gpu_memory_gb, start_s=model.load_time_s)
    above_server = model.memory_mb - option.number("server_memory_mb")
    largest = model.size_mb * option.number("model_memory_per_file")
    each_mb = max(model.size_mb, min(above_server, largest))
    fetch_s = model.size_mb / option.number("network_mb_per_s")
    kept, miss = count, 0.0
    if loads_on_demand(option):
        allowed = 1 - work.need.service.percentile / 100
        kept, miss = models_to_keep(
            count, allowed * option.number("model_miss_part"), option.number("model_popularity")
        )
    return Resident(
        models=kept,
        of=count,
        memory_mb=model.memory_mb + (kept - 1) * each_mb,
        gpu_memory_gb=None if model.gpu_memory_gb is None else kept * model.gpu_memory_gb,
        miss_share=miss,
        load_s=model.load_time_s + fetch_s if miss else 0.0,
        start_s=model.load_time_s + (0 if loads_on_demand(option) else (kept - 1) * fetch_s),
    )


def loads_on_demand(option: Option) -> bool:
    return "models_on_demand" in option.facts and option.flag("models_on_demand")


def many(held: Resident) -> str:
    """ "of 460 models " where there are several."""
    return f"of {held.models:,} models " if held.models > 1 else ""


def note(held: Resident) -> str:
    """What the plan assumes on its models, in a sentence; empty for one model."""
    if held.of == 1:
        return ""
    text = f"{held.models:,} of {held.of:,} models stay in memory: {held.memory_mb:,.0f} MB"
    if held.miss_share:
        text += (
            f"; {held.miss_share:.2%} of the requests wait up to {held.load_s:,.1f} s for theirs, "
            "if few models take most of the requests"
        )
    return text + "."


@lru_cache(maxsize=256)
def models_to_keep(models: int, misses: float, exponent: float) -> tuple[int, float]:
    """(the fewest models that an LRU cache has to hold for a share of misses, that share).

    Popularity falls as rank^-exponent (Zipf). Che's approximation (Che, Tung and Wang 2002): every
    model stays for the same characteristic time t after its last request, so it is loaded with
    probability 1 - e^(-p t), and the cache holds the sum of these. Raises InputError for fewer than
    one model or a share outside 0 to 1.
    """
    if models < 1 or not 0 < misses < 1:
        raise InputError(
            f"models is {models} and misses {misses!r}; give at least 1 and a share between 0 and 1"
        )
    p = popularity(models, exponent)

    def excess(log_t: float) -> float:
        return float((p * np.exp(-p * math.exp(log_t))).sum()) - misses

    low, high = 0.0, math.log(-math.log(misses / 2) / float(p[-1])) + 1
    if excess(low) <= 0:
        return 1, misses
    t = math.exp(optimize.brentq(excess, low, high, xtol=1e-9))
    kept = min(models, math.ceil(float((1 - np.exp(-p * t)).sum())))
    return kept, 0.0 if kept == models else misses


def popularity(models: int, exponent: float) -> Floats:
    """Share of the requests of each model, most popular first."""
    weights = np.arange(1, models + 1, dtype=np.float64) ** -exponent
    return np.asarray(weights / weights.sum())
