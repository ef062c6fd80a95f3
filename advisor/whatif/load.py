"""Response time against load: what a plan does when its busiest hour turns out otherwise."""

from __future__ import annotations

import numpy as np

from advisor.catalog.loader import option as catalogue_option
from advisor.errors import InputError
from advisor.prices import PriceBook, load_book
from advisor.recommendation import Ranked
from advisor.requirements import Mode, Requirements
from advisor.sizing.choose import Factors, Sizable, Sized, other_ways, size
from advisor.sizing.fleet import Fleet
from advisor.sizing.offers import terms
from advisor.sizing.purchase import ON_DEMAND
from advisor.sizing.queueing import GRID, replica_percentile_ms, utilisation
from advisor.whatif.shapes import LoadCurve
from advisor.workload import Workload, resolve

BEYOND = 1.3  # times the busiest hour's rate, where the curve ends
HIGHEST_QUOTED = float(GRID[0][-1])  # utilisation above which no percentile is quoted
MOST_POINTS = 500


def load_curve(
    need: Requirements, ranked: Ranked, *, book: PriceBook | None = None, points: int = 40
) -> LoadCurve:
    """The percentile and the utilisation of a ranked plan at 0 to 1.3 times its peak rate.

    Machines: the replicas of the busiest hour stay, each with an equal share of the rate, and the
    response is that of `replica_percentile_ms`. Functions: the whole week is scaled, because the
    share of cold starts depends on it. Nobody waits for queued and batch work: no percentile.
    Raises InputError when the plan is not one of these requirements.
    """
    if not 2 <= points <= MOST_POINTS:
        raise InputError(f"points is {points}; give 2 to {MOST_POINTS}")
    work = resolve(need)
    made, plan = _as_ranked(ranked, work, book or load_book())
    if plan.infeasible is not None or plan.machine != ranked.machine:
        raise InputError(
            f"{ranked.option} on {ranked.machine} is not what these requirements lead to "
            f"({plan.infeasible or plan.machine}); ask for the recommendation again"
        )
    waits = need.traffic.mode is Mode.realtime
    curve = LoadCurve(
        option=ranked.option,
        machine=ranked.machine,
        percentile=need.service.percentile,
        rates_per_s=tuple(float(r) for r in np.linspace(0, BEYOND * work.peak_per_s, points)),
        utilisation=(None,) * points,
        p95_ms=(None,) * points,
        target_ms=need.service.p95_ms if waits else None,
        peak_per_s=work.peak_per_s,
        replicas=plan.replicas_max,
        capacity_per_s=None,
        highest_quoted_utilisation=HIGHEST_QUOTED,
        note="" if waits else "Nobody waits for an answer here: there is no response time.",
    )
    if isinstance(made, Fleet):
        return _of_fleet(curve, made, work, waits)
    if not waits or isinstance(made, Sized):
        return curve
    shares = [rate / work.peak_per_s for rate in curve.rates_per_s]
    # A rate of 0 has no response time: the first point is that of the quietest week asked for.
    quietest = shares[1] / 1000
    scaled = [made.sized(Factors(volume=share or quietest)) for share in shares]
    return curve.model_copy(update={"p95_ms": tuple(s.p95_ms for s in scaled)})


def _as_ranked(ranked: Ranked, work: Workload, book: PriceBook) -> tuple[Sizable | Sized, Sized]:
    """The option sized again, with the way to buy that the ranking took; else on demand."""
    option = catalogue_option(ranked.option)
    tried: list[tuple[Sizable | Sized, Sized]] = []
    for term in terms(option, work.need):
        first = size(option, work, ranked.region, book, term)
        for made in (first, *other_ways(first)):
            plan = made if isinstance(made, Sized) else made.sized()
            tried.append((made, plan))
            bought = plan.bought.label if plan.bought else ON_DEMAND
            if (bought, plan.machine) == (ranked.purchase, ranked.machine):
                return made, plan
    return tried[0]


def _of_fleet(curve: LoadCurve, fleet: Fleet, work: Workload, waits: bool) -> LoadCurve:
    machine, replicas = fleet.machine, curve.replicas
    alone, busy, servers = machine.alone_ms[0], machine.busy_ms[0], int(machine.servers[0])
    each = np.array(curve.rates_per_s) / replicas
    capacity = replicas * servers / (busy / 1000)
    # Beyond its capacity a replica is simply always busy.
    load = np.minimum(
        np.where(each * replicas < capacity, utilisation(each, servers, alone, busy), 1.0), 1.0
    )
    response: tuple[float | None, ...] = curve.p95_ms
    if waits:
        quoted = load <= HIGHEST_QUOTED
        times = replica_percentile_ms(
            np.where(quoted, each, 0.0), curve.percentile, alone, busy,
            work.need.model.service_time_cv, servers,
        ) + fleet.overhead_ms  # fmt: skip
        response = tuple(float(t) if q else None for t, q in zip(times, quoted, strict=True))
    return curve.model_copy(
        update={
            "utilisation": tuple(float(u) for u in load),
            "p95_ms": response,
            "capacity_per_s": float(capacity),
        }
    )
