"""The door into the decision: what is kept, what is shared, what is computed once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from here import Here

from advisor.errors import InputError
from advisor.recommendation import Recommendation
from advisor.requirements import Requirements
from advisor.whatif import Changes, changes, complete, with_answer
from ui import advice, answers, jobs, warm

NEED = answers.to_requirements(answers.starting_answers())


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "changes", lambda *_, **__: Changes())
    monkeypatch.setattr(advice, "WORKERS", Here())
    advice.forget()


def test_two_sessions_that_ask_the_same_at_once_share_one_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, asked, together = advice.recommend, [], threading.Barrier(4, timeout=60)

    def slow(need: Requirements, **how: object) -> Recommendation:
        asked.append(need)
        time.sleep(0.2)  # so that the others come meanwhile
        return real(need, **how)

    def ask(_: int) -> Recommendation:
        together.wait()
        return advice.verdict(NEED)

    monkeypatch.setattr(advice, "recommend", slow)
    with ThreadPoolExecutor(4) as sessions:
        found = list(sessions.map(ask, range(4)))
    assert len(asked) == 1
    assert all(one == real(NEED) for one in found)


def test_only_so_many_verdicts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "_VERDICTS", 3)
    real = advice.recommend(NEED)
    monkeypatch.setattr(advice, "recommend", lambda need, **_: real)
    for size in range(1, 9):
        model = NEED.model.model_copy(update={"size_mb": float(size)})
        advice.verdict(NEED.model_copy(update={"model": model}))
    assert len(advice._packs) == 3
    advice.forget()
    assert not advice._packs


def test_a_what_if_is_known_once_it_was_asked_for_and_did_not_fail() -> None:
    assert advice.known("changes", NEED) is None
    future = advice.start("changes", NEED, who="a")
    assert advice.known("changes", NEED, who="b") is future
    broken: Future[object] = Future()
    broken.set_exception(InputError("no"))
    next(iter(advice._asked.values())).job.future = broken
    assert advice.known("changes", NEED) is None


@pytest.mark.parametrize("target_ms", [150.0, 1.0])  # with a winner, and with nothing that fits
def test_the_whole_answer_is_the_verdict_with_what_would_change_it(
    monkeypatch: pytest.MonkeyPatch, target_ms: float
) -> None:
    monkeypatch.setattr(jobs, "changes", changes)
    need = with_answer(NEED, "service.p95_ms", target_ms)
    found = advice.whole(need)
    assert found == complete(need, advice.recommend(need))
    assert found.flips if found.winner else found.relaxations


def test_the_first_page_finds_its_answer_there(monkeypatch: pytest.MonkeyPatch) -> None:
    warm.up()
    monkeypatch.setattr(advice, "recommend", lambda *_, **__: pytest.fail("computed again"))
    assert advice.verdict(NEED).winner


def test_a_server_whose_policy_is_wrong_starts_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **__: object) -> Recommendation:
        raise InputError("policy.yaml, line 3: forbit is no kind")

    monkeypatch.setattr(advice, "recommend", refused)
    warm.up()
    assert "line 3: forbit" in caplog.text
