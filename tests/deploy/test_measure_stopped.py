"""Measuring that is stopped or killed, wherever it is: nothing stays, and a sentence says it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from advisor.errors import ArtifactError
from deploy import files, machine_speed
from deploy.artifact import inspect
from deploy.files import scratch_folder
from deploy.measure import MeasureCancelledError, known, last_kept, measure
from deploy.measurement import Measurement
from deploy.safety.confine import ConfinedError

ROOT = Path(__file__).resolve().parents[2]
LOOK, TIME, SERVE = "Looking whether", "Timing single", "Starting the whole"
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's locks are Linux's")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


OTHERS: set[int] = set()  # what tests before these keep running


@pytest.fixture(autouse=True)
def _others() -> Iterator[None]:
    OTHERS.update(p.pid for p in psutil.Process().children())
    yield
    OTHERS.clear()


def children(whom: str) -> list[psutil.Process]:
    """Of this process, with `whom` in their command line."""
    fresh = (p for p in psutil.Process().children() if p.pid not in OTHERS)
    return [p for p in fresh if whom in " ".join(p.cmdline())]


def left_behind(scratch: Path, home: Path) -> list[str]:
    mine, servers = children("deploy"), children("model_server")
    folders = [p.name for p in scratch.iterdir() if p.name.startswith(("measure-", "model-check-"))]
    return [*map(str, mine + servers), *folders, *map(str, home.glob("measurements/*"))]


@pytest.mark.parametrize("phase", [LOOK, TIME, SERVE])
def test_stopped_in_any_phase_nothing_stays_and_the_next_one_works(
    phase: str, scratch: Path, advisor_home: Path, onnx_model: Path
) -> None:
    told: list[str] = []
    with pytest.raises(MeasureCancelledError, match="nothing is kept"):
        measure(
            onnx_model, seconds=0.3, progress=lambda what, _share: told.append(what),
            cancelled=lambda: told[-1].startswith(phase),
        )  # fmt: skip
    assert told[-1].startswith(phase)
    assert left_behind(scratch, advisor_home) == []
    if phase == LOOK:
        assert measure(onnx_model, seconds=0.3).notes == ()


def killing(phase: str, whom: str) -> Callable[[str, float], None]:
    """A `progress` that kills the child with `whom` in its command line, once it is there."""

    def kill() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if found := children(whom):
                found[0].kill()
                return
            time.sleep(0.01)

    def tell(what: str, _share: float) -> None:
        if what.startswith(phase):
            threading.Thread(target=kill, daemon=True).start()

    return tell


@pytest.mark.parametrize("phase", [LOOK, TIME])
def test_a_killed_process_is_told_as_killed(
    phase: str, scratch: Path, advisor_home: Path, onnx_model: Path
) -> None:
    with pytest.raises(ArtifactError, match=r"was ended from outside.*try again"):
        measure(onnx_model, seconds=0.3, progress=killing(phase, "model_check"))
    assert left_behind(scratch, advisor_home) == []


def test_a_killed_server_is_a_note(scratch: Path, advisor_home: Path, onnx_model: Path) -> None:
    found = measure(onnx_model, seconds=0.3, progress=killing(SERVE, "model_server"))
    assert found.cold_start_s is None
    assert "so start and memory are of the model alone" in found.notes[0]


@linux
def test_the_confined_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from deploy.safety.confine import confined\n"
        "print('begun', flush=True)\n"
        "confined('confined_jobs', {}, function='hang', readable=[], "
        f"sys_path=[Path({str(ROOT / 'tests/deploy')!r})])\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    end = time.monotonic() + 20
    while not (children := psutil.Process(parent.pid).children()):
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(1.0)  # until it hangs
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    assert psutil.wait_procs(children, timeout=5)[1] == []


def test_a_look_can_be_stopped(onnx_model: Path) -> None:
    with pytest.raises(ConfinedError) as stopped:
        inspect(onnx_model, cancelled=lambda: True)
    assert stopped.value.kind == "cancelled"


def test_what_killed_processes_left_goes_and_what_others_use_stays(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SCRATCH_OLD_S", -1.0)
    dead = scratch / "measure-dead"
    dead.mkdir()
    (dead / files.LOCK_NAME).touch()
    (dead / "model.onnx").write_bytes(b"x")
    strange = scratch / "measure-of-somebody"
    strange.mkdir()
    with scratch_folder("measure") as first:
        (first / "model.onnx").write_bytes(b"x")
        with scratch_folder("measure") as second:
            assert first.is_dir()
            assert second.is_dir()
        assert (first / "model.onnx").exists()
    assert [p.name for p in scratch.iterdir()] == ["measure-of-somebody"]


@pytest.fixture
def kept(advisor_home: Path, onnx_model: Path) -> Measurement:
    return measure(onnx_model, seconds=0.3)


@pytest.mark.parametrize("changed", ["processor", "usable_cores", "_scores"])
def test_what_another_machine_measured_does_not_pass_for_this_one_s(
    changed: str, kept: Measurement, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known(kept.digest) == kept
    other = {"processor": lambda: "Some Other CPU 9", "usable_cores": lambda: 77,
             "_scores": lambda _cpu: "newer data"}  # fmt: skip
    monkeypatch.setattr(machine_speed, changed, other[changed])
    assert known(kept.digest) is None
    assert last_kept(kept.digest) == kept
