"""Refreshing prices: two at once, killed, without room, and from the terminal."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import vendor_lists as lists
from refreshing import change, run, untouched
from vendor_server import Answer, Vendor, serving

from advisor import cli
from advisor.errors import (
    InputError,
    PriceRefreshError,
)
from advisor.prices import PriceBook, load_book
from advisor.prices.checks import problems
from advisor.prices.shelf import SHIPPED, book_in_use, current_book, passed_over

ROOT = Path(__file__).parents[3]


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
