"""Integrity of the price data that ships, apart from the logic that reads it."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from advisor.prices import load_book
from advisor.prices.checks import problems
from advisor.prices.store import KINDS, MACHINE_SERVICES

BOOK = load_book()
DATA = BOOK.directory
REPOSITORY = Path(__file__).parents[2]

# Families whose SageMaker hosting price is the EC2 price with one uplift.
CPU_FAMILIES = re.compile(r"[cmr](5|6i|6g|7i|7g|8g)d?n?$")


def test_nothing_is_wrong_with_the_shipped_book() -> None:
    assert problems(BOOK) == []


def test_no_price_is_from_the_future() -> None:
    assert date.fromisoformat(BOOK.as_of) <= date.today()


@pytest.mark.parametrize("sku", BOOK.skus)
def test_every_rate_can_be_traced(sku: str) -> None:
    rates = [rate for rate in BOOK.rates if rate.sku == sku]
    assert len({rate.region for rate in rates}) == len(rates) > 0
    for rate in rates:
        assert rate.source
        assert rate.kind in KINDS
        assert rate.as_of == "undated" or date.fromisoformat(rate.as_of) <= date.today()
        assert rate.tiers[0].start == 0
        assert all(a.start < b.start for a, b in pairwise(rate.tiers))
        assert all(a.unit_price_usd > b.unit_price_usd > 0 for a, b in pairwise(rate.tiers))
        assert rate.unit_price_usd > 0


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_the_default_region_of_a_cloud_is_complete(cloud: str) -> None:
    region = BOOK.default_region(cloud)
    for sku in BOOK.skus.values():
        if sku.cloud == cloud:
            assert BOOK.rate(sku.sku, region).unit_price_usd > 0


@pytest.mark.parametrize("service", MACHINE_SERVICES)
def test_every_machine_price_is_positive_and_there_once(service: str) -> None:
    prices = BOOK.machine_prices(service)
    assert (prices.usd_per_hour > 0).all()
    for region in prices.regions:
        machines = prices.machine[prices.rows(region)]
        assert len(np.unique(machines)) == len(machines)
        assert BOOK.cloud_of(region) == MACHINE_SERVICES[service]
    assert BOOK.default_region(MACHINE_SERVICES[service]) in prices.regions


@pytest.mark.parametrize("service", MACHINE_SERVICES)
def test_machines_for_sizing_have_vcpu_and_memory_in_every_region(service: str) -> None:
    for region in BOOK.machine_prices(service).regions:
        table = BOOK.machines(service, region)
        assert len(table) > 0
        assert (table.vcpu > 0).all()
        assert (table.memory_gib > 0).all()
        assert np.isin(table.arch, ["x86_64", "arm64"]).all()
        assert (table.family != "").all()
        assert ((table.gpu_count > 0) == (table.gpu_name != "")).all()
        assert ((table.gpu_mem_gib > 0) == (table.gpu_name != "")).all()


def test_most_of_ec2_and_all_of_vertex_can_be_sized() -> None:
    for service, share in (("ec2", 0.8), ("sagemaker", 0.95), ("vertex", 1.0), ("azure-vm", 0.75)):
        region = BOOK.default_region(MACHINE_SERVICES[service])
        sized = len(BOOK.machines(service, region))
        assert sized >= share * len(BOOK.machines(service, region, sized=False)), service


def test_sagemaker_costs_a_fifth_more_than_ec2_on_cpu_families() -> None:
    """AWS adds 20 % on these families. Two regions and one family are listed in whole cents."""
    compared = 0
    for region in BOOK.machine_prices("sagemaker").regions:
        if region not in BOOK.machine_prices("ec2").regions:
            continue
        ec2 = BOOK.machines("ec2", region)
        known = dict(zip(ec2.name.tolist(), ec2.usd_per_hour.tolist(), strict=True))
        hosting = BOOK.machines("sagemaker", region)
        for machine in map(hosting.row, range(len(hosting))):
            name = machine.name.removeprefix("ml.")
            if machine.kind == "weak" or not CPU_FAMILIES.match(machine.family):
                continue
            if name not in known:
                continue
            cents = region in ("ap-southeast-3", "me-central-1") or machine.family == "r8g"
            slack = max(0.01 if cents else 0.0011, 0.005 * machine.usd_per_hour)
            assert abs(machine.usd_per_hour - 1.2 * known[name]) <= slack, (region, machine)
            compared += 1
    assert compared > 2000


def test_doubtful_sagemaker_prices_are_marked_and_only_those() -> None:
    prices = BOOK.machine_prices("sagemaker")
    weak = prices.kinds.index("weak")
    rows = np.flatnonzero(prices.kind == weak)
    names = {prices.machines[i] for i in prices.machine[rows]}
    assert len(rows) == 20
    assert all(name.startswith("ml.r8g.") for name in names)


def test_published_vertex_prices_take_the_place_of_computed_ones() -> None:
    for name, usd in (
        ("n1-standard-4", 0.219),
        ("g2-standard-4", 0.81293),
        ("g2-standard-8", 0.98181),
    ):
        machine = BOOK.machine("vertex", "us-central1", name)
        assert machine.kind == "list"
        assert machine.usd_per_hour == usd


def test_vertex_costs_15_percent_more_than_compute_engine() -> None:
    for region in BOOK.machine_prices("vertex").regions:
        table = BOOK.machines("vertex", region)
        engine = BOOK.machines("gce", region)
        known = dict(zip(engine.name.tolist(), engine.usd_per_hour.tolist(), strict=True))
        ratio = table.usd_per_hour / np.array([known[n] for n in table.name.tolist()])
        assert np.allclose(ratio, 1.15, rtol=0.004)


def test_sagemaker_serverless_rises_with_memory() -> None:
    regions = {r.region for r in BOOK.rates if r.sku == "sagemaker.serverless_second.1gb"}
    assert len(regions) > 15
    for region in regions:
        prices = [
            BOOK.rate(f"sagemaker.serverless_second.{gb}gb", region).unit_price_usd
            for gb in range(1, 7)
        ]
        assert prices == sorted(prices)
        assert prices[5] == pytest.approx(6 * prices[0], rel=0.05)


def test_sagemaker_data_costs_the_same_in_and_out() -> None:
    """A bill of usage gives one figure for both directions."""
    for region in BOOK.regions("aws"):
        into, out = (BOOK.rate(f"sagemaker.data_{d}_gb", region) for d in ("in", "out"))
        assert into.unit_price_usd == out.unit_price_usd


def test_arm_functions_and_tasks_cost_less_than_x86() -> None:
    for rate in BOOK.rates:
        if rate.sku.endswith(".arm"):
            x86 = BOOK.rate(rate.sku.removesuffix("arm") + "x86", rate.region)
            assert rate.unit_price_usd < x86.unit_price_usd


def test_sources_name_something_public() -> None:
    """A page, a price list, a repository or a rule: no path of a machine, no bare record number."""
    local = re.compile(r"(?<![\w.])\d{9,}|(^|[\s(])[/~]\w|file:")
    sources = {s for service in MACHINE_SERVICES for s in BOOK.machine_prices(service).sources}
    sources |= {row.source for row in (*BOOK.rates, *BOOK.metering_facts, *BOOK.allowances)}
    sources |= {commitment.source for commitment in BOOK.commitments}
    sources |= {s.source for c in ("aws", "gcp", "azure") for s in BOOK.specs(c).values()}
    assert not [source for source in sources if local.search(source)]


def test_every_origin_of_the_data_has_its_licence_noted() -> None:
    licences = (DATA / "LICENSES.md").read_text(encoding="utf-8")
    for name in ("SpareCores", "CC BY-SA 4.0", "Apache-2.0", "karpenter-provider-aws",
                 "karpenter-provider-azure", "apache-libcloud", "Cyclenerd", "infracost",
                 "tools_testing", "fgcalc", "aspire"):  # fmt: skip
        assert name in licences, name


def test_every_sku_is_documented() -> None:
    page = (REPOSITORY / "docs" / "prices.md").read_text(encoding="utf-8")
    for sku in BOOK.skus.values():
        assert f"`{sku.sku}`" in page, sku.sku


def test_the_data_stays_small() -> None:
    assert sum(p.stat().st_size for p in DATA.rglob("*") if p.is_file()) < 2_000_000
