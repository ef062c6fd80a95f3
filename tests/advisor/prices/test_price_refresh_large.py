"""Lists of hundreds of MB, and the whole book: longer proofs of the refresh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import vendor_lists as lists
from vendor_server import Vendor, serving

from advisor.prices import PriceBook, load_book
from advisor.prices.checks import problems
from advisor.prices.refresh import refresh
from advisor.prices.refresh.merge import machine_rows
from advisor.prices.refresh.web import Web
from advisor.prices.shelf import SHIPPED

BOOK = PriceBook(SHIPPED)
ROOT = Path(__file__).parents[3]
LARGE_MB, GROWTH_MB = 200, 30

pytestmark = pytest.mark.slow

# Reads the list as a refresh does and tells by how much its memory grew at most.
READ = """
import json, sys
from datetime import date
from pathlib import Path
from advisor.prices.refresh import aws_bulk, mapping
from advisor.prices.refresh.web import Web
url, into = sys.argv[1], Path(sys.argv[2])

def peak_kb():
    # Not ru_maxrss: that begins with the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

before = peak_kb()
with Web() as web:
    feed = aws_bulk._file(web, "AmazonEC2", "us-east-1", url, {}, into, date(2026, 11, 22))
after = peak_kb()
print(json.dumps({"grew_mb": (after - before) / 1024, "machines": len(feed.machines)}))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADVISOR_PRICES", raising=False)
    monkeypatch.setenv("ADVISOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADVISOR_GCP_API_KEY", "a-test-key")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_list_of_200_mb_is_read_in_bounded_memory(tmp_path: Path) -> None:
    name, region = "AmazonEC2", "us-east-1"
    prices = lists.aws_prices(BOOK, name, lists.mapping.aws().offers[name], region)
    whole = lists.aws_csv(prices, name, region)
    head, _, rows = whole.partition(b'"Region Code","serviceName"\n')
    others = rows.replace(b'"Linux"', b'"SUSE"')  # many rows of other systems, as in the real list
    copies = LARGE_MB * 2**20 // len(others) + 1
    vendor = Vendor()
    path = lists.list_path(name, region)
    vendor.files[path] = b"".join(
        [head, b'"Region Code","serviceName"\n', *[others] * copies, rows]
    )
    assert len(vendor.files[path]) > LARGE_MB * 2**20
    with serving(vendor):
        done = subprocess.run(
            [sys.executable, "-c", READ, vendor.url + path, str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=500,
        )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["machines"] == sum(r.region == region for r in machine_rows(BOOK, "ec2"))
    assert 0 < told["grew_mb"] < GROWTH_MB, told
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp"])
def test_the_whole_book_comes_back(provider: str) -> None:
    regions = [r for r in BOOK.regions(provider) if "-atl-" not in r]
    make = {
        "aws": lists.aws_bulk,
        "azure": lambda book, where: lists.azure(book, where, page_size=1000),
        "gcp": lambda book, where: lists.gcp(
            book, [r for r in where if r in book.machine_prices("gce").regions], page_size=5000
        ),
    }[provider]
    with serving(make(BOOK, regions)) as vendor:
        outcome = refresh(
            provider, regions=regions, endpoint=vendor.url, today=date(2026, 11, 22),
            web=Web(pause_s=0.01),
        )  # fmt: skip
    new = load_book()
    assert os.fspath(new.directory) == os.fspath(outcome.directory)
    assert problems(new) == []
    services = {"aws": ("ec2", "sagemaker"), "azure": ("azure-vm",), "gcp": ("gce", "vertex")}
    for service in services[provider]:
        after = {(r.region, r.machine): r.usd_per_hour for r in machine_rows(new, service)}
        before = {(r.region, r.machine): r.usd_per_hour for r in machine_rows(BOOK, service)}
        assert before.keys() == after.keys()
        wrong = {
            k: (v, after[k]) for k, v in before.items() if after[k] != pytest.approx(v, rel=2e-3)
        }
        assert not wrong, dict(list(wrong.items())[:5])
    for rate in BOOK.rates:
        again = next(r for r in new.rates if (r.sku, r.region) == (rate.sku, rate.region))
        assert [t.unit_price_usd for t in again.tiers] == [t.unit_price_usd for t in rate.tiers]
