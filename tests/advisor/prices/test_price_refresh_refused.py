"""Refreshing prices: what is cut, damaged or unlikely changes nothing, and is said."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import vendor_lists as lists
from refreshing import change, quick, run, untouched
from vendor_server import Answer, Vendor, serving

from advisor.errors import (
    PriceFeedError,
    PriceRefreshError,
    PricesRefusedError,
    RefreshCancelledError,
)
from advisor.prices import PriceBook, load_book
from advisor.prices.refresh import Step, refresh
from advisor.prices.refresh.web import Web


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
