"""How far a service time may be off after it was translated to another machine."""

from __future__ import annotations

from typing import Any

from advisor.prices import PriceBook
from advisor.sizing.candidates import CLOUD_OF_SERVICE
from advisor.sizing.choose import Sizable
from advisor.sizing.function import Function
from advisor.sizing.performance import cpu_speed, family_of, gpu_speed, serverless_speed
from advisor.sizing.performance_data import cpu_scores
from advisor.sizing.sized import Sized


def time_spread(
    chosen: Sizable, sized: Sized, book: PriceBook, spreads: dict[str, float]
) -> tuple[float, float]:
    """(shortest, longest) service time on the chosen machine over the expected one.

    Platforms that do not name their CPU have a range of speeds of their own. A CPU family is off by
    as much as `spreads` says for its confidence (measured, derived, estimate), and not at all where
    it is the reference. A GPU's two rates, bound by memory and by arithmetic, bound its speed.
    """
    platform = chosen.option.machines
    work = chosen.work
    if isinstance(chosen, Function) or platform in ("fargate", "own-node"):
        speed = serverless_speed(platform, sized.arch)
        return min(1.0, speed.alone / speed.high), max(1.0, speed.alone / speed.low)
    cloud = CLOUD_OF_SERVICE[platform]
    if work.need.model.gpu:
        card = gpu_speed(_gpu_of(book.machine_kinds(platform), sized.machine))
        off = spreads[card.confidence] if card.confidence != "measured" else 1.0
        # Cut across cards instead of laid on one after the other, it may be that many times as fast.
        shortest = card.relative / card.fastest / off / sized.gpu_cards
        return shortest, card.relative / card.slowest * off
    reference = cpu_scores().reference
    family = family_of(cloud, sized.machine)
    if (cloud, family) == (reference["cloud"], reference["family"]):
        return 1.0, 1.0
    off = spreads[cpu_speed(cloud, family).confidence]
    return 1 / off, off


def _gpu_of(table: Any, machine: str) -> str:
    return str(table.gpu_name[table.name == machine][0])
