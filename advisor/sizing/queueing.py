"""Response times of a replica: one first-come queue before c workers, random arrivals (M/G/c).

Notation: arrivals a second lambda, mean service time S, c workers, load a = lambda S, utilisation
rho = a / c, cv = standard deviation of the service time / S. Times are in milliseconds, rates in
requests a second; all arguments broadcast like numpy arrays.

The service time is deterministic for cv = 0, gamma-distributed for cv <= 1 (exponential at 1) and
lognormal above. The wait is a gamma distribution with the first two moments of the single-server
queue, begun with Erlang C's probability of waiting: see `response.wait_moments`. docs/method.md
says how far this was held against simulation.

Requests are spread over replicas at random, so that every replica sees a Poisson stream of its own:
round-robin and least-outstanding balancing do better, which makes these figures an upper bound.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from advisor.errors import InputError
from advisor.sizing.response import miss_probability
from advisor.sizing.response import percentile as percentile_ratio
from advisor.sizing.service_time import ServiceTime

Floats = NDArray[np.float64]

RECURSION = 1000  # servers up to which Erlang B is computed by its recursion
# Utilisations at which percentiles are tabulated; the second part is computed where it is asked.
GRID = (np.linspace(0.0, 0.85, 48), np.linspace(0.85, 0.98, 24)[1:])
MAX_CURVES = 4096
# How fast requests of one length cease to be: the one constant fitted to simulation (`stretch`).
EVENNESS = 6.0
_curves: dict[tuple[float, float, int, int], Floats] = {}


# Probabilities below this are taken from the continued fraction, with this many terms.
LEAST_TOLD, TERMS = 1e-280, 200


def erlang_b(servers: ArrayLike, load: ArrayLike) -> Floats:
    """Probability that all `servers` are busy when nobody waits (loss system), load in erlang.

    B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1)): Erlang 1917; the recursion is numerically stable.
    Above 1,000 servers its closed form, P(N = c) / P(N <= c) for a Poisson N of mean a; where both
    are too small to be told from 0, the continued fraction of their ratio (Legendre's, of the upper
    incomplete gamma function): B = F / a, F = a - c + 1 c / (a - c + 2 + 2 (c - 1) / (a - c + 4 + ...)).
    """
    count, a = np.broadcast_arrays(_counts(servers), _floats(load))
    if count.size and (count.min() < 0 or a.min() < 0):
        raise InputError("servers or load is negative; give 0 or more of each")
    many = count > RECURSION
    order = np.argsort(-np.where(many, 0, count), axis=None, kind="stable")
    falling, carried_load = np.where(many, 0, count).ravel()[order], a.ravel()[order]
    blocked = np.ones(a.size)
    # Largest first: the elements that still have servers to add are always a leading slice.
    still = np.searchsorted(-falling, -np.arange(1, int(falling.max(initial=0)) + 1), "right")
    for k, n in enumerate(still, start=1):
        carried = carried_load[:n] * blocked[:n]
        blocked[:n] = carried / (k + carried)
    flat = np.empty(a.size)
    flat[order] = blocked
    out: Floats = flat.reshape(a.shape)
    if many.any():
        c, mean = count[many].astype(np.float64), a[many]
        exactly = np.exp(special.xlogy(c, mean) - mean - special.gammaln(c + 1))
        at_most = special.gammaincc(c + 1, mean)
        flooded = (at_most < LEAST_TOLD) & (mean > c)
        ratio = exactly / np.where(flooded, 1.0, at_most)
        ratio[flooded] = _flooded(c[flooded], mean[flooded])
        out[many] = ratio
    return out


def _flooded(servers: Floats, load: Floats) -> Floats:
    """Erlang's B far beyond what the servers carry, from the innermost term of the fraction out."""
    over = load - servers
    fraction = over + 2.0 * TERMS
    for n in range(TERMS, 0, -1):
        fraction = over + 2.0 * (n - 1) + n * np.maximum(servers + 1 - n, 0.0) / fraction
    return np.asarray(fraction / load)


