"""The request log: one JSON object a line, in small bundles, none lost."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from model_server.telemetry import FLUSH_LINES, Log


class Loop:
    """Keeps what it is asked to do later."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def call_later(self, _seconds: float, do: Callable[[], None]) -> object:
        self.later.append(do)
        return do


def ask(log: Log, loop: Loop, count: int, path: str = "/predict") -> None:
    for number in range(count):
        log.request(loop, "POST", path, 200, 0.0012345, 1, f"id-{number}")


def test_lines_come_in_small_bundles_and_none_is_lost(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """A bundle as long as its timer would hold up for milliseconds whoever asks meanwhile."""
    log, loop = Log(), Loop()
    ask(log, loop, 2 * FLUSH_LINES + 3)
    early = capfdbinary.readouterr().out.splitlines()
    assert len(early) == 2 * FLUSH_LINES
    for do in loop.later:
        do()
    late = capfdbinary.readouterr().out.splitlines()
    ids = [json.loads(line)["request_id"] for line in early + late]
    assert ids == [f"id-{number}" for number in range(2 * FLUSH_LINES + 3)]


def test_a_lone_line_waits_for_one_timer(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log, loop = Log(), Loop()
    ask(log, loop, 3, "/" + "x" * 500)
    assert not capfdbinary.readouterr().out
    assert len(loop.later) == 1
    loop.later[0]()
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["ms"] for line in lines] == [1.23] * 3
    assert len(lines[0]["path"]) == 200
    loop.later[0]()  # nothing waits
    ask(log, loop, 1)
    assert len(loop.later) == 2


def test_events_are_written_at_once_after_what_waits(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    log = Log()
    ask(log, Loop(), 1)
    log.event("stopped", because={"not": object})
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["request", "stopped"]
    assert lines[1]["at"] >= lines[0]["at"]
