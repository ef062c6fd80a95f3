"""The load that a replica was sized for, as what target tracking holds and alarms watch."""

from __future__ import annotations

from advisor.recommendation import Ranked
from advisor.requirements import Requirements
from advisor.traffic import weekly_rates

# Beyond this share of a replica's time no latency is promised: the sizing quotes none there either.
SATURATED = 0.85
SECONDS_IN_MINUTE = 60


def invocations_target(need: Requirements, ranked: Ranked) -> float:
    """Requests a minute and replica that target tracking should hold.

    The most that any replica gets in any hour of the sized week. The sizing runs ceil(load / r)
    replicas, r being the most that one can take, so this is at most r, and ceil(load / target)
    replicas are never fewer than sized. It reacts within minutes; it does not foresee.
    """
    rates = weekly_rates(need.traffic) * SECONDS_IN_MINUTE
    replicas = ranked.sizing.hourly_replicas
    if not replicas:
        return ranked.sizing.arrival_peak_per_s * SECONDS_IN_MINUTE / ranked.replicas.max
    return float(max(rate / count for rate, count in zip(rates, replicas, strict=True)))


def saturation(ranked: Ranked) -> float:
    """Requests a minute at which one replica is busy for the SATURATED share of its time."""
    sizing = ranked.sizing
    full = sizing.concurrency * SECONDS_IN_MINUTE * 1000 / sizing.service_time_ms
    return SATURATED * full