def erlang_c(servers: ArrayLike, utilisation: ArrayLike) -> Floats:
    """Probability that an arrival has to wait: B / (1 - rho (1 - B)), Erlang 1917.

    1 at rho >= 1.
    """
    count, rho = np.broadcast_arrays(_counts(servers), _floats(utilisation))
    stable = np.clip(rho, 0.0, 1.0)
    blocked = erlang_b(count, count * stable)
    return np.where(rho >= 1, 1.0, blocked / (1 - stable * (1 - blocked)))


def utilisation(
    rate_per_s: ArrayLike, servers: ArrayLike, alone_ms: ArrayLike, busy_ms: ArrayLike | None = None
) -> Floats:
    """Share of time that a worker is busy; at or above 1 the queue grows without end.

    With `busy_ms` the service time grows with utilisation, see `busy_service_ms`:
    rho = x alone / (1 - x (busy - alone)), x = lambda / c; 1 exactly at lambda = c / busy.
    """
    alone = _floats(alone_ms) / 1000
    growth = np.maximum(_floats(alone_ms if busy_ms is None else busy_ms) / 1000 - alone, 0.0)
    each = _floats(rate_per_s) / _floats(servers)
    left = 1 - each * growth
    return np.asarray(np.where(left > 0, each * alone / np.where(left > 0, left, 1.0), np.inf))


def busy_service_ms(
    rate_per_s: ArrayLike, servers: ArrayLike, alone_ms: ArrayLike, busy_ms: ArrayLike
) -> Floats:
    """Mean service time under load, where workers share cores.

    S(rho) = alone + rho (busy - alone): the chance that the neighbouring hyper-thread works is rho.
    Never above `busy_ms`, which it reaches at the capacity of c / busy.
    """
    alone = _floats(alone_ms)
    rho = np.minimum(utilisation(rate_per_s, servers, alone_ms, busy_ms), 1.0)
    return np.asarray(alone + rho * np.maximum(_floats(busy_ms) - alone, 0.0))


def response_miss_probability(
    target_ms: ArrayLike,
    rate_per_s: ArrayLike,
    service_ms: ArrayLike,
    cv: float,
    servers: ArrayLike,
) -> Floats:
    """P(response > target) of one replica; 1 at rho >= 1. Arguments broadcast, cv is one number."""
    target, rate, service, count = np.broadcast_arrays(
        _floats(target_ms), _floats(rate_per_s), _floats(service_ms), np.asarray(servers)
    )
    rho = utilisation(rate, count, service)
    out = np.ones(target.shape)
    stable = rho < 1
    if stable.any():
        waits = erlang_c(count[stable], rho[stable])
        out[stable] = miss_probability(
            target[stable] / service[stable], ServiceTime(cv), rho[stable], count[stable], waits
        )
    return out


def response_percentile_ms(
    percentile: float, rate_per_s: ArrayLike, service_ms: ArrayLike, cv: float, servers: ArrayLike
) -> Floats:
    """Response time that `percentile` % of the requests keep; infinite at rho >= 1."""
    rate, service, count = np.broadcast_arrays(
        _floats(rate_per_s), _floats(service_ms), np.asarray(servers)
    )
    rho = utilisation(rate, count, service)
    out = np.full(rho.shape, np.inf)
    stable = rho < 1
    if stable.any():
        allowed = _allowed(percentile)
        waits = erlang_c(count[stable], rho[stable])
        ratio = percentile_ratio(allowed, ServiceTime(cv), rho[stable], count[stable], waits)
        out[stable] = ratio * service[stable]
    return out


