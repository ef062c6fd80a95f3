"""Which machines an option may use, that none cheaper would do, and how sure their speed is."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from advisor.catalog.loader import load_options
from advisor.prices import load_book
from advisor.ranking import SCALES
from advisor.requirements import Requirements, parse
from advisor.sizing.candidates import Candidates, candidates
from advisor.sizing.choose import size
from advisor.sizing.fleet import Fleet, overhead_ms
from advisor.sizing.performance import gpu_speed, serverless_speed
from advisor.sizing.queueing import replica_percentile_ms, utilisation
from advisor.sizing.sized import Sized
from advisor.sizing.uncertainty import time_spread
from advisor.workload import resolve

BASE = {
    "model": {"format": "onnx", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
    "traffic": {"mode": "realtime", "requests_per_month": 60_000_000, "pattern": "business-hours"},
}
GPU = {"model.gpu": True, "model.gpu_memory_gb": 20.0, "model.format": "torch"}
SPREADS = SCALES["time_spread"]


def need(**given: object) -> Requirements:
    data = copy.deepcopy(BASE)
    for path, value in given.items():
        section, name = path.split(".")
        data.setdefault(section, {})[name] = value
    return parse(data)


def machines(option: str, **given: object) -> Candidates:
    return candidates(load_options()[option], resolve(need(**given)), "us-east-1", load_book())


def chosen(option: str, region: str = "us-east-1", **given: object) -> Fleet:
    made = size(load_options()[option], resolve(need(**given)), region, load_book())
    assert isinstance(made, Fleet)
    return made


def families(found: Candidates) -> set[str]:
    return {str(name).removeprefix("ml.").split(".")[0] for name in found.name}


@pytest.mark.parametrize(
    "option", [o for o, kept in load_options().items() if kept.machines == "ec2"]
)
def test_machines_of_one_zone_with_a_quota_of_their_own_are_not_chosen(option: str) -> None:
    book = load_book()
    assert "hpc7g" in set(book.machine_kinds("ec2").family)
    for region in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        found = candidates(load_options()[option], resolve(need()), region, book)
        assert len(found) > 5
        assert not [name for name in families(found) if name.startswith("hpc")]


@pytest.mark.parametrize("option", ["ec2", "sagemaker-realtime"])
def test_every_generation_and_arm_as_allowed(option: str) -> None:
    usual = machines(option)
    assert families(usual) >= {"m5", "c5", "m6g", "m7i", "c7g"}
    assert not any(name.startswith("t") for name in families(usual))
    x86 = machines(option, **{"placement.arm": False})
    assert set(x86.arch) == {"x86_64"}
    assert set(x86.name) < set(usual.name)


def test_burstable_machines_only_when_they_are_wanted() -> None:
    usual, bursting = machines("ec2"), machines("ec2", **{"placement.burstable": True})
    assert {"t3", "t4g"} <= families(bursting)
    assert set(usual.name) < set(bursting.name)


@pytest.mark.parametrize("option", ["ec2", "sagemaker-realtime", "ecs-ec2"])
def test_gpus_by_memory_and_never_one_that_needs_a_compiler(option: str) -> None:
    found = machines(option, **GPU)
    assert {"g5", "g6"} <= families(found)
    small_cards = [str(name) for name in found.name if "g4dn." in str(name)]  # of 16 GB
    assert small_cards
    assert all(found.cards[list(found.name).index(name)] == 2 for name in small_cards)
    small = machines(option, **(GPU | {"model.gpu_memory_gb": 10.0}))
    assert "g4dn" in families(small)
    compiled = {"inf1", "inf2", "trn1", "trn1n", "dl1"}
    assert not compiled & families(small)
    assert not compiled & families(machines(option))


@pytest.mark.parametrize(
    ("option", "region"),
    [("ec2", "us-east-1"), ("sagemaker-realtime", "eu-west-1"), ("ecs-fargate", "us-east-1"),
     ("vertex-online", "us-central1"), ("azureml-online", "eastus")],
)  # fmt: skip
@pytest.mark.parametrize("p95", [60.0, 200.0])
def test_no_cheaper_machine_would_do(option: str, region: str, p95: float) -> None:
    """Every machine tried one by one, its replicas counted up hour by hour until each keeps the
    target: none has a smaller bill of machines."""
    given = {"service.p95_ms": p95}
    work, offered = resolve(need(**given)), load_options()[option]
    found = candidates(offered, work, region, load_book())
    best = chosen(option, region, **given)
    book = load_book()
    beside = sum(  # a disk, an address
        book.rate(sku, region).tiers[0].unit_price_usd * quantity
        for sku, quantity in offered.per_replica_hour.items()
    )
    if "disk" in offered.bill:
        disk = book.rate(offered.text("disk_sku"), region).tiers[0].unit_price_usd
        beside += disk * offered.number("disk_gb") / 730
    paid = best.sized().replica_hours * (float(best.machine.usd_per_hour[0]) + beside)
    left_ms = p95 - overhead_ms(offered, work)
    planned = np.maximum(work.rates, np.roll(work.rates, -1))
    if offered.scaling == "fixed":
        planned = np.full(168, work.rates.max())
    order = np.argsort(found.usd_per_hour)[:60]  # the cheapest by the hour, and a fixed sample
    for i in {*order.tolist(), *range(0, len(found), max(1, len(found) // 40))}:
        hours = 0.0
        for rate, count in zip(*np.unique(planned, return_counts=True), strict=True):
            replicas = least(found, i, float(rate), left_ms, best.min_replicas)
            hours += replicas * count
        month = hours * 730 / 168
        assert month * (found.usd_per_hour[i] + beside) >= paid * (1 - 1e-3), found.name[i]


def least(found: Candidates, i: int, rate: float, left_ms: float, fewest: int) -> float:
    """The least replicas with the percentile within the target and at most 70 % in use."""
    alone, busy, c = found.alone_ms[i], found.busy_ms[i], int(found.servers[i])

    def keeps(n: int) -> bool:
        if float(utilisation(rate / n, c, alone, busy)) > 0.7:
            return False
        return float(replica_percentile_ms(rate / n, 95, alone, busy, 0.3, c)) <= left_ms

    if not keeps(1_000_000):
        return np.inf
    low, high = 0, fewest
    while not keeps(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return max(high, fewest)


def spread(made: Fleet) -> tuple[float, float]:
    sized = made.sized()
    assert isinstance(sized, Sized)
    return time_spread(made, sized, load_book(), SPREADS)


def test_a_speed_is_as_sure_as_its_source() -> None:
    measured = chosen("ec2")
    assert spread(measured) in {(1 / 1.2, 1.2), (1 / 1.25, 1.25)}
    fargate = spread(chosen("ecs-fargate", **{"placement.arm": False}))
    facts = serverless_speed("fargate")
    assert fargate == (facts.alone / facts.high, facts.alone / facts.low)
    assert fargate[0] < spread(measured)[0]
    own = spread(chosen("kubernetes", "your cluster", **{
        "placement.clouds": ["kubernetes"], "placement.node_hourly_usd": 0.2,
        "service.p95_ms": 500.0,
    }))  # fmt: skip
    assert own[0] < 0.5  # any CPU may be in a node of your own


def test_a_card_is_as_sure_as_its_two_rates() -> None:
    made = chosen("ec2", **(GPU | {"traffic.requests_per_month": 2_000_000}))
    shortest, longest = spread(made)
    assert shortest <= 1 <= longest
    for card in ("NVIDIA L4", "NVIDIA H100", "NVIDIA A10G"):
        speed = gpu_speed(card)
        assert speed.slowest <= speed.relative <= speed.fastest
        assert speed.slowest * speed.fastest == pytest.approx(speed.relative**2)
