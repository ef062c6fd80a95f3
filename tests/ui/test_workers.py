"""The pool of workers: bounded, stopped when nobody waits, begun anew when a process dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from advisor.errors import InputError, WhatIfCancelledError
from ui.workers import BusyError, WorkerDiedError, Workers, is_unwanted

LIMIT_S = 60


def patient(where: str, wanted: str) -> int:
    """Writes its process id, then works until it is not wanted any more."""
    Path(where).write_text(str(os.getpid()))
    stop = is_unwanted(wanted)
    end = time.monotonic() + LIMIT_S
    while not stop():
        if time.monotonic() > end:
            return -1
        time.sleep(0.01)
    raise WhatIfCancelledError("nobody waits")


def dies_once(where: str, wanted: str) -> str:
    if not Path(where).exists():
        Path(where).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second time"


def dies(wanted: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuses(wanted: str) -> None:
    raise InputError("the answer is wrong")


def until(path: Path) -> None:
    end = time.monotonic() + LIMIT_S
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def pool() -> Iterator[Workers]:
    made = Workers(workers=1, most=3)
    assert made.processes() == []  # nothing is started before there is a job
    yield made
    ids = made.processes()
    made.shutdown()
    assert made.processes() == []
    assert not any(psutil.pid_exists(i) and psutil.Process(i).is_running() for i in ids)


def test_a_job_is_stopped_and_the_next_one_runs(pool: Workers, tmp_path: Path) -> None:
    first = pool.submit(patient, str(tmp_path / "a"))
    until(tmp_path / "a")
    first.stop()
    assert first.future.cancelled()
    second = pool.submit(patient, str(tmp_path / "b"))
    until(tmp_path / "b")  # the one worker is free again
    second.stop()


def test_more_than_it_takes_is_refused_in_words(pool: Workers, tmp_path: Path) -> None:
    jobs = [pool.submit(patient, str(tmp_path / str(n))) for n in range(3)]
    with pytest.raises(BusyError, match="as many as this server takes"):
        pool.submit(patient, str(tmp_path / "one-too-many"))
    for job in jobs:
        job.stop()
    pool.submit(refuses).future.exception(LIMIT_S)  # there is room again


def test_what_a_job_raises_is_raised_here(pool: Workers) -> None:
    with pytest.raises(InputError, match="the answer is wrong"):
        pool.submit(refuses).future.result(LIMIT_S)


def test_a_killed_process_is_replaced_and_the_job_done_again(pool: Workers, tmp_path: Path) -> None:
    assert pool.submit(dies_once, str(tmp_path / "x")).future.result(LIMIT_S) == "second time"


def test_a_job_that_kills_its_process_twice_is_given_up(pool: Workers) -> None:
    with pytest.raises(WorkerDiedError, match="ended twice"):
        pool.submit(dies).future.result(LIMIT_S)
