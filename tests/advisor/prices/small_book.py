"""The shipped book with a few families in a few regions, so that each refresh is quick."""

from __future__ import annotations

import shutil
from pathlib import Path

from advisor.prices import PriceBook
from advisor.prices.refresh.merge import machine_rows
from advisor.prices.shelf import SHIPPED, snapshot_id
from advisor.prices.store import MACHINE_SERVICES, write_machine_prices, write_specs

REGIONS = ("us-east-1", "eu-west-1", "ap-south-1", "us-central1", "eastus", "westeurope", "westus")
FAMILIES = ("m5", "m7i", "g5", "n1", "n2", "g2", "c3", "Dsv3")


def small_book(directory: Path) -> Path:
    """Write it into a directory that does not exist yet."""
    whole = PriceBook(SHIPPED)
    shutil.copytree(SHIPPED, directory)
    for service, cloud in MACHINE_SERVICES.items():
        specs = whole.specs(cloud)
        rows = [
            row
            for row in machine_rows(whole, service)
            if row.region in REGIONS
            and row.machine.removeprefix("ml.") in specs
            and specs[row.machine.removeprefix("ml.")].family in FAMILIES
        ]
        write_machine_prices(directory / "machines" / f"{service}.npz", rows)
    for cloud in dict.fromkeys(MACHINE_SERVICES.values()):
        specs = {n: s for n, s in whole.specs(cloud).items() if s.family in FAMILIES}
        write_specs(directory / "specs" / f"{cloud}.csv", specs)
    (directory / "snapshot.txt").write_text(snapshot_id())
    return directory


def put_on_shelf(book: Path, shelf: Path) -> None:
    """Let a shelf hold that book, as if a refresh had put it there."""
    shutil.copytree(book, shelf / "books" / "seed")
    (shelf / "current").write_text("seed")
