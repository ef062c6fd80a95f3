"""Refreshing against loopback servers in the vendors' shapes: prices, pages and permissions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import vendor_lists as lists
from refreshing import TODAY, run
from vendor_server import Answer, Vendor, serving

from advisor.errors import (
    PriceRefreshError,
)
from advisor.prices import PriceBook, load_book
from advisor.prices.checks import problems
from advisor.prices.refresh.merge import machine_rows
from advisor.prices.shelf import SHIPPED, current_book


def test_a_list_written_from_the_book_gives_the_same_prices(
    book: PriceBook, aws: Vendor, shelf: Path
) -> None:
    outcome = run(aws, regions=("us-east-1", "eu-west-1"))
    new = load_book()
    assert new.directory == outcome.directory == current_book(shelf)
    assert problems(new) == []
    assert len(new.rates) == len(book.rates)
    for rate in book.rates:
        again = next(r for r in new.rates if (r.sku, r.region) == (rate.sku, rate.region))
        assert again.tiers == rate.tiers, rate
    for service in ("ec2", "sagemaker"):
        before = {(r.region, r.machine): r for r in machine_rows(book, service)}
        after = {(r.region, r.machine): r for r in machine_rows(new, service)}
        assert before.keys() == after.keys()
        assert all(after[k].usd_per_hour == pytest.approx(before[k].usd_per_hour) for k in before)
    # What was read says when and where; what was not read keeps its own date.
    fresh = new.machine("ec2", "us-east-1", "m7i.large")
    assert fresh.as_of == "2026-11-22"
    assert fresh.kind == "list"
    assert "published 2026-11-20" in fresh.source
    assert lists.list_path("AmazonEC2", "us-east-1") in fresh.source
    rate = new.rate("lambda.gb_second.x86", "us-east-1")
    assert rate.as_of == "2026-11-22"
    assert len(rate.tiers) == 3
    assert new.machine("ec2", "ap-south-1", "m5.large") == book.machine(
        "ec2", "ap-south-1", "m5.large"
    )
    assert new.machine("azure-vm", "eastus", "Standard_D4s_v3").as_of == "2026-06-18"
    assert any(k.startswith("lambda.streamed_gb") for k in outcome.kept)
    status = new.status(TODAY)
    aws_now = next(p for p in status.providers if p.cloud == "aws")
    assert aws_now.refreshed == "2026-11-22"
    assert aws_now.age_days == 0
    assert next(p for p in status.providers if p.cloud == "azure").refreshed == ""


def test_the_query_api_gives_the_same_prices_page_by_page(
    book: PriceBook, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with serving(lists.aws_api(book, ["us-east-1"], page_size=20)) as vendor:
        vendor.faults["/"] = [
            Answer(b'{"__type": "ThrottlingException"}', 400,
                   {"Content-Type": "application/x-amz-json-1.1"}),
        ]  # fmt: skip
        outcome = run(vendor, via="api")
    pages = [json.loads(a.body) for a in vendor.asked]
    assert sum("NextToken" in page for page in pages) >= 3
    new = load_book()
    assert problems(new) == []
    assert outcome.machines == sum(
        r.region == "us-east-1" for s in ("ec2", "sagemaker") for r in machine_rows(book, s)
    )
    for sku in ("alb.hour", "nat.gb", "ebs.gp3_mbps_month", "fargate.vcpu_hour.x86"):
        before, after = book.rate(sku, "us-east-1"), new.rate(sku, "us-east-1")
        assert after.tiers == before.tiers
        assert after.as_of == "2026-11-22"


def test_the_query_api_says_which_permission_is_missing(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    vendor = Vendor()
    vendor.routes["/"] = lambda _asked: Answer(
        b'{"__type": "AccessDeniedException", "message": "not you"}', 400,
        {"Content-Type": "application/x-amz-json-1.1"},
    )  # fmt: skip
    with serving(vendor), pytest.raises(PriceRefreshError, match="pricing:GetProducts"):
        run(vendor, via="api")


def test_azure_pages_and_throttles(book: PriceBook, shelf: Path) -> None:
    with serving(lists.azure(book, ["eastus", "westeurope"], page_size=10)) as vendor:
        vendor.faults["/api/retail/prices"] = [
            Answer(b"slow down", 429, {"Retry-After": "0"}),
            Answer(b"", 503),
        ]
        outcome = run(vendor, "azure", ("eastus", "westeurope"))
    assert outcome.kept == ("azure.acr_build_vcpu_second in eastus",)
    assert len([a for a in vendor.asked if "$skip" in a.query]) >= 3
    new = load_book()
    before = {(r.region, r.machine): r for r in machine_rows(book, "azure-vm")}
    after = {(r.region, r.machine): r for r in machine_rows(new, "azure-vm")}
    assert before.keys() == after.keys()
    for place in ("eastus", "westeurope", "westus"):
        for key in [k for k in before if k[0] == place]:
            assert after[key].usd_per_hour == pytest.approx(before[key].usd_per_hour)
    assert after["eastus", "Standard_D4s_v3"].as_of == "2026-11-22"
    assert after["westus", "Standard_D4s_v3"].as_of == "2026-06-18"
    for rate in book.rates:
        if rate.sku.startswith("azure.") and rate.region in ("eastus", "westeurope"):
            assert new.rate(rate.sku, rate.region).tiers == rate.tiers
    assert new.rate("azure.keyvault_operation", "eastus").as_of == "2026-11-22"


def test_azure_spot_and_savings_plans_are_read(book: PriceBook, shelf: Path) -> None:
    with serving(lists.azure(book, ["eastus"])) as vendor:
        items = vendor.items
        one = next(
            i for i in items
            if i.get("armSkuName") == "Standard_D4s_v3" and "Windows" not in i["productName"]
            and "Low" not in i["skuName"]
        )  # fmt: skip
        one["savingsPlan"] = [
            {"unitPrice": 0.1, "retailPrice": 0.13, "term": "1 Year"},
            {"unitPrice": 0.05, "retailPrice": 0.09, "term": "3 Years"},
        ]
        items.append(one | {"skuName": "D4s v3 Spot", "retailPrice": 0.04, "savingsPlan": None})
        run(vendor, "azure", ("eastus",))
    machine = load_book().machine("azure-vm", "eastus", "Standard_D4s_v3")
    assert (machine.usd_per_hour, machine.spot_usd_per_hour) == (0.192, 0.04)
    assert (machine.commit_1y_usd_per_hour, machine.commit_3y_usd_per_hour) == (0.13, 0.09)


def test_google_machines_are_composed_of_their_parts(book: PriceBook, shelf: Path) -> None:
    with serving(lists.gcp(book, ["us-central1"], page_size=20)) as vendor:
        outcome = run(vendor, "gcp", ("us-central1",))
    assert any(a.query.get("pageToken") for a in vendor.asked)
    new = load_book()
    assert problems(new) == []
    composed = 0
    for service in ("gce", "vertex"):
        before = {(r.region, r.machine): r for r in machine_rows(book, service)}
        after = {(r.region, r.machine): r for r in machine_rows(new, service)}
        assert before.keys() == after.keys()
        for key, row in after.items():
            old = before[key]
            assert row.usd_per_hour == pytest.approx(old.usd_per_hour, rel=1e-3), key
            if row.as_of == "2026-11-22":
                composed += 1
                if old.spot_usd_per_hour == old.spot_usd_per_hour:
                    assert row.spot_usd_per_hour == pytest.approx(old.spot_usd_per_hour, rel=2e-3)
    assert composed == outcome.machines > 100
    assert new.machine("gce", "us-central1", "g2-standard-8").commit_1y_usd_per_hour
    assert new.machine("gce", "us-central1", "c3-standard-4-lssd").as_of == "2026-07-30"
    assert new.machine("vertex", "us-central1", "n2-standard-4").kind == "derived"
    # The free first 50 GiB are an allowance of the book, not a tier.
    assert outcome.rates > 5
    assert (
        book.rate("gke.cluster_hour", "us-central1").tiers
        == new.rate("gke.cluster_hour", "us-central1").tiers
    )


def test_google_asks_who_is_there(
    book: PriceBook, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lists.gcp(book, ["us-central1"])) as vendor:
        monkeypatch.setenv("ADVISOR_GCP_API_KEY", "wrong-secret")
        with pytest.raises(PriceRefreshError, match="API key not valid") as caught:
            run(vendor, "gcp", ("us-central1",))
    assert "wrong-secret" not in str(caught.value)
    assert all("wrong-secret" not in str(a.query) for a in vendor.asked)


def test_reserved_terms_of_ec2_fill_the_price_of_a_commitment(
    book: PriceBook, aws: Vendor, shelf: Path
) -> None:
    name, region = "AmazonEC2", "us-east-1"
    prices = lists.aws_prices(book, name, lists.mapping.aws().offers[name], region)
    m5 = next(p for p in prices if p.usage == "BoxUsage:m5.large" and p.sku.startswith("EC2"))
    for length, usd, option, kind in (
        ("1yr", 0.06, "No Upfront", "standard"), ("3yr", 0.041, "No Upfront", "standard"),
        ("1yr", 0.03, "All Upfront", "standard"), ("1yr", 0.07, "No Upfront", "convertible"),
    ):  # fmt: skip
        term = {"LeaseContractLength": length, "PurchaseOption": option, "OfferingClass": kind}
        prices.append(lists.AwsPrice(m5.sku, m5.usage, usd, term="Reserved", extra=m5.extra | term))
    aws.files[lists.list_path(name, region)] = lists.aws_csv(prices, name, region)
    run(aws)
    machine = load_book().machine("ec2", region, "m5.large")
    assert machine.commit_1y_usd_per_hour == 0.06
    assert machine.commit_3y_usd_per_hour == 0.041
    # One machine of the family is known, so its discount is the family's.
    for programme in ("EC2 Standard Reserved Instance", "EC2 Instance Savings Plan"):
        term = load_book().commitment("ec2", "1y", family="m5", programmes=(programme,))
        assert term is not None
        assert term.discount_fraction == pytest.approx(1 - 0.06 / 0.096)
        assert term.as_of == "2026-11-22"
    kept = load_book().commitment("ec2", "1y", family="g5", programmes=(programme,))
    assert kept == book.commitment("ec2", "1y", family="g5", programmes=(programme,))


def test_savings_plans_of_sagemaker_are_read(book: PriceBook, aws: Vendor, shelf: Path) -> None:
    offer = lists.mapping.aws().offers["AmazonSageMaker"]
    prices = lists.aws_prices(book, "AmazonSageMaker", offer, "us-east-1")
    m5 = next(p for p in prices if p.usage == "Host:ml.m5.large")
    path = "/savingsPlan/v1.0/aws/AWSMachineLearningSavingsPlans/20261120100000/us-east-1/index"
    aws.put_json(
        "/savingsPlan/v1.0/aws/AWSMachineLearningSavingsPlans/current/region_index.json",
        {"regions": [{"regionCode": "us-east-1", "versionUrl": f"{path}.json"}]},
    )
    aws.files[f"{path}.csv"] = lists.savings_plan_csv(
        [
            (m5.sku, 0.08, "1", "No Upfront"),
            (m5.sku, 0.05, "3", "No Upfront"),
            (m5.sku, 0.04, "3", "All Upfront"),
        ]
    )
    outcome = run(aws)
    assert not [n for n in outcome.notes if "SavingsPlan" in n]
    machine = load_book().machine("sagemaker", "us-east-1", "ml.m5.large")
    assert (machine.commit_1y_usd_per_hour, machine.commit_3y_usd_per_hour) == (0.08, 0.05)
    term = load_book().commitment(
        "sagemaker", "3y", family="m5", programmes=("SageMaker AI Savings Plan",)
    )
    assert term is not None
    assert term.discount_fraction == pytest.approx(1 - 0.05 / 0.115, abs=1e-4)
    assert problems(load_book()) == []


def test_without_savings_plans_the_other_prices_are_read(aws: Vendor, shelf: Path) -> None:
    outcome = run(aws)
    assert any("AWSMachineLearningSavingsPlans were not read" in note for note in outcome.notes)


def test_every_sku_of_the_book_is_mapped_or_said_to_be_kept() -> None:
    aws, azure, gcp = lists.mapping.aws(), lists.mapping.azure(), lists.mapping.gcp()
    mapped = {*azure.rates, *gcp.rates, *(s for o in aws.offers.values() for s in o.rates)}
    kept = {*aws.kept, *azure.kept, *gcp.kept}
    assert mapped | kept == set(PriceBook(SHIPPED).skus)
    assert not mapped & kept
