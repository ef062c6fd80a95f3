"""The machines of an option that could be the cheapest at some volume, and what each of them takes.

How many requests a replica takes does not depend on how many there are, so this part of the choice
is made once for all volumes. A machine that costs more an hour than another and takes no more is
never chosen: leaving it out changes no answer (tests compare with the search over all of them).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from advisor.catalog.schema import Option
from advisor.memo import Same, memo_of
from advisor.prices import PriceBook
from advisor.requirements import HOURS_IN_MONTH, Mode
from advisor.sizing.balancer import price_usd
from advisor.sizing.candidates import Candidates, candidates
from advisor.sizing.many_models import Resident, resident
from advisor.sizing.offers import offered, why_not
from advisor.sizing.purchase import Offer
from advisor.sizing.queueing import max_rate_per_replica
from advisor.sizing.sized import Array, Term
from advisor.workload import Workload

ADDRESS = "ipv4.hour"  # that private machines do without
MOST_RATES = 16  # targets for which the rates of a list of machines are remembered
MOST_LISTS = 2048  # shortlists that are remembered: options times regions, ways to buy and answers


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Machines that keep the target, arrays of shape (machines,); or why there is none."""

    machines: Candidates
    rate: Array  # requests a second that one replica takes; empty where nobody waits
    offer: Offer | None = None  # how they are bought; None: on demand
    beside_usd: float = 0.0  # an hour of what comes with each machine
    why_none: str = ""
    too_slow: bool = False  # `machines` are then all of them, none quick enough

    def only(self, at: int) -> tuple[Candidates, Offer | None]:
        """One machine, and how it is bought: arrays of length 1."""
        one = slice(at, at + 1)
        return self.machines.part(one), self.offer.take(one) if self.offer else None


def shortlist(
    option: Option, work: Workload, region: str, book: PriceBook, term: Term, overhead_ms: float
) -> Shortlist:
    """Remembered by the answers that it looks at, see `advisor.memo`. Raises UnknownPriceError."""
    return cast(
        Shortlist,
        memo_of(book, "shortlists", MOST_LISTS).get(
            (Same(option), region, term, overhead_ms),
            work,
            lambda seen: _shortlist(option, seen, region, book, term, overhead_ms),
        ),
    )


def _shortlist(
    option: Option, work: Workload, region: str, book: PriceBook, term: Term, overhead_ms: float
) -> Shortlist:
    machines = candidates(option, work, region, book)
    nothing = np.zeros(0)
    if len(machines) == 0:
        return Shortlist(_alone(machines), nothing, why_none=machines.rejected)
    machines, offer = offered(option, machines, region, book, term)
    if len(machines) == 0:
        return Shortlist(_alone(machines), nothing, why_none=why_not(option, region, term, book))
    beside = beside_usd(option, work, book, region)
    if work.need.traffic.mode is Mode.asynchronous:
        return Shortlist(_alone(machines), nothing, offer, beside)
    rate = _max_rates(work, machines, overhead_ms, resident(option, work))
    keeps = rate > 0
    if not keeps.any():
        return Shortlist(_alone(machines), nothing, offer, beside, too_slow=True)
    machines, rate = machines.take(keeps), rate[keeps]
    offer = offer.take(keeps) if offer else None
    prices = [machines.usd_per_hour]
    if offer and term != "spot":
        prices.append(machines.usd_per_hour * offer.share)
    kept = np.flatnonzero(~beaten(rate, prices))
    return Shortlist(
        _alone(machines.take(kept)), rate[kept], offer.take(kept) if offer else None, beside
    )


def beaten(rate: Array, prices: list[Array]) -> NDArray[np.bool_]:
    """Machines that cost more than another by each of the prices and take no more requests; shapes
    (machines,). Equal prices beat nothing, nor does a price that is not known."""
    if len(prices) > 1:
        out = rate[None, :] >= rate[:, None]
        for price in prices:
            out &= price[None, :] < price[:, None]
        return np.asarray(out.any(axis=1))
    order = np.argsort(prices[0], kind="stable")  # unknown ones last
    price = prices[0][order]
    most = np.maximum.accumulate(rate[order])
    cheaper = np.searchsorted(price, price, side="left")  # how many are strictly cheaper
    out = np.zeros(len(rate), dtype=np.bool_)
    out[order] = (cheaper > 0) & (rate[order] <= most[cheaper - 1]) & ~np.isnan(price)
    return out


def _alone(machines: Candidates) -> Candidates:
    """Without the longer list that they were taken from."""
    return replace(machines, whole=None, at=None)


def _max_rates(work: Workload, machines: Candidates, overhead_ms: float, held: Resident) -> Array:
    service = work.need.service
    assert service.p95_ms is not None  # noqa: S101 - real-time requirements always carry one
    left_ms = service.p95_ms - overhead_ms
    if left_ms <= 0:
        return np.zeros(len(machines))
    whole, at = machines.whole, machines.at
    if whole is not None and at is not None and _taken(machines, whole, at):
        rates = memo_of(whole, "rates", MOST_RATES).get(
            (overhead_ms, held), work, lambda seen: _max_rates(seen, whole, overhead_ms, held)
        )
        return cast(Array, rates[at])
    return np.asarray(
        max_rate_per_replica(
            left_ms, held.percentile(service.percentile), machines.alone_ms, machines.busy_ms,
            work.need.model.service_time_cv, machines.servers, service.max_utilisation,
        ),
        dtype=np.float64,
    )  # fmt: skip


def _taken(machines: Candidates, whole: Candidates, at: NDArray[np.int64]) -> bool:
    """Whether the machines are still as fast and as wide as where they were taken from."""
    return (
        np.array_equal(machines.alone_ms, whole.alone_ms[at])
        and np.array_equal(machines.busy_ms, whole.busy_ms[at])
        and np.array_equal(machines.servers, whole.servers[at])
    )


def beside_usd(option: Option, work: Workload, book: PriceBook, region: str) -> float:
    """Price of an hour, in USD, of what comes along with each machine (disk, address)."""
    extra = 0.0
    for sku, per_hour in option.per_replica_hour.items():
        if sku == ADDRESS and work.need.control.private_network:
            continue
        extra += price_usd(book, sku, region) * per_hour
    if "disk" in option.bill:
        gb_month = price_usd(book, option.text("disk_sku"), region)
        extra += gb_month * option.number("disk_gb") / HOURS_IN_MONTH
    return extra
