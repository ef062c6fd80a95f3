"""Sizing: requirements and an option in, machines and replicas out."""

from __future__ import annotations

from typing import Protocol

from advisor.catalog.schema import Option
from advisor.prices import PriceBook
from advisor.requirements import Mode
from advisor.sizing.fleet import fleet
from advisor.sizing.function import Function
from advisor.sizing.functions import functions
from advisor.sizing.job import job
from advisor.sizing.purchase import ON_DEMAND
from advisor.sizing.sized import EXPECTED, Factors, Sized, Term
from advisor.workload import Workload

__all__ = ["EXPECTED", "Factors", "Sizable", "Sized", "other_ways", "size"]


class Sizable(Protocol):
    """A chosen machine that can be sized again under other inputs."""

    @property
    def option(self) -> Option: ...

    @property
    def work(self) -> Workload: ...

    @property
    def least_usd(self) -> float:
        """What its machines or its time cost a month, or less: a bill is never below it. 0 where
        a price is not known."""
        ...

    def sized(self, factors: Factors = EXPECTED) -> Sized: ...


def size(
    option: Option, work: Workload, region: str, book: PriceBook, term: Term = ON_DEMAND
) -> Sizable | Sized:
    """The cheapest way to carry the workload on the option with machines bought in the way of
    `term`, or a Sized that says why there is none.

    Raises UnknownPriceError when the book has no machines for the option in the region.
    """
    if option.scaling == "per-request":
        return functions(option, work, region, book, term)
    runs = option.scaling == "job" or work.need.traffic.mode is Mode.batch
    return (job if runs else fleet)(option, work, region, book, term)


def other_ways(made: Sizable | Sized) -> tuple[Sizable, ...]:
    """Other ways to carry the same workload: functions that warm-up calls keep within the target, or
    that work through a run in fewer invocations. Whether one costs less its bill says."""
    return made.others if isinstance(made, Function) else ()
