"""The confined process: what it cannot reach, and that it always comes to an end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.safety.confine import Answer, ConfinedError, Limits, confined

HERE = Path(__file__).parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's locks are Linux's")


def run(function: str, payload: dict[str, Any] | None = None, **limits: Any) -> Answer:
    return confined(
        "confined_jobs",
        payload or {},
        function=function,
        readable=[],
        sys_path=[HERE],
        limits=Limits(**limits) if limits else None,
        what="the test job",
    )


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret").write_text("a secret outside of the model's folder")
    canary = folder / "canary"
    os.environ["MODEL_TEST_SECRET"] = "from the environment"
    try:
        found = run("attempts", {"secret": str(folder / "secret"), "canary": str(canary)}).result
    finally:
        del os.environ["MODEL_TEST_SECRET"]
    assert not canary.exists()
    return dict(found)


@linux
@pytest.mark.parametrize(
    "attempt",
    [
        "parent's environment", "secret file", "socket", "native socket", "system",
        "native system", "fork", "native fork", "write", "native write", "native read",
        "signal the parent", "native signal",
    ],
)  # fmt: skip
def test_the_confined_process_is_stopped_from(attempts: dict[str, str], attempt: str) -> None:
    if attempt == "native system":  # it reports a shell that could not be started
        assert "touch" not in attempts[attempt]
        return
    assert attempts[attempt].startswith("stopped"), attempts[attempt]


@linux
def test_the_environment_is_empty_and_threads_still_run(attempts: dict[str, str]) -> None:
    assert attempts["own environment"] == "done: 'absent'"
    assert attempts["thread"] == "done: 'ran'"


@linux
def test_the_layers_that_hold_are_named() -> None:
    layers = " ".join(run("attempts", {"secret": "/none", "canary": "/none"}).layers)
    assert "processor time" in layers
    assert "audit hook" in layers
    assert "seccomp" in layers


def test_a_job_that_hangs_is_stopped_by_the_clock() -> None:
    with pytest.raises(ConfinedError, match="took longer than 2 s") as stopped:
        run("hang", wall_s=2)
    assert stopped.value.kind == "timeout"


@linux
def test_a_job_that_spins_is_stopped_by_its_processor_time() -> None:
    with pytest.raises(ConfinedError, match="more than 1 s of processor time") as stopped:
        run("spin", cpu_s=1, wall_s=30)
    assert stopped.value.kind == "cpu"


@linux
def test_a_job_that_eats_memory_is_stopped() -> None:
    with pytest.raises(ConfinedError, match="more than the 800 MB") as stopped:
        run("eat_memory", memory_mb=800)
    assert stopped.value.kind == "memory"


def test_an_answer_without_end_is_not_read_to_the_end() -> None:
    with pytest.raises(ConfinedError, match="more than is sensible"):
        run("shout")


def test_a_crash_is_told_as_one() -> None:
    with pytest.raises(ConfinedError, match="crashed the process") as stopped:
        run("crash")
    assert stopped.value.kind == "crash"