def max_rate_per_replica(
    target_ms: ArrayLike,
    percentile: float,
    alone_ms: ArrayLike,
    busy_ms: ArrayLike,
    cv: float,
    servers: ArrayLike,
    max_utilisation: float,
) -> Floats:
    """Requests a second that one replica takes while P(T > target) <= 1 - percentile / 100 and
    rho <= max_utilisation; 0 where even an idle replica misses. Never falls as the target grows.

    T / S depends on rho, c and cv alone, so its percentile is tabulated over rho for each c. Who
    waits sees all workers busy and served at the speed of a busy machine, so the table is entered
    with lambda busy / c; a machine's limit is where table x `stretch` crosses target / alone.
    """
    target, alone, busy, count = np.broadcast_arrays(
        _floats(target_ms), _floats(alone_ms), _floats(busy_ms), _counts(servers)
    )
    _check_positive(alone=alone, servers=count)
    shape = target.shape
    target, alone, busy, count = (x.ravel() for x in (target, alone, busy, count))
    growth = np.maximum(busy / alone - 1, 0.0)
    highest = load_when_busy(max_utilisation, growth)
    load, table, waits = _tables(cv, percentile, count, float(np.max(highest, initial=0.0)))
    reach = table * stretch(load, waits, growth[:, None], cv, _allowed(percentile))
    limit = np.minimum(_crossing(load, reach, target / alone), highest)
    rate = count * limit / (alone * (1 + growth)) * 1000
    return np.asarray(rate.reshape(shape), dtype=np.float64)


def replica_percentile_ms(
    rate_per_s: ArrayLike,
    percentile: float,
    alone_ms: ArrayLike,
    busy_ms: ArrayLike,
    cv: float,
    servers: ArrayLike,
) -> Floats:
    """Response-time percentile of a replica whose service time grows with its load.

    From the same table as `max_rate_per_replica`, so that a rate it allows keeps the target here;
    infinite at rho >= 1. Above a utilisation of 0.85 do not quote it.
    """
    rate, alone, busy, count = np.broadcast_arrays(
        _floats(rate_per_s),
        _floats(alone_ms),
        _floats(busy_ms),
        _counts(servers),
    )
    _check_positive(alone=alone, servers=count)
    shape = rate.shape
    rate, alone, busy, count = (x.ravel() for x in (rate, alone, busy, count))
    growth, allowed = np.maximum(busy / alone - 1, 0.0), _allowed(percentile)
    busy = alone * (1 + growth)
    load = rate * busy / 1000 / count
    grid, table, waits = _tables(cv, percentile, count, float(np.max(load, initial=0.0)))
    reach = table * stretch(grid, waits, growth[:, None], cv, allowed)
    at = np.clip(load, 0.0, grid[-1])
    left = np.minimum(np.searchsorted(grid, at, "right") - 1, grid.size - 2)
    share = (at - grid[left]) / (grid[left + 1] - grid[left])
    rows = np.arange(load.size)
    out = reach[rows, left] + share * (reach[rows, left + 1] - reach[rows, left])
    beyond = (load > grid[-1]) & (load < 1)
    if beyond.any():
        # Here everybody waits, and is served at the speed of a busy machine.
        exact = response_percentile_ms(percentile, rate[beyond], busy[beyond], cv, count[beyond])
        out[beyond] = np.maximum(exact / alone[beyond], out[beyond])
    out = np.where(load < 1, out * alone, np.inf)
    return np.asarray(out.reshape(shape), dtype=np.float64)


def load_when_busy(utilised: ArrayLike, growth: ArrayLike) -> Floats:
    """lambda busy / c where the workers are busy for the share `utilised` of the time, and a
    busy machine takes 1 + growth times as long: rho (1 + g) / (1 + rho g)."""
    rho, g = _floats(utilised), _floats(growth)
    return np.asarray(rho * (1 + g) / (1 + rho * g))


