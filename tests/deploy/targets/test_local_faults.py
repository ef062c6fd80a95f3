"""This machine under faults: killed at every step, a server that ends, a busy port, a full disk."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_rows import Row, keep

from advisor.errors import AdvisorError
from deploy.requests import PlanRequest
from deploy.target import Event
from deploy.targets import local_process, local_start
from deploy.targets.local import LocalTarget

OPTION = "docker-host"
ROW = b'{"instances": [[1, 1, 1, 1]]}'


class KilledError(BaseException):
    """The process ends: nothing is taken back, nothing is told."""


def kept(fault: str, verb: str, where: str, outcome: str, said: object = "") -> None:
    keep(Row(OPTION, fault, verb, where, outcome, str(said)))


def test_killed_at_any_step_it_is_resumed_by_the_same_verb(
    local_request: Callable[..., PlanRequest], onnx_model: Path, advisor_home: Path
) -> None:
    target = LocalTarget()
    plan = target.plan(local_request(onnx_model))
    for verb in (target.apply, target.destroy):
        struck: set[str] = set()
        while True:
            now: list[str] = []

            def die(event: Event, now: list[str] = now, struck: set[str] = struck) -> None:
                step = "".join(c for c in event.message if not c.isdigit())
                if step not in struck and not now:
                    now.append(step)
                    raise KilledError

            try:
                verb(plan, die)
            except KilledError:
                struck.add(now[0])
                kept("killed", verb.__name__, now[0], "resumed")
                continue
            break
        assert struck
        if verb == target.apply:
            assert target.predict(plan, ROW, "application/json").body["predictions"] == [10.0]
            assert len(local_process.strays(advisor_home.resolve())) == 1
    assert local_process.strays(advisor_home.resolve()) == []
    assert target.status(plan).state == "destroyed"


def test_what_fails_is_told_and_taken_back(
    local_request: Callable[..., PlanRequest],
    onnx_model: Path,
    advisor_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = LocalTarget()

    def refused(fault: str, where: str, told: str, **settings: object) -> None:
        plan = target.plan(local_request(onnx_model, **settings))
        with pytest.raises(AdvisorError, match=told) as caught:
            target.apply(plan, lambda _: None)
        assert local_process.strays(advisor_home.resolve()) == []
        assert target.status(plan).state == "destroyed"
        kept(fault, "apply", where, "undone", caught.value)

    with monkeypatch.context() as patch:
        patch.setattr(local_start, "launch", lambda plan, bundle, port: _ended(plan, bundle, port))
        refused("a resource fails to create", "the server ends at once", "the server ended")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "bundle")

    with monkeypatch.context() as patch:
        patch.setattr(local_start, "record", full)
        refused("quota", "the disk is full", "No space left on device")

    with socket.socket() as holder:
        port = local_process.free_port()
        plan = target.plan(local_request(onnx_model, port=port))
        holder.bind(("127.0.0.1", port))
        holder.listen()
        with pytest.raises(AdvisorError, match=f"port {port} is taken") as caught:
            target.apply(plan, lambda _: None)
        kept("a resource fails to create", "apply", "the port is taken", "undone", caught.value)
    assert local_process.strays(advisor_home.resolve()) == []


def _ended(plan: object, bundle: Path, port: int) -> local_process.Server:
    """A server whose process ends before it is ready."""
    server = _LAUNCH(plan, bundle, port)
    process = server.process()
    if process is not None:
        process.kill()
        process.wait(10)
    return server


_LAUNCH = local_start.launch
