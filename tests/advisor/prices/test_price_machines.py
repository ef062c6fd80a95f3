"""Machine tables: contents, selection, single rows, the file they come from."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from advisor.errors import InputError, PriceBookError, UnknownPriceError
from advisor.prices import load_book
from advisor.prices.machines import COLUMNS
from advisor.prices.store import (
    MachineRow,
    Spec,
    read_machine_prices,
    read_specs,
    write_machine_prices,
    write_specs,
)

BOOK = load_book()


@pytest.mark.parametrize(
    ("service", "region", "name", "family", "vcpu", "memory_gib", "arch"),
    [
        ("ec2", "us-east-1", "m7i.xlarge", "m7i", 4, 16, "x86_64"),
        ("ec2", "eu-central-1", "c7g.large", "c7g", 2, 4, "arm64"),
        ("sagemaker", "us-east-1", "ml.m5.large", "m5", 2, 8, "x86_64"),
        ("gce", "us-central1", "n2-standard-4", "n2", 4, 16, "x86_64"),
        ("vertex", "europe-west1", "n1-highmem-2", "n1", 2, 13, "x86_64"),
        ("azure-vm", "eastus", "Standard_D4s_v5", "Dsv5", 4, 16, "x86_64"),
        ("azure-vm", "westeurope", "Standard_F4s_v2", "Fsv2", 4, 8, "x86_64"),
        ("azure-vm", "eastus", "Standard_DS3_v2", "DSv2", 4, 14, "x86_64"),
        ("azure-vm", "eastus", "Standard_NC24ads_A100_v4", "NCads_A100_v4", 24, 220, "x86_64"),
    ],
)
def test_well_known_machines(
    service: str, region: str, name: str, family: str, vcpu: float, memory_gib: float, arch: str
) -> None:
    machine = BOOK.machine(service, region, name)
    assert (machine.name, machine.family, machine.arch) == (name, family, arch)
    assert (machine.vcpu, machine.memory_gib) == (vcpu, memory_gib)
    assert machine.usd_per_hour > 0
    assert machine.source
    assert machine == BOOK.machines(service, region).machine(name)


@pytest.mark.parametrize(
    ("service", "region", "name", "gpu", "vendor", "count", "mem_gib"),
    [
        ("ec2", "us-east-1", "g5.xlarge", "A10G", "nvidia", 1, 22.4),
        ("ec2", "us-east-1", "inf2.48xlarge", "Inferentia2", "aws", 12, 32),
        ("sagemaker", "us-west-2", "ml.g4dn.12xlarge", "T4", "nvidia", 4, 16),
        ("gce", "us-central1", "a2-highgpu-1g", "A100-40GB", "nvidia", 1, 40),
        ("vertex", "us-central1", "g2-standard-4", "L4", "nvidia", 1, 24),
        ("azure-vm", "eastus", "Standard_NC4as_T4_v3", "T4", "nvidia", 1, 16),
        ("azure-vm", "eastus", "Standard_NV12ads_A10_v5", "A10", "nvidia", 1 / 3, 8),
    ],
)
def test_accelerators(
    service: str, region: str, name: str, gpu: str, vendor: str, count: float, mem_gib: float
) -> None:
    machine = BOOK.machine(service, region, name)
    assert (machine.gpu_name, machine.gpu_vendor) == (gpu, vendor)
    assert machine.gpu_count == pytest.approx(count, rel=1e-3)
    assert machine.gpu_mem_gib == mem_gib


def test_columns_are_of_equal_length_and_read_only() -> None:
    table = BOOK.machines("ec2", "us-east-1")
    assert {len(getattr(table, c)) for c in COLUMNS} == {len(table)}
    with pytest.raises(ValueError, match="read-only"):
        table.usd_per_hour[0] = 0


def test_select_keeps_rows_together() -> None:
    table = BOOK.machines("sagemaker", "us-east-1")
    cheap = table.select(table.usd_per_hour < 0.1)
    assert 0 < len(cheap) < len(table)
    assert all(cheap.row(i) == table.machine(cheap.row(i).name) for i in range(len(cheap)))


def test_burstable_families() -> None:
    table = BOOK.machines("ec2", "us-east-1")
    assert set(table.family[table.burstable]) == {"t1", "t2", "t3", "t3a", "t4g"}


def test_machines_for_sizing_are_specified_and_others_still_have_a_price() -> None:
    sized = BOOK.machines("ec2", "us-east-1")
    everything = BOOK.machines("ec2", "us-east-1", sized=False)
    assert (sized.vcpu > 0).all()
    assert (sized.memory_gib > 0).all()
    left_out = set(everything.name) - set(sized.name)
    assert left_out
    machine = BOOK.machine("ec2", "us-east-1", min(left_out))
    assert machine.vcpu == 0
    assert machine.usd_per_hour > 0


def test_spot_and_commitment_prices_where_the_provider_publishes_them() -> None:
    machine = BOOK.machine("gce", "us-central1", "n2-standard-4")
    assert machine.spot_usd_per_hour is not None
    assert machine.commit_3y_usd_per_hour is not None
    assert machine.commit_1y_usd_per_hour is not None
    assert machine.commit_3y_usd_per_hour < machine.commit_1y_usd_per_hour < machine.usd_per_hour
    assert BOOK.machine("ec2", "us-east-1", "m5.large").spot_usd_per_hour is None


@pytest.mark.parametrize(
    ("service", "region", "words"),
    [("ec2", "us-est-1", ("us-est-1", "us-east-1")), ("vertex", "eastus", ("eastus", "none"))],
)
def test_unknown_regions(service: str, region: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UnknownPriceError) as caught:
        BOOK.machines(service, region)
    assert all(word in str(caught.value) for word in words)


def test_unknown_machines_and_services() -> None:
    with pytest.raises(UnknownPriceError, match=r"m5\.larg'.*m5\.large"):
        BOOK.machine("ec2", "us-east-1", "m5.larg")
    with pytest.raises(InputError, match="ecs2"):
        BOOK.machines("ecs2", "us-east-1")
    assert BOOK.knows_machine("ec2", "m5.large")
    assert not BOOK.knows_machine("ec2", "m5.larg")


def test_prices_survive_a_round_trip(tmp_path: Path) -> None:
    rows = [
        MachineRow("b-region", "big", 2.0, "list", "a source", "2026-01-02", spot_usd_per_hour=0.5),
        MachineRow("a-region", "small", 0.1, "derived", "a rule", "undated"),
        MachineRow("b-region", "a-small", 0.2, "list", "a source", "2026-01-01"),
    ]
    write_machine_prices(tmp_path / "x.npz", rows)
    table = read_machine_prices(tmp_path / "x.npz")
    assert len(table) == 3
    assert table.regions == ("a-region", "b-region")
    names = [table.machines[i] for i in table.machine[table.rows("b-region")]]
    assert names == ["a-small", "big"]
    spot = table.spot_usd_per_hour[table.rows("b-region")]
    assert math.isnan(spot[0])
    assert spot[1] == 0.5
    assert np.isnan(table.commit_1y_usd_per_hour).all()


def test_the_same_prices_give_the_same_file(tmp_path: Path) -> None:
    rows = [MachineRow("r", f"m{i}", 1.0 + i, "list", "s", "2026-01-01") for i in range(5)]
    write_machine_prices(tmp_path / "one.npz", rows)
    write_machine_prices(tmp_path / "two.npz", reversed(rows))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_specifications_survive_a_round_trip(tmp_path: Path) -> None:
    specs = {
        "g5.xlarge": Spec("g5", 4, 16, "A10G", "nvidia", 1, 22.4, "x86_64", False, "somewhere"),
        "t3.nano": Spec("t3", 2, 0.5, arch="x86_64", burstable=True, source="somewhere"),
    }
    write_specs(tmp_path / "specs.csv", specs)
    assert read_specs(tmp_path / "specs.csv") == specs


@pytest.mark.parametrize("content", [b"", b"not an archive", None])
def test_damaged_archives_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ec2.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PriceBookError, match="refresh the prices"):
        read_machine_prices(path)


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    whole = (BOOK.directory / "machines" / "sagemaker.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PriceBookError):
        read_machine_prices(tmp_path / "cut.npz")


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    with np.load(BOOK.directory / "machines" / "vertex.npz") as file:
        columns = dict(file)
    np.savez(tmp_path / "new.npz", **{**columns, "schema_version": np.int64(99)})
    with pytest.raises(PriceBookError, match="99"):
        read_machine_prices(tmp_path / "new.npz")
