"""Refreshing against loopback servers in the vendors' shapes: prices, pages, cuts, refusals."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
import vendor_lists as lists
from small_book import put_on_shelf, small_book
from vendor_server import Answer, Vendor, serving

from advisor import cli
from advisor.errors import (
    InputError,
    PriceFeedError,
    PriceRefreshError,
    PricesRefusedError,
    RefreshCancelledError,
)
from advisor.prices import PriceBook, load_book
from advisor.prices.checks import problems
from advisor.prices.refresh import Step, refresh
from advisor.prices.refresh.merge import machine_rows
from advisor.prices.refresh.web import Web
from advisor.prices.shelf import SHIPPED, book_in_use, current_book, passed_over

TODAY = date(2026, 11, 22)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_book(tmp_path_factory.mktemp("seed") / "seed")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: Path) -> Path:
    """A home of its own; refreshed prices go on this shelf, where the seed is in use."""
    monkeypatch.delenv("ADVISOR_PRICES", raising=False)
    monkeypatch.setenv("ADVISOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADVISOR_GCP_API_KEY", "a-test-key")
    place = tmp_path / "home" / "prices"
    put_on_shelf(seed, place)
    return place


@pytest.fixture(scope="module")
def book(seed: Path) -> PriceBook:
    return PriceBook(seed)


@pytest.fixture(scope="module")
def aws_lists(book: PriceBook) -> Vendor:
    return lists.aws_bulk(book, ["us-east-1", "eu-west-1"])


@pytest.fixture
def aws(aws_lists: Vendor) -> Iterator[Vendor]:
    with serving(Vendor(files=dict(aws_lists.files))) as vendor:
        yield vendor


def untouched(shelf: Path) -> bool:
    """Whether the seed is still in use."""
    return book_in_use() == shelf / "books" / "seed"


def quick(cancelled: Callable[[], bool] = lambda: False) -> Web:
    """The client of the product with short pauses."""
    return Web(cancelled=cancelled, pause_s=0.01)


def run(vendor: Vendor, provider: str = "aws", regions: tuple[str, ...] = ("us-east-1",),
        **more: object) -> object:  # fmt: skip
    return refresh(provider, regions=regions, endpoint=vendor.url, today=TODAY, web=quick(), **more)


# Prices come back


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


# Networks


def test_a_cut_connection_resumes_where_it_was_cut(aws: Vendor, shelf: Path) -> None:
    path = lists.list_path("AmazonEC2", "us-east-1")
    body, etag = aws.files[path], '"one"'
    aws.etags[path] = etag
    aws.faults[path] = [Answer(body, 200, {"ETag": etag}, cut_at=5_000)]
    run(aws)
    asked = aws.paths(path)
    assert [a.headers.get("range") for a in asked] == [None, "bytes=5000-"]
    assert asked[1].headers["if-range"] == etag
    assert load_book().machine("ec2", "us-east-1", "m5.large").as_of == "2026-11-22"
    assert not (shelf / "downloads").exists()


def test_another_version_of_the_list_starts_over(aws: Vendor, shelf: Path) -> None:
    path = lists.list_path("AmazonEC2", "us-east-1")
    aws.etags[path] = '"new"'
    aws.faults[path] = [
        Answer(b"x" * 500_000, 200, {"ETag": '"old"'}, cut_at=1000),
        # A server that goes on with another version in spite of If-Range.
        Answer(b"y" * 10, 206, {"ETag": '"new"', "Content-Range": "bytes 1000-1009/1010"}),
    ]
    run(aws)
    assert [a.headers.get("range") for a in aws.paths(path)] == [None, "bytes=1000-", None]
    assert load_book().machine("ec2", "us-east-1", "m5.large").as_of == "2026-11-22"


def test_a_refresh_goes_on_with_what_an_earlier_one_left(aws: Vendor, shelf: Path) -> None:
    path = lists.list_path("AmazonEC2", "us-east-1")
    body, etag = aws.files[path], '"one"'
    aws.etags[path] = etag
    cut = Answer(body, 200, {"ETag": etag}, cut_at=5_000)
    aws.faults[path] = [cut, *[Answer(b"", 503) for _ in range(5)]]
    with pytest.raises(PriceRefreshError, match=r"HTTP 503.*try again later"):
        run(aws)
    assert untouched(shelf)
    aws.asked.clear()
    run(aws)
    # The lists that were complete are not fetched again, and this one goes on.
    assert [a.path for a in aws.paths(".csv")] == [path]
    assert aws.paths(path)[0].headers["range"] == "bytes=5000-"


def test_a_large_file_tells_how_much_of_it_is_there(
    aws: Vendor, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("advisor.prices.refresh.aws_bulk._TOLD_BYTES", 5_000)
    steps: list[Step] = []
    run(aws, report=steps.append)
    of_ec2 = [s.what for s in steps if s.what.startswith("AmazonEC2 us-east-1, ")]
    assert of_ec2
    assert of_ec2[0].endswith(" of 0 MB")
    assert [s.done for s in steps] == sorted(s.done for s in steps)
    assert steps[-1].done == steps[-1].total


def test_retry_after_is_kept_to(aws: Vendor, shelf: Path) -> None:
    aws.faults["/offers/v1.0/aws/index.json"] = [Answer(b"", 429, {"Retry-After": "1"})]
    start = time.monotonic()
    run(aws)
    assert time.monotonic() - start > 1


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (b'{"offers": {"AmazonEC2": {"offerC', PriceRefreshError, "no JSON"),
        (b'{"offers": {}}', PriceFeedError, "holds no offers"),
        (b"[]", PriceFeedError, "holds no offers"),
    ],
)
def test_a_damaged_index_changes_nothing(
    aws: Vendor, shelf: Path, body: bytes, error: type[Exception], said: str
) -> None:
    aws.files["/offers/v1.0/aws/index.json"] = body
    with pytest.raises(error, match=said):
        run(aws)
    assert untouched(shelf)


def test_a_list_cut_short_at_its_source_changes_nothing(aws: Vendor, shelf: Path) -> None:
    path = lists.list_path("AWSELB", "us-east-1")
    whole = aws.files[path]
    aws.files[path] = whole[:-80]
    with pytest.raises(PriceFeedError, match=r"AWSELB us-east-1.*cut short or damaged"):
        run(aws)
    assert untouched(shelf)
    aws.files[path] = whole  # and the damaged one is not remembered
    run(aws)
    assert not untouched(shelf)


def test_an_unreachable_list_is_said(shelf: Path) -> None:
    web = Web(pause_s=0.01, attempts=2)
    with pytest.raises(PriceRefreshError, match=r"127\.0\.0\.1:9.* after several attempts"):
        refresh("azure", regions=["eastus"], endpoint="http://127.0.0.1:9", web=web)


def test_a_refresh_can_be_cancelled(aws: Vendor, shelf: Path) -> None:
    steps: list[Step] = []
    web = quick(cancelled=lambda: len(steps) > 3)
    with pytest.raises(RefreshCancelledError):
        refresh(
            "aws", regions=["us-east-1"], endpoint=aws.url, report=steps.append, web=web
        )  # fmt: skip
    assert untouched(shelf)
    assert steps[0].total == len(lists.mapping.aws().offers)


# What nobody should accept unseen


def change(aws: Vendor, name: str, region: str, old: bytes, new: bytes) -> None:
    path = lists.list_path(name, region)
    assert old in aws.files[path]
    aws.files[path] = aws.files[path].replace(old, new)


def test_a_tenfold_jump_is_refused_until_it_is_accepted(aws: Vendor, shelf: Path) -> None:
    change(aws, "AWSELB", "us-east-1", b'"0.0225","USD"', b'"0.225","USD"')
    with pytest.raises(PricesRefusedError, match=r"alb.hour in us-east-1 moves from 0.0225 to"):
        run(aws)
    assert untouched(shelf)
    outcome = run(aws, accept_jumps=True)
    assert outcome.accepted == ("alb.hour in us-east-1 moves from 0.0225 to 0.225 USD",)
    assert load_book().rate("alb.hour", "us-east-1").unit_price_usd == 0.225


def test_a_missing_region_is_refused_and_keeps_its_prices(
    book: PriceBook, aws: Vendor, shelf: Path
) -> None:
    path = "/offers/v1.0/aws/AmazonEC2/current/region_index.json"
    index = json.loads(aws.files[path])
    del index["regions"]["eu-west-1"]
    aws.put_json(path, index)
    both = ("us-east-1", "eu-west-1")
    with pytest.raises(PricesRefusedError, match="AmazonEC2 lists no prices in eu-west-1"):
        run(aws, regions=both)
    run(aws, regions=both, accept_jumps=True)
    old = book.machine("ec2", "eu-west-1", "m5.large")
    assert load_book().machine("ec2", "eu-west-1", "m5.large") == old


def test_a_list_that_loses_most_machines_is_refused(aws: Vendor, shelf: Path) -> None:
    path = lists.list_path("AmazonSageMaker", "us-east-1")
    lines = aws.files[path].splitlines(keepends=True)
    aws.files[path] = b"".join(x for x in lines if b"Host:ml.m" not in x and b"Host:ml.c" not in x)
    with pytest.raises(PricesRefusedError, match=r"sagemaker loses \d+ of \d+ machines in us-east"):
        run(aws)


def test_another_currency_is_an_error_naming_the_sku(aws: Vendor, shelf: Path) -> None:
    change(aws, "AWSELB", "us-east-1", b'"0.0225","USD"', b'"0.0225","EUR"')
    for accept in (False, True):
        with pytest.raises(PriceFeedError, match=r"AWSELB SKU AWSELB\w+ is priced in EUR"):
            run(aws, accept_jumps=accept)
    assert untouched(shelf)


def test_other_currencies_of_azure_and_google_are_errors_too(book: PriceBook, shelf: Path) -> None:
    with serving(lists.azure(book, ["eastus"])) as vendor:
        vendor.items[-3]["currencyCode"] = "EUR"
        with pytest.raises(PriceFeedError, match=r"Azure SKU VM\d+ is priced in EUR"):
            run(vendor, "azure", ("eastus",))
    with serving(lists.gcp(book, ["us-central1"])) as vendor:
        rates = vendor.listed["Compute Engine"][0]["pricingInfo"][0]["pricingExpression"]
        rates["tieredRates"][0]["unitPrice"]["currencyCode"] = "EUR"
        with pytest.raises(PriceFeedError, match=r"Google SKU \w+ is priced in EUR"):
            run(vendor, "gcp", ("us-central1",))


@pytest.mark.parametrize(
    ("price", "said"), [(b'"-1"', "above 0"), (b'"n/a"', "no number"), (b'"nan"', "no number")]
)
def test_a_price_that_is_none_is_an_error(
    aws: Vendor, shelf: Path, price: bytes, said: str
) -> None:
    change(aws, "AWSELB", "us-east-1", b'"0.0225"', price)
    with pytest.raises(PriceFeedError, match=said):
        run(aws)


def test_a_price_of_nothing_is_left_out_and_said(aws: Vendor, shelf: Path) -> None:
    change(aws, "AWSELB", "us-east-1", b'"0.0225"', b'"0"')
    outcome = run(aws)
    assert any("alb.hour in us-east-1" in n and "no charge" in n for n in outcome.notes)
    assert load_book().rate("alb.hour", "us-east-1").unit_price_usd == 0.0225
    assert "alb.hour in us-east-1" in outcome.kept


def test_of_two_prices_for_one_thing_neither_is_taken(aws: Vendor, shelf: Path) -> None:
    path = lists.list_path("AWSELB", "us-east-1")
    row = next(x for x in aws.files[path].splitlines() if b'"0.0225","USD"' in x)
    again = row.replace(b'"AWSELB000"', b'"AWSELB777"').replace(b'"0.0225"', b'"0.0300"')
    aws.files[path] += again + b"\n"
    outcome = run(aws)
    assert any("alb.hour in us-east-1 has two prices" in note for note in outcome.notes)
    rate = load_book().rate("alb.hour", "us-east-1")
    assert (rate.unit_price_usd, rate.as_of) == (0.0225, "2026-08-17")


def test_a_price_of_the_region_goes_before_the_one_for_everywhere(shelf: Path, seed: Path) -> None:
    with serving(lists.azure(PriceBook(seed), ["eastus", "westeurope"])) as vendor:
        of_nat = [i for i in vendor.items if i["meterName"] == "Standard Gateway"]
        nat = next(i for i in of_nat if i["armRegionName"] == "eastus")
        vendor.items.remove(next(i for i in of_nat if i["armRegionName"] == "westeurope"))
        vendor.items.append(nat | {"armRegionName": "Global", "retailPrice": 0.05, "skuId": "G"})
        run(vendor, "azure", ("eastus", "westeurope"))
    assert load_book().rate("azure.nat_hour", "eastus").unit_price_usd == 0.045
    elsewhere = load_book().rate("azure.nat_hour", "westeurope")
    assert (elsewhere.unit_price_usd, elsewhere.as_of) == (0.05, "2026-11-22")


def test_a_list_with_another_layout_is_said(aws: Vendor, shelf: Path) -> None:
    change(aws, "AWSELB", "us-east-1", b'"PricePerUnit"', b'"Price"')
    with pytest.raises(PriceFeedError, match="no column priceperunit"):
        run(aws)


# Files and processes


@pytest.mark.slow
def test_two_refreshes_do_not_mix(book: PriceBook, aws: Vendor, shelf: Path) -> None:
    with serving(lists.azure(book, ["eastus"])) as other:
        run(aws)
        run(other, "azure", ("eastus",))
    new = load_book()
    assert new.machine("ec2", "us-east-1", "m5.large").as_of == "2026-11-22"
    assert new.machine("azure-vm", "eastus", "Standard_D4s_v3").as_of == "2026-11-22"
    assert len(list((shelf / "books").iterdir())) == 2  # the one before stays for its readers


def test_only_one_refresh_at_a_time(aws: Vendor, shelf: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; "
        "from advisor.prices.refresh.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(shelf)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(PriceRefreshError, match=rf"process {holder.pid}\) is at work"):
            run(aws)
    finally:
        holder.kill()
        holder.wait(timeout=10)
    run(aws)  # the lock died with its holder


def test_a_killed_refresh_leaves_the_old_book(aws: Vendor, shelf: Path) -> None:
    path = lists.list_path("AmazonEC2", "us-east-1")
    aws.etags[path] = '"one"'
    hold = aws.files[path]

    def slow(_asked: object) -> Answer:
        time.sleep(1.5)
        return Answer(hold, 200, {"ETag": '"one"'})

    aws.routes[path] = slow
    child = subprocess.Popen(
        [sys.executable, "-m", "advisor", "prices", "refresh", "--provider", "aws",
         "--region", "us-east-1"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"ADVISOR_PRICES_AWS_URL": aws.url},
    )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while not aws.paths(path) and time.monotonic() < until:
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        assert child.wait(timeout=20) == -signal.SIGKILL
    finally:
        child.kill()
        child.communicate(timeout=10)
    assert untouched(shelf)
    assert load_book().rate("nat.hour", "us-east-1").unit_price_usd == 0.045
    del aws.routes[path]
    run(aws)
    assert load_book().machine("ec2", "us-east-1", "m5.large").as_of == "2026-11-22"


@pytest.mark.slow
def test_killed_while_swapping_the_old_book_is_whole(
    aws: Vendor, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(aws)
    first = book_in_use()
    monkeypatch.setattr("advisor.prices.shelf.os.fsync", _die)
    with pytest.raises(KeyboardInterrupt):
        run(aws)
    monkeypatch.undo()
    assert current_book(shelf) == first
    assert problems(PriceBook(first)) == []


def _die(_descriptor: int) -> None:
    raise KeyboardInterrupt


def test_a_full_disk_is_said_and_changes_nothing(
    aws: Vendor, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("advisor.prices.refresh.merge.shutil.copytree", full)
    with pytest.raises(PriceRefreshError, match=r"No space left on device; free some space"):
        run(aws)
    assert untouched(shelf)


def test_a_directory_that_cannot_be_written_is_said(aws: Vendor, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(PriceRefreshError, match="name another place with --out"):
        run(aws, out=file / "prices")
    with pytest.raises(InputError, match="not a directory"):
        run(aws, out=file)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letters.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no refreshed prices"):
        run(aws, out=tmp_path / "full")


def test_a_book_of_another_release_is_passed_over(aws: Vendor, shelf: Path) -> None:
    run(aws)
    (book_in_use() / "snapshot.txt").write_text("another release\n")
    assert book_in_use() == SHIPPED
    assert "refresh the prices again" in passed_over()


def test_out_names_a_shelf_that_the_variable_can_name(
    aws: Vendor, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(aws, out=tmp_path / "mine")
    assert untouched(shelf)
    monkeypatch.setenv("ADVISOR_PRICES", str(tmp_path / "mine"))
    assert load_book().machine("ec2", "us-east-1", "m5.large").as_of == "2026-11-22"


# The terminal


def test_the_terminal_refreshes_and_says_what_it_did(
    aws: Vendor, shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADVISOR_PRICES_AWS_URL", aws.url)
    arguments = ["prices", "refresh", "--provider", "aws", "--region", "us-east-1"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Refreshed aws: ")
    assert "all lists read" in said.err
    assert cli.main(["prices", "status"]) == 0
    assert str(shelf) in capsys.readouterr().out
    change(aws, "AWSELB", "us-east-1", b'"0.0225","USD"', b'"0.0225","EUR"')
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "EUR" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--provider", "aws", "--region", "us-est-1"], "us-east-1"),
        (["--provider", "aws", "--region", "eastus"], "one of azure"),
        (["--provider", "azure", "--via", "api"], "not a way to read azure"),
    ],
)
def test_wrong_arguments_are_said_in_one_line(
    shelf: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["prices", "refresh", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
