"""The book as a whole: regions, age, commitments, laziness, damage, refreshed books."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from advisor.errors import InputError, PriceBookError
from advisor.prices import PriceBook, load_book
from advisor.prices.checks import jumps, problems
from advisor.prices.store import MachineRow, write_machine_prices

BOOK = load_book()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BOOK.directory, tmp_path / "book"))


def test_default_regions() -> None:
    assert BOOK.default_region("aws") == "us-east-1"
    assert BOOK.default_region("gcp") == "us-central1"
    assert BOOK.default_region("azure") == "eastus"
    with pytest.raises(InputError, match="ibm"):
        BOOK.default_region("ibm")


def test_a_region_names_its_cloud() -> None:
    assert BOOK.cloud_of("eu-west-1") == "aws"
    assert BOOK.cloud_of("europe-west1") == "gcp"
    assert BOOK.cloud_of("westeurope") == "azure"
    assert BOOK.region("eu-west-2").country == "GB"
    for cloud in ("aws", "gcp", "azure"):
        assert all(BOOK.cloud_of(region) == cloud for region in BOOK.regions(cloud))


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("eu-wst-1", "eu-west-1"), ("West Europe", "westeurope"), ("us_east_1", "us-east-1")],
)
def test_a_misspelt_region_is_answered_with_close_ones(misspelt: str, meant: str) -> None:
    with pytest.raises(InputError) as caught:
        BOOK.cloud_of(misspelt)
    assert misspelt in str(caught.value)
    assert meant in str(caught.value)


def test_a_region_like_no_other_gets_examples() -> None:
    with pytest.raises(InputError, match="us-east-1"):
        BOOK.cloud_of("zzz")


def test_age() -> None:
    newest = date.fromisoformat(BOOK.as_of)
    assert BOOK.age_days(newest) == 0
    assert BOOK.age_days(newest + timedelta(days=30)) == 30
    limit = newest + timedelta(days=90)
    assert not BOOK.is_stale(BOOK.as_of, limit)
    assert BOOK.is_stale(BOOK.as_of, limit + timedelta(days=1))
    assert BOOK.is_stale("undated", newest)


def test_oldest() -> None:
    assert BOOK.oldest(["2026-01-02", "2025-12-31", ""]) == "2025-12-31"
    assert BOOK.oldest(["2026-01-02", "undated"]) == "undated"
    assert BOOK.oldest([]) == ""


def test_status_counts_every_price() -> None:
    newest = date.fromisoformat(BOOK.as_of)
    status = BOOK.status(newest)
    assert not status.stale
    assert BOOK.status(newest + timedelta(days=91)).stale
    by_name = {(s.cloud, s.service, s.rows): s for s in status.services}
    assert sum(s.rows for s in by_name.values()) == len(BOOK.rates) + sum(
        len(BOOK.machine_prices(s)) for s in ("ec2", "sagemaker", "gce", "vertex", "azure-vm")
    )
    ec2 = next(s for s in status.services if s.service == "ec2")
    assert ec2.regions == len(BOOK.machine_prices("ec2").regions)
    assert ec2.oldest < ec2.newest <= BOOK.as_of
    assert ec2.stale
    assert 0 < ec2.stale_rows < ec2.rows
    sagemaker = next(s for s in status.services if s.service == "sagemaker")
    assert not sagemaker.stale


def test_commitments_apply_only_published_figures() -> None:
    g5 = BOOK.commitment("ec2", "1y", family="g5")
    assert g5 is not None
    assert g5.discount_fraction == pytest.approx(0.37)
    assert g5.kind == "list"
    # Only "up to" figures are known for these, and nobody gets the best case by asking.
    assert BOOK.commitment("ec2", "1y", family="c7i") is None
    taken = BOOK.commitment("ec2", "1y", family="c7i", cpu_only=True)
    assert taken is not None
    assert taken.kind == "weak"
    assert BOOK.commitment("sagemaker", "1y", family="m5") is None
    assert BOOK.commitment("vertex", "1y", family="n1") is None
    assert any(c.kind == "max" and c.service == "sagemaker" for c in BOOK.commitments)


def test_commitments_prefer_the_closest_fit() -> None:
    n2 = BOOK.commitment("gce", "automatic", family="n2")
    assert n2 is not None
    assert n2.discount_fraction == pytest.approx(0.2)
    exact = BOOK.commitment(
        "azure-vm", "3y", family="Ddsv5", machine="Standard_D4ds_v5", region="eastus"
    )
    assert exact is not None
    assert exact.discount_fraction == pytest.approx(0.62)
    elsewhere = BOOK.commitment("azure-vm", "3y", machine="Standard_D4ds_v5", region="westus")
    assert elsewhere is None


def test_the_book_is_kept_and_reads_nothing_at_first(tmp_path: Path) -> None:
    assert load_book() is load_book()
    book = PriceBook(tmp_path / "nowhere")
    with pytest.raises(PriceBookError, match="nowhere"):
        book.rate("nat.hour", "us-east-1")


def test_the_price_book_needs_no_pandas_and_no_pyarrow() -> None:
    code = (
        "import sys; from advisor.prices import load_book; b = load_book(); "
        "b.machines('ec2', 'us-east-1'); b.rate('nat.hour', 'us-east-1'); "
        "print({'pandas', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "set()"


def test_a_refreshed_book_is_used_when_named(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = copy / "rates.csv"
    rates.write_text(
        rates.read_text().replace("nat.hour,us-east-1,0,0.045", "nat.hour,us-east-1,0,0.05")
    )
    monkeypatch.setenv("ADVISOR_PRICES", str(copy))
    assert load_book().rate("nat.hour", "us-east-1").unit_price_usd == 0.05
    monkeypatch.undo()
    assert load_book().rate("nat.hour", "us-east-1").unit_price_usd == 0.045


NAT = "nat.hour,us-east-1,0,0.045"
VIRGINIA = "us-east-1,aws,US East (N. Virginia),US,"


@pytest.mark.parametrize(
    ("file", "old", "new", "word"),
    [
        ("rates.csv", NAT, "nat.hour,us-east-1,0,0", "above 0"),
        ("rates.csv", f"{NAT},list,2026-09-06", f"{NAT},list,2026-9", "2026-9"),
        ("rates.csv", f"{NAT},list", f"{NAT},guess", "guess"),
        ("rates.csv", NAT, "nat.hour,us-nowhere-1,0,0.045", "us-nowhere-1"),
        ("rates.csv", NAT, "nat.hour,us-west-1,0,0.045", "nat.hour has no price in us-east-1"),
        ("rates.csv", NAT, "nat.hour,eastus,0,0.045", "another cloud"),
        ("regions.csv", f"{VIRGINIA}yes", f"{VIRGINIA}no", "default"),
        ("regions.csv", f"{VIRGINIA}yes", "us-east-1,aws,,US,yes", "us-east-1"),
        ("specs/aws.csv", "m5.large,m5,2,", "m5.large,m5,0,", "m5.large"),
        ("allowances.csv", "data_out.gb", "data_out.kb", "data_out.kb"),
        ("commitments.csv", "0.344,list", ",list", "g4ad"),
    ],
)
def test_checks_find_damage(copy: Path, file: str, old: str, new: str, word: str) -> None:
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    found = problems(PriceBook(copy))
    assert any(word in problem for problem in found), found


def test_checks_find_damage_in_machine_prices(copy: Path) -> None:
    rows = [
        MachineRow("us-east-1", "ml.m5.large", 0.1, "list", "a source", "2026-01-01"),
        MachineRow("us-east-1", "ml.m5.large", 0.2, "guess", "a source", "2026-13-01"),
        MachineRow("europe-west1", "ml.c5.large", -1.0, "list", "a source", "2026-01-01"),
    ]
    write_machine_prices(copy / "machines" / "sagemaker.npz", rows)
    found = " ".join(problems(PriceBook(copy)))
    for word in ("2 times", "guess", "2026-13-01", "not above 0", "not a region of aws"):
        assert word in found


def test_jumps_hold_back_a_wild_refresh(copy: Path) -> None:
    rates = copy / "rates.csv"
    text = rates.read_text()
    rates.write_text(text.replace("nat.hour,us-east-1,0,0.045", "nat.hour,us-east-1,0,0.45"))
    table = BOOK.machine_prices("sagemaker")
    rows = [
        MachineRow(region, table.machines[m], usd, "list", "a source", "2026-11-01")
        for region in table.regions[1:]
        for m, usd in zip(table.machine[table.rows(region)],
                          table.usd_per_hour[table.rows(region)].tolist(), strict=True)
    ]  # fmt: skip
    rows[0] = rows[0]._replace(usd_per_hour=rows[0].usd_per_hour / 5)
    write_machine_prices(copy / "machines" / "sagemaker.npz", rows)
    found = jumps(BOOK, PriceBook(copy))
    assert len(found) == 3, found
    assert any("nat.hour in us-east-1 moves from 0.045 to 0.45" in f for f in found)
    assert any(f"loses the region {table.regions[0]}" in f for f in found)
    assert any(rows[0].machine in f for f in found)
    assert jumps(BOOK, BOOK) == []
