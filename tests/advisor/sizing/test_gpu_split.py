"""Models larger than a card: their layers on several cards of one machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from advisor.catalog.loader import load_options
from advisor.prices import load_book
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from advisor.sizing.candidates import Candidates, candidates
from advisor.sizing.gpu_split import cards_of_a_copy
from advisor.sizing.many_models import Resident
from advisor.workload import resolve


def need(gpu_memory_gb: float | None, model_format: str = "torch", **traffic: Any) -> Requirements:
    return parse({
        "model": {"format": model_format, "size_mb": 60_000, "memory_mb": 60_000,
                  "service_time_ms": 3000, "gpu": True, "gpu_memory_gb": gpu_memory_gb},
        "traffic": {"mode": "realtime", "requests_per_month": 100_000, **traffic},
        "service": {"p95_ms": 20_000},
    })  # fmt: skip


def machines(gpu_memory_gb: float, model_format: str = "torch") -> Candidates:
    work = resolve(need(gpu_memory_gb, model_format))
    return candidates(load_options()["ec2"], work, "us-east-1", load_book())


@pytest.mark.parametrize(
    ("needed", "usable", "cards"),
    [
        (None, 22, 1),
        (22, 22, 1),  # a whole card is used whole
        (23, 22, 2),
        (39.6, 22, 2),  # 2 x 22 x 0.9
        (39.7, 22, 3),
        (150, 44, 4),  # 4 x 44 x 0.9 = 158.4
        (150, 179, 1),
    ],
)
def test_as_many_cards_as_hold_it(needed: float | None, usable: float, cards: int) -> None:
    held = Resident(1, 1, 60_000, needed)
    assert cards_of_a_copy(resolve(need(needed)), held, np.array([usable])).tolist() == [cards]


def test_what_cannot_be_split_needs_a_card_that_holds_it() -> None:
    usable = np.array([22.0, 80.0])
    several, one = Resident(4, 4, 60_000, 60.0), Resident(1, 1, 60_000, 60.0)
    assert cards_of_a_copy(resolve(need(60)), several, usable).tolist() == [0, 1]
    assert cards_of_a_copy(resolve(need(60, "onnx")), one, usable).tolist() == [0, 1]


def test_the_cards_of_a_copy_serve_one_request_at_a_time() -> None:
    found = machines(150)
    by_name = {str(name): i for i, name in enumerate(found.name)}
    at = by_name["g6e.12xlarge"]  # four L40S of 44 GB each
    assert (found.cards[at], found.servers[at]) == (4, 1)
    assert "g6e.xlarge" not in by_name  # one such card
    whole = machines(40)
    alone = {str(name): i for i, name in enumerate(whole.name)}["g6e.12xlarge"]
    assert (whole.cards[alone], whole.servers[alone]) == (1, 4)
    assert found.alone_ms[at] == whole.alone_ms[alone]  # layer after layer: no faster


def test_a_large_model_takes_a_machine_of_several_cards_and_says_so() -> None:
    best = recommend(need(150), doubt=False, options=["ec2"]).ranking[0]
    holding = machines(150, "onnx")  # a single card of 150 GB
    assert best.monthly_usd.expected < 730 * float(np.nanmin(holding.usd_per_hour)) / 2
    (said,) = [w.because for w in best.warnings if w.rule == "gpu-split"]
    assert f"no card of {best.machine} holds the model" in said
    assert best.monthly_usd.low <= best.monthly_usd.expected <= best.monthly_usd.high


def test_what_one_card_holds_is_not_split() -> None:
    best = recommend(need(20), doubt=False, options=["ec2"]).ranking[0]
    assert "gpu-split" not in [w.rule for w in best.warnings]
