"""Verdicts come one after the other and before all else, and nobody waits for ever."""

from __future__ import annotations

import threading

import pytest

from ui import turns
from ui.turns import Turns

PATIENCE_S = 10.0


def _in_thread(target: object) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_one_verdict_at_a_time_in_the_order_in_which_they_were_asked() -> None:
    held, order = Turns(), []
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with held.first():
            begun.set()
            go_on.wait(PATIENCE_S)
            order.append("slow")

    def after(name: str) -> None:
        with held.first():
            order.append(name)

    threads = [_in_thread(slow)]
    assert begun.wait(PATIENCE_S)
    for number, name in enumerate(("second", "third")):
        threads.append(_in_thread(lambda name=name: after(name)))
        while len(held._waiting) < number + 2:
            threading.Event().wait(0.001)
    assert order == []
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert order == ["slow", "second", "third"]


def test_the_rest_of_a_page_waits_for_a_verdict_and_goes_on_after_it() -> None:
    held, order = Turns(), []
    begun, go_on = threading.Event(), threading.Event()

    def verdict() -> None:
        with held.first():
            begun.set()
            go_on.wait(PATIENCE_S)
            order.append("verdict")

    def rest() -> None:
        held.give_way()
        order.append("rest")

    first = _in_thread(verdict)
    assert begun.wait(PATIENCE_S)
    second = _in_thread(rest)
    go_on.set()
    first.join(PATIENCE_S)
    second.join(PATIENCE_S)
    assert order == ["verdict", "rest"]
    held.give_way()  # nobody is there: at once


def test_a_verdict_that_hangs_holds_the_others_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "_LONGEST_TURN_S", 0.05)
    monkeypatch.setattr(turns, "_LONGEST_WAIT_S", 0.05)
    held = Turns()
    with held.first():  # and never ends while the others are asked
        passed = threading.Event()

        def other() -> None:
            with held.first():
                held.give_way()
                passed.set()

        thread = _in_thread(other)
        assert passed.wait(PATIENCE_S)
        thread.join(PATIENCE_S)


def test_a_turn_that_is_interrupted_is_given_back() -> None:
    held = Turns()
    with pytest.raises(KeyboardInterrupt), held.first():
        raise KeyboardInterrupt
    assert held._waiting == []


def test_who_waits_for_another_process_lets_the_others_go_on() -> None:
    held, order = Turns(), []
    away, back = threading.Event(), threading.Event()

    def asks() -> None:
        with held.first():
            with held.aside():
                away.set()
                back.wait(PATIENCE_S)
            order.append("asked")
            assert held._waiting[0] == 0  # and comes before those who drew later

    first = _in_thread(asks)
    assert away.wait(PATIENCE_S)
    held.give_way()  # nobody computes here: at once
    with held.first():
        order.append("the next")
    back.set()
    first.join(PATIENCE_S)
    assert order == ["the next", "asked"]
    assert held._waiting == []
    with held.aside():
        pass  # of no turn: nothing to give
