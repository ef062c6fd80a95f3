"""Many verdicts start a process of their own; the answers stay the same, whatever happens to it."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Iterator

import pytest

from advisor.errors import InputError
from advisor.presets import presets
from ui import advice, crowd, jobs
from ui.crowd import Crowd
from ui.workers import Workers

LIMIT_S = 60.0
NEED = next(iter(presets().values())).requirements
QUESTION = (NEED.model_dump_json(), (), "")


@pytest.fixture(scope="module")
def held() -> Iterator[Crowd]:
    made = Crowd(Workers(workers=1, niceness=0))
    yield made
    made.shutdown()
    assert made.workers.processes() == []


def _ready(held: Crowd) -> None:
    end = time.monotonic() + LIMIT_S
    while not held._ready or held._ready != held.workers.processes():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_few_verdicts_start_nothing() -> None:
    made = Crowd(Workers(workers=1))
    made.took(0.9 * crowd.SHARE * crowd.SPAN_S, *QUESTION)
    assert made.verdict(*QUESTION) is None
    assert made.workers.processes() == []


def test_verdicts_long_ago_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    made, now = Crowd(Workers(workers=1)), [0.0]
    monkeypatch.setattr(crowd.time, "monotonic", lambda: now[0])
    for second in range(60):
        now[0] = second * crowd.SPAN_S
        made.took(0.4 * crowd.SHARE * crowd.SPAN_S, *QUESTION)
    assert made.workers.processes() == []


def test_many_start_a_process_and_it_says_the_same(held: Crowd) -> None:
    held.took(1.1 * crowd.SHARE * crowd.SPAN_S, *QUESTION)
    _ready(held)
    there = held.verdict(*QUESTION)
    assert there is not None
    assert pickle.loads(there) == pickle.loads(jobs.packed(*QUESTION, wanted=""))


def test_what_a_verdict_raises_comes_back(held: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    _ready(held)
    nowhere = NEED.model_copy(
        update={"placement": NEED.placement.model_copy(update={"regions": ("moon-1",)})}
    )
    with pytest.raises(InputError) as here:
        jobs.packed(nowhere.model_dump_json(), (), "", wanted="")
    with pytest.raises(InputError) as there:
        held.verdict(nowhere.model_dump_json(), (), "")
    assert str(there.value) == str(here.value)


def test_a_process_that_was_killed_costs_no_answer(
    held: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ready(held)
    monkeypatch.setattr(advice, "CROWD", held)
    advice.forget()
    for process in held.workers.processes():
        os.kill(process, signal.SIGKILL)
    assert advice.verdict(NEED).winner is not None


def test_one_that_takes_too_long_is_left(held: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    held.took(1.1 * crowd.SHARE * crowd.SPAN_S, *QUESTION)
    _ready(held)
    monkeypatch.setattr(crowd, "PATIENCE_S", 0.0)
    assert held.verdict(*QUESTION) is None
    assert not held._ready  # the next one is computed here, without a wait
