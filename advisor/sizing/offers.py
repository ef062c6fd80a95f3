"""Which ways to buy an option has, and what its machines cost that way, from the price book."""

from __future__ import annotations

import math
import weakref
from typing import Any, Final, Literal

import numpy as np

from advisor.catalog.schema import Option
from advisor.errors import UnknownPriceError
from advisor.prices import PriceBook
from advisor.prices.commitments import Commitment
from advisor.prices.machines import NO_SPEC
from advisor.prices.store import Spec
from advisor.requirements import Commitment as Asked
from advisor.requirements import Mode, Requirements
from advisor.sizing.candidates import CLOUD_OF_SERVICE, Candidates
from advisor.sizing.purchase import LABELS, ON_DEMAND, Offer
from advisor.sizing.sized import Term

Kind = Literal["commitment", "spot"]
Found = tuple[float, str, str, str]

# Why a way to buy that was tried was not taken.
NOT_CHEAPER: Final = {
    "1y": "on demand is cheaper than any machine with a known 1-year rate",
    "3y": "on demand is cheaper than any machine with a known 3-year rate",
    "spot": "spot machines would not make the bill smaller",
    "idle": "no machine is in use for so much of the month that a commitment pays",
}
# A spot machine may be taken away at two minutes' notice or less: another one has to be there.
SPOT_REPLICAS: Final = 2
NOTHING: Final[Found] = (math.nan, "", "", "")
# The rates of a book that were looked up, for as long as the book lives.
_KEPT: Final[weakref.WeakKeyDictionary[PriceBook, dict[tuple[Any, ...], Found]]] = (
    weakref.WeakKeyDictionary()
)


def terms(option: Option, need: Requirements) -> tuple[Term, ...]:
    """The ways to buy that are allowed and that the option may use; on demand always is one.

    Who would commit for three years would for one, where no rate for three is known.
    """
    place = need.placement
    out: list[Term] = [ON_DEMAND]
    if place.commitment is not Asked.none and option.programmes("commitment"):
        out += ["1y"] if place.commitment is Asked.one_year else ["3y", "1y"]
    if place.spot and option.programmes("spot"):
        out.append("spot")
    return tuple(out)


def least_on_spot(need: Requirements, least: int, term: Term) -> int:
    """Fewest replicas: somebody who waits for an answer needs a second one where one may be taken
    away, unless that was allowed."""
    if term != "spot" or need.traffic.mode is not Mode.realtime or need.placement.spot_alone:
        return least
    return max(least, SPOT_REPLICAS)


def offered(
    option: Option, machines: Candidates, region: str, book: PriceBook, term: Term
) -> tuple[Candidates, Offer | None]:
    """The machines that can be bought this way, and at which share of the price on demand.

    Spot replaces the hourly price of the machine; a commitment leaves it, because only part of the
    hours is bought under it. On demand there is no offer. Empty when nothing is published.
    """
    if term == ON_DEMAND:
        return machines, None
    found = _offer(option, machines, region, book, term)
    machines, found = machines.take(found.known), found.take(found.known)
    if len(machines) and term == "spot":
        machines = machines.at_price(machines.usd_per_hour * found.share, found.source, found.as_of)
    return machines, found


def missing_commitment(option: Option, need: Requirements) -> str:
    """That a commitment was asked for and the option has none; "" otherwise."""
    if need.placement.commitment is Asked.none or option.programmes("commitment"):
        return ""
    if option.machines == "own-node":
        return ""  # its price is the one that was given
    return f"no commitment is known to cover {option.name}"


def why_not(option: Option, region: str, term: Term, book: PriceBook) -> str:
    """Why nothing is bought this way, as a sentence for people."""
    kind: Kind = "spot" if term == "spot" else "commitment"
    names = " or ".join(option.programmes(kind))
    most = max(
        (
            c.discount_fraction or 0.0
            for c in book.commitments
            if c.programme in option.programmes(kind) and c.term == term and c.kind == "max"
        ),
        default=0.0,
    )
    published = f" (only that it saves up to {most:.0%})" if most else ""
    what = "spot price" if term == "spot" else f"{LABELS[term]} rate"
    return f"no {what} of {names} is known for its machines in {region}{published}"


def function_offer(option: Option, arch: str, region: str, book: PriceBook, term: Term) -> Offer:
    """The same for the gigabyte-seconds of functions, of one architecture."""
    programmes = option.programmes("spot" if term == "spot" else "commitment")
    share, programme, source, as_of = _found(
        book.commitment(option.machines, term, family=arch, region=region, programmes=programmes)
    )
    text = np.array([[programme], [source], [as_of]], dtype=object)
    return Offer(term, np.array([share]), text[0], text[1], text[2])


def _offer(option: Option, machines: Candidates, region: str, book: PriceBook, term: Term) -> Offer:
    if option.machines == "fargate":
        found = [_fargate(option, arch, region, book, term) for arch in machines.arch.tolist()]
    elif option.machines == "vertex":
        found = [_vertex_spot(name, region, book) for name in machines.name.tolist()]
    else:
        programmes = option.programmes("spot" if term == "spot" else "commitment")
        specs = book.specs(CLOUD_OF_SERVICE[option.machines])
        found = [
            _published(book, option.machines, term, region, programmes, *_kind(specs, name))
            for name in machines.name.tolist()
        ]
    share, programme, source, as_of = (
        zip(*found, strict=True) if found else ((), (), (), ())
    )  # fmt: skip
    return Offer(
        term,
        np.array(share, dtype=np.float64),
        np.array(programme, dtype=object),
        np.array(source, dtype=object),
        np.array(as_of, dtype=object),
    )


def _kind(specs: dict[str, Spec], name: str) -> tuple[str, str, bool]:
    spec = specs.get(name.removeprefix("ml."), NO_SPEC)
    return spec.family, name, bool(spec.family) and not spec.gpu_count


def _published(
    book: PriceBook, service: str, term: str, region: str, programmes: tuple[str, ...],
    family: str, machine: str, cpu_only: bool,
) -> Found:  # fmt: skip
    key = (service, term, region, programmes, family, machine, cpu_only)
    kept = _KEPT.setdefault(book, {})
    if key not in kept:
        kept[key] = _found(
            book.commitment(
                service, term, family=family, machine=machine, region=region, cpu_only=cpu_only,
                programmes=programmes,
            )
        )  # fmt: skip
    return kept[key]


def _found(commitment: Commitment | None) -> Found:
    if commitment is None or commitment.discount_fraction is None:
        return NOTHING
    share = 1 - commitment.discount_fraction
    return share, commitment.programme, commitment.source, commitment.as_of


def _fargate(option: Option, arch: str, region: str, book: PriceBook, term: Term) -> Found:
    short = "arm" if arch == "arm64" else "x86"
    programmes = option.programmes("spot" if term == "spot" else "commitment")
    return _found(
        book.commitment("fargate", term, family=short, region=region, programmes=programmes)
    )


def _vertex_spot(name: str, region: str, book: PriceBook) -> Found:
    """Spot nodes: the spot price of the Compute Engine machine, and what the node costs above its
    price on demand, unchanged."""
    try:
        node = book.machine("vertex", region, name)
        machine = book.machine("gce", region, name)
    except UnknownPriceError:
        return NOTHING
    if machine.spot_usd_per_hour is None:
        return NOTHING
    usd = machine.spot_usd_per_hour + max(node.usd_per_hour - machine.usd_per_hour, 0.0)
    return (
        usd / node.usd_per_hour,
        "Spot VM",
        f"spot price of Compute Engine and the node's own surcharge, unchanged: {machine.source}",
        machine.as_of,
    )