def stretch(
    load: ArrayLike, waits: ArrayLike, growth: ArrayLike, cv: float, allowed: float
) -> Floats:
    """Service time that the late requests see, over that of an idle machine: 1 + growth x weight.

    The mean has the weight rho, the chance that a neighbour works. Who waited (probability `waits`)
    is served while all work. Where requests take equally long, a share `allowed` of late ones is
    late because of its neighbours alone: e^(-6 cv), fitted to simulation, of those that have any.
    """
    at, g = _floats(load), _floats(growth)
    rho = at / (1 + g - at * g)
    even = math.exp(-EVENNESS * cv) * np.minimum(1.0, rho / allowed)
    return np.asarray(1 + g * (1 - (1 - rho) * (1 - _floats(waits)) * (1 - even)))


def percentile_table(
    cv: float, percentile: float, servers: NDArray[np.int64], top: float
) -> tuple[Floats, Floats]:
    """(rho, percentile of T / S): shapes (n,) and (machines, n), rising along rho up to `top`."""
    parts = (0,) if top <= GRID[0][-1] else (0, 1)
    unique, where = np.unique(servers, return_inverse=True)
    columns = []
    for part in parts:
        missing = tuple(int(c) for c in unique if (cv, percentile, int(c), part) not in _curves)
        if missing:
            _compute(cv, percentile, missing, part)
        columns.append(np.stack([_curves[cv, percentile, int(c), part] for c in unique]))
    table = np.maximum.accumulate(np.hstack(columns), axis=1)
    return np.concatenate([GRID[part] for part in parts]), table[where]


def _tables(
    cv: float, percentile: float, servers: NDArray[np.int64], top: float
) -> tuple[Floats, Floats, Floats]:
    """`percentile_table`, and the probability of waiting at the same places."""
    grid, table = percentile_table(cv, percentile, servers, top)
    unique, where = np.unique(servers, return_inverse=True)
    waits = np.stack([waiting(int(c), grid.size) for c in unique]) if unique.size else table
    return grid, table, waits[where]


@lru_cache(maxsize=4096)
def waiting(servers: int, points: int) -> Floats:
    """Probability of waiting at the first `points` utilisations of the table."""
    rho = np.concatenate(GRID)[:points]
    return erlang_c(np.full(points, servers), rho)


def _compute(cv: float, percentile: float, servers: tuple[int, ...], part: int) -> None:
    """Fill the cache for several c at once."""
    if len(_curves) + len(servers) > MAX_CURVES:
        _curves.clear()
    rho = GRID[part]
    count = np.repeat(np.array(servers, dtype=np.int64), rho.size)
    every = np.tile(rho, len(servers))
    waits = erlang_c(count, every)
    curves = percentile_ratio(_allowed(percentile), ServiceTime(cv), every, count, waits)
    for c, curve in zip(servers, curves.reshape(len(servers), rho.size), strict=True):
        _curves[cv, percentile, c, part] = curve


def _crossing(rho: Floats, reach: Floats, target: Floats) -> Floats:
    """The largest rho at which the rising `reach` (machines, n) keeps `target`; 0 if at none.

    Straight lines between the points of the table: rising in the target whatever the table holds.
    """
    passed = (reach <= target[:, None]).sum(axis=1)
    left = np.clip(passed - 1, 0, rho.size - 2)
    rows = np.arange(target.size)
    low, high = reach[rows, left], reach[rows, left + 1]
    step = np.where(high > low, (target - low) / np.where(high > low, high - low, 1.0), 1.0)
    inside = rho[left] + np.clip(step, 0.0, 1.0) * (rho[left + 1] - rho[left])
    return np.where(passed == 0, 0.0, np.where(passed == rho.size, rho[-1], inside))


def _allowed(percentile: float) -> float:
    if not 0 < percentile < 100:
        raise InputError(f"percentile is {percentile!r}; give a number between 0 and 100")
    return 1 - percentile / 100


def _check_positive(**values: NDArray[Any]) -> None:
    for name, value in values.items():
        if value.size and value.min() <= 0:
            raise InputError(f"{name} is {value.min():g}; give a number above 0")


def _counts(value: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(value, dtype=np.int64)


def _floats(value: ArrayLike) -> Floats:
    return np.asarray(value, dtype=np.float64)
